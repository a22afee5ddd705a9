"""Pictures that lie in an HDF5 array as JPEG files, one in a row: how Minari stores them since 0.5.4."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot_rl.data.formats.hdf5 import library
from robot_rl.exceptions import DataError

_START = b"\xff\xd8\xff"


def jpeg_frames(array: Any) -> JpegFrames | None:
    """The pictures in an array, or None where its rows are no JPEG files."""
    rows = library().check_vlen_dtype(array.dtype)
    lengths_differ = rows is not None and rows == np.uint8 and array.ndim == 1
    if not (lengths_differ or (array.dtype == np.uint8 and array.ndim == 2)) or not array.shape[0]:
        return None
    first = bytes(array[0])
    return JpegFrames(array, decode_jpeg(first).shape) if first.startswith(_START) else None


class JpegFrames:
    """An array (n, h, w, 1 or 3) of uint8 whose rows are decoded when they are asked for."""

    dtype = np.dtype(np.uint8)

    def __init__(self, array: Any, shape: tuple[int, ...]) -> None:
        self._array = array
        self.shape: tuple[int, ...] = (int(array.shape[0]), *shape)

    def __getitem__(self, rows: slice) -> NDArray[np.uint8]:
        frames = [decode_jpeg(bytes(row)) for row in self._array[rows]]
        if any(frame.shape != self.shape[1:] for frame in frames):
            raise DataError(f"'{self._array.name}' has pictures of several sizes")
        return np.stack(frames) if frames else np.zeros((0, *self.shape[1:]), np.uint8)


def decode_jpeg(content: bytes) -> NDArray[np.uint8]:
    """A picture (h, w, 1 or 3) of a JPEG file."""
    from PIL import Image

    with Image.open(BytesIO(content), formats=("JPEG",)) as image:
        if image.mode == "L":
            return np.asarray(image)[:, :, None].copy()
        return np.asarray(image.convert("RGB")).copy()
