"""What every camera offers: one picture after another, each with the time at which it was taken.

All times are s of this machine's monotonic clock (`time.monotonic`), unless said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from controllers.interface import Image

Depth = NDArray[np.float32]

PICTURE_AGE = 0.15
"""In real time a picture may be this old, s, at its tick, or one period where that is longer: exposure and transfer
take a camera 66 ms, and the next picture is up to 33 ms away. An older one is waited for, then `CellTimeout`."""

Clock = Literal["device", "system", "monotonic", "none"]
"""Whose time a device's stamps tell: its own, this machine's wall clock or monotonic clock, or none at all."""


@dataclass(frozen=True)
class Frame:
    """One picture.

    image: (h, w, 3) uint8 RGB. depth: (h, w) float32 m along the optical axis, NaN where nothing was measured, aligned
    to the image; None where not asked for. sequence: the device's own count, so that gaps are lost pictures.
    stamp: best estimate of the middle of the exposure. arrival: when the driver got it.
    device_stamp: s on the device's clock, NaN where it has none.
    """

    image: Image
    depth: Depth | None
    sequence: int
    stamp: float
    arrival: float
    device_stamp: float


@dataclass(frozen=True)
class Intrinsics:
    """Pinhole of a picture of width x height, in pixels; distortion: its ROS name and coefficients."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    model: str = "plumb_bob"
    coefficients: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Facts:
    """What a camera says of itself once it is open.

    name: model, serial number and the like, for people. intrinsics: of the delivered picture, None where unknown.
    settings: exposure, gain and white balance as read back from the device, those that were set.
    """

    name: str
    intrinsics: Intrinsics | None = None
    settings: Mapping[str, float] = field(default_factory=dict)


class Camera(Protocol):
    """One camera. A driver's calls may block for ever; `SupervisedCamera` runs it where it can be killed.

    facts: valid after `open`.
    """

    facts: Facts

    def open(self) -> None:
        """Connect and stream. Raises `CameraError` with what to mend."""

    def read(self) -> Frame:
        """The next picture. Raises `CameraError` where there will be none."""

    def close(self) -> None:
        """Release the device."""
