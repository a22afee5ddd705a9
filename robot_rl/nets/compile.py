"""Where compiled functions are kept between processes, how many threads they use, and how much memory."""

from __future__ import annotations

import os
from pathlib import Path

import jax

from robot_rl.xla import with_one_thread


def use_one_thread() -> None:
    """Keep XLA on one thread, for small networks no slower than two. Call it before the first JAX computation."""
    os.environ["XLA_FLAGS"] = with_one_thread(os.environ.get("XLA_FLAGS", ""))


def take_memory_as_needed() -> None:
    """Leave a GPU's memory to others until it is needed, where the person did not say otherwise.

    JAX would take three quarters of it at once. Call it before the first JAX computation.
    """
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")


def enable_compile_cache(path: Path | None = None) -> Path:
    """Keep compiled functions in `path` and return it.

    Default: where JAX_COMPILATION_CACHE_DIR says, else robot_rl/jax in the user's cache folder.
    """
    if path is None:
        user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        path = Path(os.environ.get("JAX_COMPILATION_CACHE_DIR") or user / "robot_rl" / "jax")
    path.mkdir(parents=True, exist_ok=True)
    jax.config.update("jax_compilation_cache_dir", str(path))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
    return path
