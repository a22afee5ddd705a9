"""HDF5 files of other people: opened with care, since a file may name other files to read, or hold anything."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from robot_rl.exceptions import DataError

Item = TypeVar("Item")
DEEPEST = 8
"""Levels of groups that are looked into."""
LONGEST = 20_000_000
"""Steps that one episode may have."""
LARGEST_ROW = 64 << 20
"""Bytes that one step's value may have."""


def library() -> ModuleType:
    """h5py. Raises `DataError` saying how to get it."""
    try:
        import h5py
    except ImportError as error:
        raise DataError("HDF5 needs h5py: pip install 'robot_rl[datasets]'") from error
    return h5py


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The file's root group, read-only. Raises `DataError` where it is none."""
    h5py = library()
    with damage_is_named(path):
        file = h5py.File(path, "r")
    with file:
        yield file


@contextmanager
def damage_is_named(path: Path) -> Iterator[None]:
    """A damaged file makes its reader fail in any way there is: each becomes a `DataError`."""
    try:
        yield
    except DataError as error:
        raise (error if str(path) in str(error) else DataError(f"{path}: {error}")) from None
    except Exception as error:
        text = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path} cannot be read ({text:.200}); is it whole, and of this format?") from error


def guarded(path: Path, items: Iterator[Item]) -> Iterator[Item]:
    """The same items; damage that is met on the way is a `DataError` that names the file."""
    with damage_is_named(path):
        yield from items


def children(group: Any) -> list[str]:
    """Names in a group, of what lies in this file itself: links to other files are refused."""
    h5py = library()
    names = []
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise DataError(f"'{group.name}/{name}' is a link; a data set must hold its own data")
        names.append(name)
    return names


def is_group(item: Any) -> bool:
    """Whether it is a group, not an array."""
    return isinstance(item, library().Group)


def child(group: Any, name: str) -> Any:
    """A member of a group. Raises `DataError` where it is missing."""
    if name not in children(group):
        raise DataError(f"'{group.name}' has no '{name}'")
    return group[name]


def leaves(group: Any, view: Callable[[Any], Any], depth: int = 0, prefix: str = "") -> dict[str, Any]:
    """Every array below a group, by path, as `view` has it; those of which it makes None are left out."""
    if depth > DEEPEST:
        raise DataError(f"'{group.name}' lies deeper than {DEEPEST} levels")
    found: dict[str, Any] = {}
    for name in children(group):
        item = group[name]
        if is_group(item):
            found |= leaves(item, view, depth + 1, f"{prefix}{name}/")
        elif (seen := view(item)) is not None:
            found[prefix + name] = seen
    return found


def numbers(array: Any) -> Any:
    """The array, where it has a row of numbers for each step."""
    return checked(array) if array.ndim >= 1 and array.dtype.kind in "fiub" else None


def checked(array: Any) -> Any:
    """The array, if its data lies in the file and a row fits in memory."""
    if not isinstance(array, library().Dataset):
        raise DataError(f"'{array.name}' is no array")
    if array.external or array.is_virtual:
        raise DataError(f"'{array.name}' keeps its data in other files; copy it into one")
    row = array.dtype.itemsize * int(np.prod([float(size) for size in array.shape[1:]]))
    if row > LARGEST_ROW or (array.ndim and array.shape[0] > LONGEST):
        raise DataError(f"'{array.name}' has the shape {array.shape}, which no episode has")
    if array.size and array.id.get_storage_size() == 0:
        raise DataError(f"'{array.name}' was never written")
    return array


def series(group: Any, name: str) -> NDArray | None:
    """The numbers (n,) under a name, as they are in the file; None where there are none."""
    if name not in children(group) or is_group(group[name]):
        return None
    array = checked(group[name])
    if array.dtype.kind not in "fiub" or array.ndim == 0 or array.size != array.shape[0]:
        raise DataError(f"'{array.name}' is {array.dtype} {array.shape}, not one number for each step")
    values: NDArray = array[:].reshape(-1)
    return values


def fingerprint(path: Path) -> str:
    """12 digits that tell this file from others: of its size, start and end."""
    with path.open("rb") as stream:
        start = stream.read(1 << 20)
        size = path.stat().st_size
        stream.seek(max(0, size - (1 << 16)))
        return hashlib.sha256(size.to_bytes(8, "little") + start + stream.read()).hexdigest()[:12]
