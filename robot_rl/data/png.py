"""PNG, as much of it as a journal needs: 8-bit grey or RGB, lossless, one filter, fast."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from robot_rl.exceptions import DataError

_MAGIC = b"\x89PNG\r\n\x1a\n"
_COLOUR = {1: 0, 3: 2}
_LARGEST = 1 << 26  # pixels that an image is believed to have
_UP = 2  # PNG's filter that stores each row minus the one above: NumPy undoes it in one call


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _frame(shape: tuple[int, ...]) -> bytes:
    """Everything before the pixels."""
    height, width, channels = shape
    return _MAGIC + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, _COLOUR[channels], 0, 0, 0))


def encode_png(image: NDArray[np.uint8]) -> bytes:
    """A PNG file of a uint8 (h, w, 1 or 3) image."""
    height, width, channels = image.shape
    rows = np.empty((height, 1 + width * channels), np.uint8)
    flat = image.reshape(height, -1)
    rows[:, 0] = _UP
    rows[0, 1:] = flat[0]
    np.subtract(flat[1:], flat[:-1], out=rows[1:, 1:])
    pixels = zlib.compress(rows.data, 1)
    return _frame(image.shape) + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")


def decode_png(data: bytes, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """The image of this shape that `encode_png` wrote. Raises `DataError`; allocates no more than it."""
    frame = _frame(shape)
    start, end = len(frame) + 8, len(data) - 16
    if data[: len(frame)] != frame or data[start - 8 : start] != struct.pack(">I", max(end - start, 0)) + b"IDAT":
        raise DataError(f"the image is not a PNG of shape {shape}")
    height, width, channels = shape
    size = height * (1 + width * channels)
    try:
        inflate = zlib.decompressobj()
        raw = inflate.decompress(data[start:end], size + 1)
    except zlib.error as error:
        raise DataError(f"the image does not decompress: {error}") from error
    if len(raw) != size or not inflate.eof or inflate.unused_data:
        raise DataError(f"the image decompresses to {len(raw)} bytes or more; its shape {shape} needs {size}")
    rows = np.frombuffer(raw, np.uint8).reshape(height, -1)
    if (rows[:, 0] != _UP).any():
        raise DataError("the image uses a PNG filter that journals do not use; was it written by another program?")
    return np.add.accumulate(rows[:, 1:], axis=0, dtype=np.uint8).reshape(shape)


def same_picture(one: bytes, other: bytes) -> bool:
    """Whether two images that `encode_png` wrote are the same: another zlib packs the same rows otherwise.

    Raises `DataError` where one of them is damaged.
    """
    if one == other:
        return True
    shape = _shape(one)
    return shape == _shape(other) and bool((decode_png(one, shape) == decode_png(other, shape)).all())


def _shape(data: bytes) -> tuple[int, ...]:
    """The shape of an image, as it says itself."""
    width, height, _, colour = struct.unpack_from(">IIBB", data.ljust(26, b"\0"), 16)
    if not 0 < width * height <= _LARGEST:
        raise DataError(f"an image says that it has {height} rows of {width}; it is damaged")
    return height, width, 3 if colour == _COLOUR[3] else 1
