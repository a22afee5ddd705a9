"""Any USB camera that Linux shows as /dev/videoN, or a video file in its place, through OpenCV."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

from controllers.cameras import v4l2
from controllers.cameras.base import Clock, Facts, Frame
from controllers.cameras.clock import ExposureClock, next_number
from controllers.cameras.config import CameraConfig
from controllers.cameras.processing import check_shape, opencv, process
from controllers.exceptions import CameraError

MANUAL_EXPOSURE, AUTOMATIC_EXPOSURE = 1, 3
"""V4L2_EXPOSURE_MANUAL, and aperture priority, which is what cameras call automatic."""
EXPOSURE_UNIT = 1e-4
"""s, of V4L2_CID_EXPOSURE_ABSOLUTE."""
SETTLE = 6
"""Pictures until a new exposure shows."""


class UvcCamera:
    """A camera by its device, its serial number, or a video file that is played at `rate` and from its start again."""

    def __init__(self, name: str, config: CameraConfig) -> None:
        self.facts = Facts(name)
        self._name, self._config = name, config
        self._cv2: Any = None
        self._capture: Any = None
        self._clock = ExposureClock(config.latency)
        self._sequence, self._last = 0, math.nan
        self._due = 0.0
        self._file = bool(config.device) and Path(config.device).is_file()

    def open(self) -> None:
        self._cv2 = opencv()
        source = self._config.device if self._file else v4l2.find(self._name, self._config)
        backend = self._cv2.CAP_FFMPEG if self._file else self._cv2.CAP_V4L2
        self._capture = self._cv2.VideoCapture(source, backend)
        if not self._capture.isOpened():
            raise CameraError(f"camera {self._name}: {source} cannot be opened; is another program using it?")
        settings: dict[str, float] = {}
        if self._file:
            self._refuse_settings()
        else:
            self._request(source)
            settings = lock(self._cv2, self._capture, self._name, self._config)
            for _ in range(SETTLE if settings else 0):
                self._grab()
        self.facts = Facts(f"{v4l2.model(source)} at {source}", None, settings)

    def read(self) -> Frame:
        if self._file:
            self._pace()
        image, arrival = self._grab()
        check_shape(image, self._config, self._name)
        device, clock = self._device_stamp()
        self._sequence = next_number(self._sequence, device - self._last, self._config.rate)
        self._last = device
        return Frame(
            image=self._cv2.cvtColor(process(image, self._config), self._cv2.COLOR_BGR2RGB),
            depth=None,
            sequence=self._sequence,
            stamp=self._clock.stamp(device, arrival, clock),
            arrival=arrival,
            device_stamp=device,
        )

    def close(self) -> None:
        if self._capture is not None:
            self._capture.release()

    def _grab(self) -> tuple[Any, float]:
        """A picture in BGR, and when it came."""
        good, image = self._capture.read()
        if not good and self._file and self._sequence:
            self._capture.set(self._cv2.CAP_PROP_POS_FRAMES, 0)
            good, image = self._capture.read()
        if not good:
            raise CameraError(f"camera {self._name} gave no picture; is it still plugged in?")
        return image, time.monotonic()

    def _device_stamp(self) -> tuple[float, Clock]:
        """V4L2 stamps pictures with this machine's monotonic clock; a file's position is no time of a device."""
        if self._file:
            return math.nan, "none"
        stamp = self._capture.get(self._cv2.CAP_PROP_POS_MSEC) / 1e3
        return (stamp, "monotonic") if stamp > 0 else (math.nan, "none")

    def _pace(self) -> None:
        """Wait until the file's next picture is due."""
        now = time.monotonic()
        self._due = max(self._due + 1.0 / self._config.rate, now) if self._due else now
        time.sleep(self._due - now)

    def _request(self, source: str) -> None:
        """Ask for size and rate, and see whether the camera took them."""
        cv2, capture, config = self._cv2, self._capture, self._config
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))  # raw pictures of this size outgrow USB 2
        wanted = {
            cv2.CAP_PROP_FRAME_WIDTH: config.width,
            cv2.CAP_PROP_FRAME_HEIGHT: config.height,
            cv2.CAP_PROP_FPS: config.rate,
        }
        for key, value in wanted.items():
            capture.set(key, value)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        if any(abs(capture.get(key) - value) > 0.5 for key, value in wanted.items()):
            raise CameraError(
                f"camera {self._name} has no mode {config.width} x {config.height} at {config.rate}/s; "
                f"it has {', '.join(v4l2.modes(source)) or 'none that it tells'}."
            )

    def _refuse_settings(self) -> None:
        for name in ("exposure", "gain", "white_balance"):
            if getattr(self._config, name) is not None:
                raise CameraError(
                    f"camera {self._name} is the video file {self._config.device}: {name} cannot be set; leave it out."
                )


def lock(cv2: Any, capture: Any, name: str, config: CameraConfig) -> dict[str, float]:
    """Make exposure, gain and white balance what the configuration says; those read back, in its units.

    What it leaves open is switched to automatic: an earlier program may have left it otherwise.
    Raises `CameraError` for one that the camera does not take.
    """
    automatic = config.exposure is None and config.gain is None
    capture.set(cv2.CAP_PROP_AUTO_EXPOSURE, AUTOMATIC_EXPOSURE if automatic else MANUAL_EXPOSURE)
    capture.set(cv2.CAP_PROP_AUTO_WB, int(config.white_balance is None))
    controls = {
        "exposure": (cv2.CAP_PROP_EXPOSURE, config.exposure, EXPOSURE_UNIT),
        "gain": (cv2.CAP_PROP_GAIN, config.gain, 1.0),
        "white_balance": (cv2.CAP_PROP_WB_TEMPERATURE, config.white_balance, 1.0),
    }
    settings = {}
    for key, (control, value, unit) in controls.items():
        if value is None:
            continue
        capture.set(control, round(value / unit))
        settings[key] = capture.get(control) * unit
        if abs(settings[key] - value) > max(unit, 0.02 * value):
            raise CameraError(
                f"camera {name}: {key} is asked to be {value:g}, but the camera says {settings[key]:g}; "
                "see `v4l2-ctl --list-ctrls` for what it takes."
            )
    return settings
