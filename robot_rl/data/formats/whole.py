"""Folders that are there as a whole or not at all."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from robot_rl.data.journal import Journal
from robot_rl.data.label import Record
from robot_rl.data.schema import Schema
from robot_rl.data.transition import Transition
from robot_rl.disk import sync_file, sync_folder
from robot_rl.exceptions import DataError

PART = ".part"
MARK = ".being-written"
"""A file in a folder that is being written, locked by whoever writes it: a kill lets go of it."""
_log = logging.getLogger(__name__)

Progress = Callable[[int], None]
"""Told how many records are done."""


def refuse_taken(folder: Path) -> None:
    """Raise `DataError` unless a new folder can be made at `folder`: nothing is ever overwritten."""
    part = part_of(folder)
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise DataError(f"{folder} exists already; name another folder, nothing is overwritten")
    if part.exists() and not _is_left_over(part):
        raise DataError(f"{part} is there: another command is writing it, or it is not ours; wait, or move it away")


def part_of(folder: Path) -> Path:
    """Where the content of `folder` lies while it is being written."""
    return folder.with_name(folder.name + PART)


def _is_left_over(part: Path) -> bool:
    """Whether a command that was killed left this folder: its mark is there, and nobody holds it."""
    try:
        mark = os.open(part / MARK, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(mark)
    return True


def _begin(folder: Path) -> tuple[Path, int]:
    """A new folder for the content of `folder`, and its mark, held until that is closed.

    What a killed command left there before is removed; what is left for other folders beside it is named.
    """
    part = part_of(folder)
    if part.exists():
        _log.warning("%s is what a command that was killed left: removed", part)
        shutil.rmtree(part)
    folder.parent.mkdir(parents=True, exist_ok=True)
    for other in sorted(folder.parent.glob("*" + PART)):
        if _is_left_over(other):
            _log.warning("%s is what a command that was killed left: remove it", other)
    part.mkdir()
    mark = os.open(part / MARK, os.O_WRONLY | os.O_CREAT)
    fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return part, mark


@contextmanager
def whole(folder: Path) -> Iterator[Path]:
    """A folder to write to, which becomes `folder` if the block ends well and is removed if it does not.

    Raises `DataError` where there is something already, or where the disk refuses.
    """
    folder = Path(os.path.abspath(folder))  # noqa: PTH100 (`resolve` would follow links)
    refuse_taken(folder)
    try:
        part, mark = _begin(folder)
    except OSError as error:
        raise DataError(f"{part_of(folder)} cannot be made: {error.strerror}") from error
    try:
        yield part
        (part / MARK).unlink()
        _sync(part)
        part.rename(folder)
        sync_folder(folder.parent)
    except OSError as error:
        raise DataError(f"{folder} cannot be written: {error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
        os.close(mark)


def _sync(folder: Path) -> None:
    """Make all that lies below `folder` durable, itself included: a name must not outlive what it promises."""
    for place, _, files in os.walk(folder):
        for name in files:
            sync_file(Path(place, name))
        sync_folder(Path(place))


@dataclass(frozen=True)
class Written:
    """What a new set holds."""

    steps: int
    episodes: int
    labels: int


def write_set(folder: Path, schema: Schema, records: Iterable[Record], progress: Progress | None = None) -> Written:
    """Write a new journal, numbered anew; as a whole or not at all. Raises `DataError`."""
    steps = labels = 0
    episodes: set[str] = set()
    with whole(folder) as part, Journal(part, schema, sync=False) as journal:
        for record in records:
            try:
                journal.append(replace(record, sequence=journal.next_sequence))
            except DataError as error:
                raise DataError(f"step {record.step} of episode '{record.episode}': {error}") from error
            if isinstance(record, Transition):
                steps += 1
                episodes.add(record.episode)
            else:
                labels += 1
            if progress is not None:
                progress(steps)
        if not steps:
            raise DataError(f"there is no step to write to {folder}")
    return Written(steps, len(episodes), labels)
