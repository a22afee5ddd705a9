"""Attributes of HDF5 files, read so that a damaged file cannot hold us up.

The HDF5 library keeps texts of any length in a heap of the file's own. Where that heap is damaged, the library may
search it for ever, and nothing within the process can stop it. So such texts are read in a process that has a time.
Run as `python -m robot_rl.data.formats.attributes FILE OBJECT NAME`, this module is that process.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from robot_rl.data.formats import hdf5
from robot_rl.exceptions import DataError

PATIENCE = 20.0
"""Seconds that reading one text may take, the start of a process included; a sound one takes half a second."""


def text(item: Any, name: str) -> str | None:
    """A text that is an attribute of a group or array; None where there is none.

    Raises `DataError` where it is no text, or cannot be read in time.
    """
    if name not in item.attrs:
        return None
    kind = item.attrs.get_id(name).dtype
    about = hdf5.library().check_string_dtype(kind)
    if about is not None and about.length is None:
        return _read_apart(Path(item.file.filename), item.name, name)
    if kind.kind != "S":
        raise DataError(f"the attribute '{name}' of '{item.name}' is {kind}, not a text")
    return _decoded(item.attrs[name], name)


def count(item: Any, name: str, otherwise: int) -> int:
    """A whole number that is an attribute; `otherwise` where there is none. Raises `DataError` where it is no such."""
    if name not in item.attrs:
        return otherwise
    about = item.attrs.get_id(name)
    if about.dtype.kind not in "iu" or about.shape not in ((), (1,)):
        raise DataError(f"the attribute '{name}' of '{item.name}' is {about.dtype} {about.shape}, not a whole number")
    return int(item.attrs[name])


def _read_apart(path: Path, item: str, name: str) -> str:
    where = f"the attribute '{name}' of '{item}'"
    command = [sys.executable, "-m", __name__, str(path), item, name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired as error:
        raise DataError(f"{where} was not read within {PATIENCE:.0f} s; the file is damaged") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise DataError(f"{where} cannot be read ({lines[-1] if lines else f'signal {-done.returncode}'})")
    return str(json.loads(done.stdout))


def _decoded(value: Any, name: str) -> str:
    try:
        return value.decode() if isinstance(value, bytes) else str(value)
    except UnicodeDecodeError as error:
        raise DataError(f"the attribute '{name}' is no UTF-8 text ({error})") from error


def main(path: str, item: str, name: str) -> None:
    """Print one attribute as JSON."""
    with hdf5.library().File(path, "r") as file:
        print(json.dumps(_decoded(file[item].attrs[name], name)))


if __name__ == "__main__":
    main(*sys.argv[1:])
