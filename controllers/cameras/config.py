"""What one camera is and how it is set: part of a cell's file, or of a command line."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from controllers.exceptions import SettingsError
from controllers.settings import option

ASPECT = 0.02
"""How much the shapes of crop and size may differ: whole pixels, no squeezed picture."""


@dataclass(frozen=True)
class CameraConfig:
    """One camera. Exposure, gain and white balance stay automatic unless given. Raises `SettingsError`."""

    driver: Literal["realsense", "uvc", "twin", "ros"] = option("realsense", "what reads the camera")
    serial: str = option("", "serial number; may stay empty where one camera alone is connected")
    device: str = option(
        "",
        "uvc: /dev/video0 or a video file; realsense: a recording to play instead of a camera; "
        "twin: address of the emulator whose scene is seen, empty for the task's scene standing still",
    )
    topic: str = option("", "ros: the topic, sensor_msgs/Image, or CompressedImage where it ends in /compressed")
    width: int = option(640, "pixels of the stream, before crop and size")
    height: int = option(480, "pixels of the stream, before crop and size")
    rate: int = option(30, "pictures a second")
    crop: tuple[int, ...] = option(
        (), "left, top, width, height in pixels of the stream; empty: the largest centred part of the shape of size"
    )
    size: tuple[int, ...] = option((), "width, height of the delivered picture; empty: as cropped")
    exposure: float | None = option(None, "exposure time, s; a multiple of 0.01 avoids the flicker of 50 Hz lamps")
    gain: float | None = option(None, "in the camera's own unit")
    white_balance: float | None = option(None, "colour temperature, K")
    depth: bool = option(False, "deliver depth too, aligned to the colour picture (realsense)")
    latency: float = option(0.0, "s from the middle of the exposure to the stamp's earliest arrival, where measured")
    stale_after: float = option(0.5, "s without a new picture after which the camera's process is started again")
    restarts: int = option(5, "starts in a row that may fail before the camera is declared dead")

    def __post_init__(self) -> None:
        for name in ("width", "height", "rate", "stale_after", "restarts"):
            if not 0 < getattr(self, name) < math.inf:
                raise SettingsError(f"{name} is {getattr(self, name)}, but must be above 0.")
        for name in ("exposure", "gain", "white_balance", "latency"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise SettingsError(f"{name} is {value}, but must be at least 0.")
        if self.stale_after < 2 / self.rate:
            raise SettingsError(
                f"stale_after is {self.stale_after:g} s, less than two pictures at rate {self.rate}: "
                f"make it at least {2 / self.rate:.3f}."
            )
        self._check_source()
        self._check_crop()
        self._check_size()

    @property
    def window(self) -> tuple[int, int, int, int]:
        """The part of the stream that is delivered: left, top, width, height in pixels."""
        if self.crop:
            left, top, width, height = self.crop
            return left, top, width, height
        if not self.size:
            return 0, 0, self.width, self.height
        scale = min(self.width / self.size[0], self.height / self.size[1])
        width, height = round(self.size[0] * scale), round(self.size[1] * scale)
        return (self.width - width) // 2, (self.height - height) // 2, width, height

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the delivered picture: height, width, 3."""
        width, height = self.size or self.window[2:]
        return height, width, 3

    def _check_source(self) -> None:
        if self.driver == "ros" and not self.topic:
            raise SettingsError("topic is missing: driver ros needs the name of an image topic.")
        if self.driver == "uvc" and not (self.device or self.serial):
            raise SettingsError("device is missing: driver uvc needs /dev/videoN, a video file, or a serial.")
        if self.depth and self.driver != "realsense":
            raise SettingsError(f"depth is true, but driver {self.driver} has none; leave it out.")

    def _check_crop(self) -> None:
        if not self.crop:
            return
        if len(self.crop) != 4:
            raise SettingsError(f"crop is {self.crop}, but must be four numbers: left, top, width, height.")
        left, top, width, height = self.crop
        inside = left >= 0 and top >= 0 and left + width <= self.width and top + height <= self.height
        if not inside or width < 1 or height < 1:
            raise SettingsError(f"crop is {self.crop}, which leaves the picture of {self.width} x {self.height}.")

    def _check_size(self) -> None:
        if not self.size:
            return
        if len(self.size) != 2 or min(self.size) < 1:
            raise SettingsError(f"size is {self.size}, but must be two numbers: width, height.")
        width, height = self.window[2:]
        if self.size[0] > width or self.size[1] > height:
            raise SettingsError(
                f"size is {self.size[0]} x {self.size[1]}, more than the {width} x {height} cut out: ask for less."
            )
        if abs(width * self.size[1] / (height * self.size[0]) - 1) > ASPECT:
            raise SettingsError(
                f"size is {self.size[0]} x {self.size[1]}, but the crop is {width} x {height}, of another shape: "
                "make width / height the same, or leave crop out."
            )
