"""A disk that is full, or fails, told in one sentence that says what to do."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from robot_rl.exceptions import DiskError

MENDS = {
    errno.ENOSPC: "free space on its disk",
    errno.EDQUOT: "free space, or have the quota raised",
    errno.EFBIG: "raise the limit of a file's size",
    errno.EROFS: "make its disk writable",
    errno.EIO: "look after its disk",
}
"""What to do, by the number of the error."""


@contextmanager
def disk_errors(what: object) -> Iterator[None]:
    """An `OSError` of `MENDS` becomes a `DiskError` that names the file, `what` where the error does not."""
    try:
        yield
    except OSError as error:
        if error.errno not in MENDS:
            raise
        raise DiskError(
            f"{error.filename or what} cannot be written ({error.strerror}); {MENDS[error.errno]}, then go on with "
            "--resume: what was written before is whole"
        ) from error


def sync_folder(folder: Path) -> None:
    """Make the folder's entries durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """Make a file's content durable."""
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def write_durably(path: Path, text: str) -> None:
    """Write a small file so that after a crash it is whole, or as it was. Raises `DiskError` where that fails."""
    scratch = path.with_name(f".{path.name}.tmp")
    try:
        with scratch.open("w") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        scratch.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        mend = MENDS.get(error.errno or 0, "mend its folder")
        raise DiskError(f"{path} cannot be written ({error.strerror}); {mend}, then go on with --resume") from error
