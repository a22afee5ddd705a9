"""Demonstration sets: a demonstration set is a journal, so a run's own journal is one too."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from robot_rl.data.journal import JournalReader
from robot_rl.data.label import Record
from robot_rl.data.schema import Schema
from robot_rl.exceptions import DataError


class Demonstrations:
    """The records of a set, labels among them; read from its journal whenever they are gone through."""

    def __init__(self, folder: Path, schema: Schema, what: str = "demonstrations") -> None:
        """schema: of what is learnt from; they may hold more, such as pictures. what: they are called.

        Raises `DataError`: no set, an empty one, another task, other observations or actions, damage.
        """
        self._reader = JournalReader(Path(folder))
        part_of(self._reader.schema, schema, f"the {what} in {folder}")
        if not len(self):
            raise DataError(f"the {what} in {folder} are none; record some with `robot-rl demos {schema.task}`")

    def __len__(self) -> int:
        return self._reader.next_sequence

    def __iter__(self) -> Iterator[Record]:
        return self._reader.records()


class Joined:
    """The records of several sets, one after the other."""

    def __init__(self, sets: Sequence[Demonstrations]) -> None:
        self._sets = sets

    def __len__(self) -> int:
        return sum(map(len, self._sets))

    def __iter__(self) -> Iterator[Record]:
        return chain.from_iterable(self._sets)


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


def part_of(found: Schema, wanted: Schema, what: str) -> Schema:
    """What is wanted of what was found. Raises `DataError`, naming the difference, where that is not all there."""
    names = {item.name for item in wanted.observation}
    part = dataclasses.replace(found, observation=tuple(item for item in found.observation if item.name in names))
    check_same(part, wanted, what)
    return part
