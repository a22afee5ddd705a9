"""Where the compiled control code is kept between runs.

Numba keeps a function's machine code by that function's own file: when a function that it calls changes in another
file, it would go on running the old one. Here each state of these sources has a folder of its own, so what runs is
always what is written.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path

KEPT = 8
"""How many states of the sources keep their compiled code."""


def keep_compiled_code() -> None:
    """Point Numba's cache to this state's folder, unless `NUMBA_CACHE_DIR` names another place."""
    if "NUMBA_CACHE_DIR" in os.environ:
        return
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "robot_rl" / "numba"
    folder = home / _digest(Path(__file__).parent)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        os.utime(folder)
    except OSError:
        return  # no place to write: every process compiles for itself
    os.environ["NUMBA_CACHE_DIR"] = str(folder)  # for Numba when it is imported, and for child processes
    if "numba" in sys.modules:
        sys.modules["numba"].config.CACHE_DIR = str(folder)
    with suppress(OSError):  # another process that starts now may be faster
        for old in sorted(home.iterdir(), key=lambda entry: entry.stat().st_mtime)[:-KEPT]:
            shutil.rmtree(old, ignore_errors=True)


def _digest(root: Path) -> str:
    digest = hashlib.sha256()
    for source in sorted(root.rglob("*.py")):
        text = source.read_bytes()
        if b"njit" in text:
            digest.update(str(source.relative_to(root)).encode() + text)
    return digest.hexdigest()[:16]
