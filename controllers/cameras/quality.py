"""Whether a camera sees well enough to learn from: what `robot-rl doctor --cell` says of its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from controllers.cameras.base import Frame
from controllers.interface import Image

Level = Literal["green", "yellow", "red"]

SHARPNESS = (0.05, 0.02)
"""Yellow and red below: variance of the Laplacian over the variance of the brightness, both of grey values shrunk
to `SHORT_SIDE` pixels. The division takes the scene's contrast out, the shrinking the picture's size. The twin's
pictures have 0.16 to 1.6; blurred by 0.8 % of the picture's size, one pixel of 128, they have 0.007 to 0.07."""
SHORT_SIDE = 128
CONTRAST = 4.0
"""Grey levels (standard deviation) below which there is nothing to focus on."""
BRIGHT, DARK = 250, 5
"""A pixel is clipped where a channel reaches the first, or all are at most the second."""
CLIPPED = (0.05, 0.25)
FLICKER = (0.02, 0.08)
"""Standard deviation of the mean brightness from picture to picture, over its mean."""
RATE = (0.95, 0.80)
"""Yellow and red below: pictures a second over those asked for."""
LATENCY = (0.10, 0.20)
"""s from the middle of the exposure to arrival."""


@dataclass(frozen=True)
class Finding:
    """One thing looked at. value: what was measured. mend: what to do, empty where green."""

    check: str
    level: Level
    message: str
    value: float
    mend: str = ""


def inspect(frames: Sequence[Frame], rate: float) -> list[Finding]:
    """Findings on consecutive pictures of a scene that stands still; `rate` is what was asked for, 1/s.

    Raises ValueError for fewer than three.
    """
    if len(frames) < 3:
        raise ValueError(f"{len(frames)} pictures are too few to judge a camera by: take at least 3")
    images = [frame.image for frame in frames]
    return [
        _sharpness(images[-1]),
        *_exposure(images[-1]),
        _flicker(images),
        _rate(frames, rate),
        _latency(frames),
        _order(frames),
    ]


def sharpness(image: Image) -> float:
    """Variance of the Laplacian over that of the grey values, at `SHORT_SIDE`; NaN where there is no contrast."""
    grey = _shrunk(image.mean(axis=2))
    if grey.std() < CONTRAST:
        return float("nan")
    middle = grey[1:-1, 1:-1]
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * middle
    return float(laplacian.var() / grey.var())


def _shrunk(grey: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means of whole squares of pixels, so that the short side is `SHORT_SIDE` or just above."""
    step = max(min(grey.shape) // SHORT_SIDE, 1)
    height, width = grey.shape[0] // step, grey.shape[1] // step
    return grey[: height * step, : width * step].reshape(height, step, width, step).mean(axis=(1, 3))


def _sharpness(image: Image) -> Finding:
    value = sharpness(image)
    if np.isnan(value):
        return Finding("sharpness", "yellow", "nothing to focus on", value, "point the camera at the work")
    level = _below(value, SHARPNESS)
    mend = "" if level == "green" else "focus the lens, clean it, move the camera away from what it films"
    return Finding("sharpness", level, f"variance of the Laplacian {value:.4f} of the contrast's", value, mend)


def _exposure(image: Image) -> list[Finding]:
    white = float((image >= BRIGHT).any(axis=2).mean())
    black = float((image <= DARK).all(axis=2).mean())
    findings = []
    for check, share, mend in (
        ("overexposed", white, "shorten `exposure`, lower `gain`, or take light away"),
        ("underexposed", black, "lengthen `exposure`, raise `gain`, or add light"),
    ):
        level = _above(share, CLIPPED)
        message = f"{100 * share:.1f} % of the pixels clipped"
        findings.append(Finding(check, level, message, share, "" if level == "green" else mend))
    return findings


def _flicker(images: Sequence[Image]) -> Finding:
    brightness = np.array([image.mean() for image in images])
    value = float(brightness.std() / max(brightness.mean(), 1.0))
    level = _above(value, FLICKER)
    mend = "" if level == "green" else "lock `exposure` to a multiple of 0.01 s (50 Hz) or 0.00833 s (60 Hz)"
    return Finding("flicker", level, f"brightness varies by {100 * value:.1f} %", value, mend)


def _rate(frames: Sequence[Frame], rate: float) -> Finding:
    """Of the arrivals, so that pictures lost on the way count."""
    value = (len(frames) - 1) / max(frames[-1].arrival - frames[0].arrival, 1e-9)
    level = _below(value / rate, RATE)
    mend = "" if level == "green" else "use a USB 3 port of its own, a shorter exposure, or a lower `rate`"
    return Finding("rate", level, f"{value:.1f} pictures a second of {rate:g}", value, mend)


def _latency(frames: Sequence[Frame]) -> Finding:
    value = float(np.mean([frame.arrival - frame.stamp for frame in frames]))
    level = _above(value, LATENCY)
    mend = "" if level == "green" else "choose a smaller stream, a USB 3 port, or a shorter exposure"
    return Finding("latency", level, f"{1e3 * value:.0f} ms from stamp to arrival", value, mend)


def _order(frames: Sequence[Frame]) -> Finding:
    stamps = np.array([frame.stamp for frame in frames])
    repeats = int((np.diff(stamps) <= 0).sum())
    frozen = all(np.array_equal(frame.image, frames[0].image) for frame in frames[1:])
    if repeats:
        mend = "update the camera's firmware"
        return Finding("stamps", "red", f"{repeats} stamps do not rise", float(repeats), mend)
    if frozen:
        mend = "wave a hand before the lens; where nothing changes, unplug the camera and plug it in again"
        return Finding("stamps", "yellow", "every picture is the same, which no sensor's noise allows", 0.0, mend)
    return Finding("stamps", "green", "stamps rise, pictures differ", 0.0)


def _above(value: float, limits: tuple[float, float]) -> Level:
    return "red" if value > limits[1] else "yellow" if value > limits[0] else "green"


def _below(value: float, limits: tuple[float, float]) -> Level:
    return "red" if value < limits[1] else "yellow" if value < limits[0] else "green"
