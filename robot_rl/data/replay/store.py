"""Columns of rows of one shape, in memory or in a file: rows are read as one array, and written one by one."""

from __future__ import annotations

import math
import mmap
import os
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from robot_rl.exceptions import DataError, DiskError

_MAP_NORESERVE = 0x4000  # Linux, all architectures; Python 3.11 lacks the name
_GROWTH = 1.25
_LEAST_ROWS = 256


def reserve(rows: int, shape: tuple[int, ...], dtype: Any) -> NDArray:
    """Zeros (rows, *shape) that take no memory until they are written, however many there are."""
    size = max(1, rows * math.prod(shape) * np.dtype(dtype).itemsize)
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE)
    return np.ndarray((rows, *shape), dtype, buffer=memory)


class Column(Protocol):
    """Rows by number."""

    @property
    def rows(self) -> NDArray:
        """All rows, for reading; may be another array after each `write`."""
        ...

    def write(self, number: int, value: NDArray) -> None:
        """Set one row. Raises `DiskError` where there is no room."""
        ...

    def sync(self) -> None:
        """Return once everything written would survive a power cut, where that is possible at all."""
        ...

    def close(self) -> None: ...


class MemoryColumn:
    """A column of a fixed number of rows in memory."""

    def __init__(self, rows: int, shape: tuple[int, ...], dtype: Any) -> None:
        self.rows = reserve(rows, shape, dtype)

    def write(self, number: int, value: NDArray) -> None:
        self.rows[number] = value

    def sync(self) -> None:
        """Memory survives nothing."""

    def close(self) -> None:
        """Memory goes with the last array that shows it."""


class FileColumn:
    """A column in a file of plain rows, which grows as higher numbers are written.

    Written by calls, so that a full disk is an error and not a signal; read through a mapping, so that the kernel
    keeps in memory what there is room for. On Linux both see the same pages.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: Any, *, fresh: bool) -> None:
        """fresh: begin anew, whatever the file held; else it must exist. Raises `DataError` where it does not."""
        self.path, self._shape, self._dtype = path, shape, np.dtype(dtype)
        self._row = math.prod(shape) * self._dtype.itemsize
        try:
            self._file = os.open(path, os.O_RDWR | ((os.O_CREAT | os.O_TRUNC) if fresh else 0), 0o644)
        except FileNotFoundError as error:
            raise DataError(f"{path} does not open ({error.strerror}); keep the replay's files together") from error
        size = os.fstat(self._file).st_size
        if size % self._row:
            raise DataError(f"{path} has {size} bytes, which is no multiple of a row's {self._row}; it is damaged")
        self.rows = self._map(size // self._row)

    def write(self, number: int, value: NDArray) -> None:
        if number >= len(self.rows):
            self._grow(max(number + 1, int(len(self.rows) * _GROWTH), _LEAST_ROWS))
        data = np.ascontiguousarray(value, self._dtype).reshape(-1).view(np.uint8).data
        at = number * self._row
        try:
            while data:
                written = os.pwrite(self._file, data, at)
                data, at = data[written:], at + written
        except OSError as error:
            raise self._full(error) from error

    def sync(self) -> None:
        try:
            os.fdatasync(self._file)
        except OSError as error:
            raise self._full(error) from error

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file, self.rows = -1, self._map(0)

    def _grow(self, rows: int) -> None:
        try:
            os.ftruncate(self._file, rows * self._row)
        except OSError as error:
            raise self._full(error) from error
        self.rows = self._map(rows)

    def _map(self, rows: int) -> NDArray:
        if not rows:
            return np.empty((0, *self._shape), self._dtype)
        memory = mmap.mmap(self._file, rows * self._row, prot=mmap.PROT_READ)
        return np.ndarray((rows, *self._shape), self._dtype, buffer=memory)

    def _full(self, error: OSError) -> DiskError:
        return DiskError(f"{self.path} cannot be written ({error.strerror}); free space on its disk, then resume")
