"""`njit` whose disk cache knows every file that compiled code is made from.

Numba's own cache looks at a function's own file alone: an edited control law would go unnoticed by the loop that has
it inlined. Here all compiled sources, and the versions of what compiles and links them, name the cache's folder.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numba

ROOT = Path(__file__).parent


def njit(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """As `numba.njit(**options)`, cached in `cache_folder`; `cache=True` is implied."""

    def decorate(function: Callable[..., Any]) -> Any:
        usual = numba.config.CACHE_DIR
        numba.config.CACHE_DIR = str(cache_folder())
        try:
            return numba.njit(**{**options, "cache": True})(function)
        finally:
            numba.config.CACHE_DIR = usual

    return decorate


@cache
def cache_folder() -> Path:
    """`NUMBA_CACHE_DIR`, else beside the sources, else (read-only install) in the user's cache; one per fingerprint."""
    beside, user = ROOT / "__pycache__", Path("~/.cache/robot_rl").expanduser()
    writable = os.access(beside if beside.exists() else ROOT, os.W_OK)
    base = os.environ.get("NUMBA_CACHE_DIR") or (beside if writable else user)
    return Path(base) / f"compiled-{_fingerprint()}"


def _fingerprint() -> str:
    digest = hashlib.sha256()
    for path in sorted(ROOT.rglob("*.py")):
        source = path.read_bytes()
        if b"njit" in source:
            digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + source)
    for package in ("numba", "llvmlite", "mujoco"):
        digest.update(version(package).encode())
    return digest.hexdigest()[:16]
