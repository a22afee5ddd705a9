"""Cut and shrink a picture once, where it is captured: what leaves a camera is what a policy sees."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from controllers.cameras.base import Depth, Intrinsics
from controllers.cameras.config import CameraConfig
from controllers.exceptions import CameraError
from controllers.interface import Image


def opencv() -> Any:
    """The cv2 module, which stays in the calling thread. Raises `CameraError` where it is not installed."""
    try:
        import cv2
    except ImportError as error:
        raise CameraError(f"OpenCV cannot be loaded ({error}): pip install 'robot_rl[uvc]'.") from error
    cv2.setNumThreads(1)  # a picture takes less than a millisecond; the other cores are the learner's
    return cv2


def process(image: Image, config: CameraConfig) -> Image:
    """A copy of the stream's picture (height, width, 3), cut to the window and averaged down to the size."""
    left, top, width, height = config.window
    part = image[top : top + height, left : left + width]
    if part.shape == config.shape:
        return np.array(part, order="C")
    shrunk: Image = opencv().resize(part, config.shape[1::-1], interpolation=opencv().INTER_AREA)
    return shrunk


def process_depth(depth: Any, unit: float, config: CameraConfig) -> Depth:
    """Depth (height, width) uint16 in `unit` m, cut and shrunk as the picture is; NaN where it is 0.

    The nearest pixel is taken: a mean across an edge lies on neither side of it.
    """
    left, top, width, height = config.window
    rows = top + _centres(height, config.shape[0])
    columns = left + _centres(width, config.shape[1])
    part = depth[np.ix_(rows, columns)].astype(np.float32)
    part[part == 0] = np.nan
    return part * np.float32(unit)


def _centres(old: int, new: int) -> Any:
    """Indices of the `new` pixels whose centres are nearest to those of a row of `old` cut into equal parts."""
    return ((np.arange(new) + 0.5) * old / new).astype(np.intp)


def process_intrinsics(intrinsics: Intrinsics, config: CameraConfig) -> Intrinsics:
    """The pinhole of the delivered picture; pixel (0, 0) is the centre of the first one."""
    left, top, width, height = config.window
    new_height, new_width, _ = config.shape
    across, down = new_width / width, new_height / height
    return dataclasses.replace(
        intrinsics,
        width=new_width,
        height=new_height,
        fx=intrinsics.fx * across,
        fy=intrinsics.fy * down,
        cx=(intrinsics.cx - left + 0.5) * across - 0.5,
        cy=(intrinsics.cy - top + 0.5) * down - 0.5,
    )


def check_shape(image: Any, config: CameraConfig, name: str) -> None:
    """Raise `CameraError` unless the stream's picture is of the size that the configuration states."""
    height, width = image.shape[:2]
    if (height, width) != (config.height, config.width):
        raise CameraError(
            f"camera {name} delivers {width} x {height}, not the {config.width} x {config.height} of its "
            f"configuration: set width: {width} and height: {height}."
        )
