"""Labels that lie beside recorded experience: what a reward model said of its steps, without a copy of a picture.

Each judgement of all is a journal of labels alone in `PATH/labels/SOURCE-vN`, PATH being what was judged: a run, a
journal, a set. What lay there before stays; the highest N is the newest.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from controllers.settings import suggest
from robot_rl.data.formats.experience import Experience
from robot_rl.data.formats.whole import Progress, whole
from robot_rl.data.journal import Journal, JournalReader
from robot_rl.data.label import FAULT, HUMAN, Label
from robot_rl.exceptions import DataError

FOLDER = "labels"
RESERVED = (HUMAN, FAULT, "task", "dataset", "constant", "intervention")
"""Names that no reward model may have."""


@dataclass(frozen=True)
class Judgement:
    """What a model says of a step. kind: `reward` or `success`."""

    episode: str
    step: int
    value: float
    kind: str = "reward"


def sources(path: Path) -> dict[str, int]:
    """Whose labels lie beside `path`, and their newest version."""
    found: dict[str, int] = {}
    for folder in (path / FOLDER).glob("*-v*"):
        source, _, version = folder.name.rpartition("-v")
        if version.isdigit() and any(folder.glob("*.mcap")):
            found[source] = max(found.get(source, 0), int(version))
    return found


def write_labels(
    experience: Experience, source: str, judgements: Iterable[Judgement], progress: Progress | None = None
) -> Path:
    """Lay a new version of `source`'s labels beside the experience; return its folder. Raises `DataError`."""
    if source in RESERVED or not source.replace("_", "").isalnum():
        raise DataError(f"labels cannot be of source '{source}'; name it by letters and digits, not {RESERVED}")
    version = sources(experience.path).get(source, 0) + 1
    folder = experience.path / FOLDER / f"{source}-v{version}"
    now = time.time()
    with whole(folder) as part, Journal(part, experience.schema, sync=False) as journal:
        for count, said in enumerate(judgements, 1):
            journal.append(
                Label(
                    actor=f"{source}-v{version}",
                    sequence=journal.next_sequence,
                    stamp=now,
                    episode=said.episode,
                    step=said.step,
                    source=source,
                    version=version,
                    kind=said.kind,
                    value=said.value,
                )
            )
            if progress is not None:
                progress(count)
    return folder


def read_labels(path: Path, source: str, version: int | None = None) -> Iterator[Label]:
    """The labels of `source` beside `path`, of the newest version unless one is named. Raises `DataError`."""
    known = sources(path)
    if source not in known:
        there = f"{suggest(source, known)}" if known else "there are none"
        raise DataError(f"no labels of '{source}' lie beside {path} ({there}); make them with `robot-rl data relabel`")
    return JournalReader(path / FOLDER / f"{source}-v{version or known[source]}").labels()
