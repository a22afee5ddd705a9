"""Demonstration sets: a demonstration set is a journal, so a run's own journal is one too."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from robot_rl.data.journal import Journal, JournalReader
from robot_rl.data.label import Record
from robot_rl.data.schema import Schema
from robot_rl.data.transition import Transition
from robot_rl.exceptions import DataError


def save_demos(folder: Path, transitions: Iterable[Transition], schema: Schema) -> int:
    """Write a new set and return how many transitions it holds; they are numbered anew, in order.

    Raises `DataError` where the folder holds something already, or a transition is of another form.
    """
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise DataError(f"{folder} is not empty; choose another folder for the demonstrations")
    part = folder.with_name(folder.name + ".part")  # a set is there as a whole or not at all
    shutil.rmtree(part, ignore_errors=True)
    try:
        with Journal(part, schema, sync=False) as journal:
            for sequence, transition in enumerate(transitions):
                journal.append(dataclasses.replace(transition, sequence=sequence))
            count = journal.next_sequence
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return count


class Demonstrations:
    """The records of a set, labels among them; read from its journal whenever they are gone through."""

    def __init__(self, folder: Path, schema: Schema) -> None:
        """schema: of the environments that they are for.

        Raises `DataError`: no set, an empty one, another task, other observations or actions, damage.
        """
        self._reader = JournalReader(Path(folder))
        check_same(self._reader.schema, schema, f"the demonstrations in {folder}")
        if not len(self):
            raise DataError(f"the demonstrations in {folder} are none; record some with `robot-rl demos {schema.task}`")

    def __len__(self) -> int:
        return self._reader.next_sequence

    def __iter__(self) -> Iterator[Record]:
        return self._reader.records()


def load_demos(folder: Path, schema: Schema) -> list[Transition]:
    """All transitions of a set, in memory. Raises `DataError` as `Demonstrations` does."""
    return [record for record in Demonstrations(folder, schema) if isinstance(record, Transition)]


def check_same(found: Schema, wanted: Schema, what: str) -> None:
    """Raise `DataError`, naming the difference, unless `what` has the schema that is wanted."""
    if found == wanted:
        return
    if found.task != wanted.task:
        raise DataError(f"{what} are of task '{found.task}', not '{wanted.task}'; record them for this task")
    if found.actions != wanted.actions:
        raise DataError(f"{what} have actions {', '.join(found.actions)}, not {', '.join(wanted.actions)}")
    theirs = {field.name: field for field in found.observation}
    ours = {field.name: field for field in wanted.observation}
    differ = sorted(name for name in theirs.keys() | ours.keys() if theirs.get(name) != ours.get(name))
    raise DataError(f"{what} observe otherwise than this environment: {', '.join(differ)}; record them anew")
