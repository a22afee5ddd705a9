"""Pictures in memory that two processes share: one writes, the other copies the newest out once."""

from __future__ import annotations

import mmap
import os

import numpy as np
from numpy.typing import NDArray

from controllers.cameras.base import Frame

SLOTS = 4
"""A reader has the time of three pictures to copy one."""

HEADER = np.dtype(
    [("count", "u8"), ("missed", "u8"), ("sequence", "i8"), ("stamp", "f8"), ("arrival", "f8"), ("device_stamp", "f8")]
)
"""count: of the picture in the slot, 0 while it is being written; missed: lost by the device until then."""


class Ring:
    """The last pictures. The writer tells the reader each picture's count over a pipe, which also orders the memory.

    descriptor: of a memory file (`create`), which has no name, so that nothing stays behind whoever is killed.
    shape: (h, w, 3) of the pictures. depth: whether each has one.
    """

    def __init__(self, descriptor: int, shape: tuple[int, int, int], depth: bool) -> None:
        height, width, _ = shape
        pixels = height * width
        memory = mmap.mmap(descriptor, _bytes(shape, depth))
        self._header: NDArray = np.frombuffer(memory, HEADER, SLOTS)
        start = SLOTS * HEADER.itemsize
        self._depth: NDArray | None = None
        if depth:
            self._depth = np.frombuffer(memory, np.float32, SLOTS * pixels, start).reshape(SLOTS, height, width)
            start += self._depth.nbytes
        self._image = np.frombuffer(memory, np.uint8, SLOTS * pixels * 3, start).reshape(SLOTS, *shape)

    @staticmethod
    def create(shape: tuple[int, int, int], depth: bool) -> int:
        """The descriptor of new memory for such pictures."""
        descriptor = os.memfd_create("camera")
        os.ftruncate(descriptor, _bytes(shape, depth))
        return descriptor

    def write(self, count: int, frame: Frame, missed: int) -> None:
        """Put picture number `count` (from 1) in place of the oldest."""
        header = self._header[count % SLOTS]
        header["count"] = 0
        self._image[count % SLOTS] = frame.image
        if self._depth is not None and frame.depth is not None:
            self._depth[count % SLOTS] = frame.depth
        header["missed"] = missed
        for name in ("sequence", "stamp", "arrival", "device_stamp"):
            header[name] = getattr(frame, name)
        header["count"] = count

    def read(self, count: int) -> tuple[Frame, int] | None:
        """A copy of picture number `count`, and how many were lost until then; None where it is overwritten."""
        header = self._header[count % SLOTS]
        if header["count"] != count:
            return None
        frame = Frame(
            self._image[count % SLOTS].copy(),
            None if self._depth is None else self._depth[count % SLOTS].copy(),
            int(header["sequence"]),
            *(float(header[name]) for name in ("stamp", "arrival", "device_stamp")),
        )
        missed = int(header["missed"])
        return (frame, missed) if header["count"] == count else None


def _bytes(shape: tuple[int, int, int], depth: bool) -> int:
    height, width, channels = shape
    return SLOTS * (HEADER.itemsize + height * width * (channels + 4 * depth))
