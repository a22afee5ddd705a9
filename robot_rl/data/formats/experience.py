"""Experience of this program wherever it lies: a run with its journals, a journal, a set of demonstrations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np

from robot_rl.data.demos import check_same
from robot_rl.data.formats.pieces import judged
from robot_rl.data.journal import JournalReader
from robot_rl.data.label import Label, Labels
from robot_rl.data.schema import Schema
from robot_rl.data.transition import Transition
from robot_rl.exceptions import DataError


@dataclass(frozen=True)
class Experience:
    """The journals in one place, of one schema."""

    path: Path
    readers: tuple[JournalReader, ...]

    @property
    def schema(self) -> Schema:
        return self.readers[0].schema

    @property
    def records(self) -> int:
        """How many there are, labels included."""
        return sum(reader.next_sequence for reader in self.readers)

    @cached_property
    def labels(self) -> tuple[Label, ...]:
        """Every label. Pictures are not decoded for it."""
        return tuple(label for reader in self.readers for label in reader.labels())

    def judgement(self) -> Labels:
        """What the labels say."""
        found = Labels()
        for label in self.labels:
            found.add(label)
        return found

    def steps(self, packed: bool = False) -> Iterator[Transition]:
        """Every step as it was recorded. packed: no picture is decoded (`codec.Packed`)."""
        for reader in self.readers:
            yield from reader.read(packed=packed)

    def rate(self) -> float:
        """Steps a second, by the stamps of the first of them. Raises `DataError` where they tell none."""
        periods = [step.next_stamp - step.stamp for step in islice(self.steps(packed=True), 100)]
        period = float(np.median(periods)) if periods else 0.0
        if period <= 0:
            raise DataError(f"{self.path} does not show its rate: a step takes {period} s; say it with --fps")
        return round(1 / period, 3)

    def judged(self) -> Iterator[Transition]:
        """The steps as the labels have them: what an export holds."""
        return judged(self.steps(), self.judgement())


def journals(path: Path) -> list[Path]:
    """The folders with journals in a run's folder, or the one that `path` is itself."""
    if (path / "config.yaml").is_file():
        return sorted(folder for folder in path.glob("journal*") if any(folder.glob("*.mcap")))
    return [path] if path.is_dir() and any(path.glob("*.mcap")) else []


def open_experience(path: Path) -> Experience:
    """The journals at `path`. Raises `DataError` where there is none, or one is damaged or of another schema."""
    folders = journals(path)
    if not folders:
        there = "holds no journal" if path.exists() else "does not exist"
        raise DataError(f"{path} {there}; name a run, a journal or a set of demonstrations")
    found = Experience(path, tuple(JournalReader(folder) for folder in folders))
    for reader in found.readers[1:]:
        check_same(reader.schema, found.schema, f"the steps in {reader.folder}")
    return found
