"""PyArrow and PyAV, imported when a dataset is first touched: both come with the extra `datasets`."""

from __future__ import annotations

import importlib
from typing import Any

from robot_rl.exceptions import DataError


def _load(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise DataError(f"LeRobot datasets need {name} ({error}); pip install 'robot_rl[datasets]'") from error


def arrow() -> Any:
    """`pyarrow`. Raises `DataError` where it is missing."""
    return _load("pyarrow")


def parquet() -> Any:
    """`pyarrow.parquet`."""
    return _load("pyarrow.parquet")


def av() -> Any:
    """`av`, with FFmpeg's own chatter off: what went wrong is in the exceptions."""
    library = _load("av")
    library.logging.set_level(library.logging.PANIC)
    return library


def video_errors() -> tuple[type[Exception], ...]:
    """What PyAV raises for a file that is no video, or a damaged one."""
    return av().error.FFmpegError, OSError, ValueError, IndexError


def table_errors() -> tuple[type[Exception], ...]:
    """What PyArrow raises for a file that is no Parquet, or a damaged one."""
    return arrow().lib.ArrowException, OSError, ValueError, KeyError, IndexError, TypeError


def disk_errors() -> tuple[type[Exception], ...]:
    """What either raises for a full or failing disk."""
    return av().error.FFmpegError, OSError
