"""A LeRobotDataset v3 as a journal, by a map from our names to its features."""

from __future__ import annotations

import dataclasses
import hashlib
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from robot_rl.data.formats.mapping import Scale
from robot_rl.data.formats.whole import Progress, write_set
from robot_rl.data.label import Label, Record
from robot_rl.data.lerobot.dataset import Dataset, Episode, Row
from robot_rl.data.lerobot.layout import INFO
from robot_rl.data.lerobot.mapping import Plan, make_plan
from robot_rl.data.schema import Schema
from robot_rl.data.transition import Observation, Transition

SOURCE = "dataset"
"""Who judged, in the labels that stand for `next.*` that differs from `raw.*`."""

_NAMESPACE = uuid.UUID("5f0c9f5e-6a3d-4e0e-9a57-3c1d0f6f2a10")


def import_lerobot(
    folder: Path,
    into: Path,
    feature_map: Mapping[str, str] | None = None,
    *,
    schema: Schema | None = None,
    scale: Scale | None = None,
    size: tuple[int, int] | None = None,
    progress: Progress | None = None,
) -> int:
    """Write a dataset's transitions as a new journal and return how many they are.

    feature_map: our name to the dataset's feature, see `robot_rl.data.lerobot.mapping`. schema: what the records must
    be, for use beside an environment's own; None: as the dataset has it. scale: bounds of its actions, which become
    -1 and 1; without, they must be within [-1, 1]. size: (h, w) that images are brought to. `into` appears when all
    was read; a damaged dataset leaves none. Raises `DataError`.
    """
    dataset = Dataset(folder)
    plan = make_plan(dataset, feature_map or {}, schema, scale, size)
    return write_set(into, plan.schema, read_records(dataset, plan), progress).steps


def read_records(dataset: Dataset, plan: Plan) -> Iterator[Record]:
    """The transitions of a dataset, and labels where it was judged otherwise than recorded; all with sequence 0."""
    found = _Transitions(dataset, plan)
    held: tuple[Episode, Row, Observation] | None = None
    for episode, row in dataset.rows(plan.features):
        moment = episode, row, plan.observation(row)
        if held is not None:
            same = held[0] is episode
            yield from found.add(*held, moment[1] if same else None, moment[2] if same else None)
        held = moment
    if held is not None:
        yield from found.add(*held, None, None)
    yield from found.end()


class _Transitions:
    """From moments to transitions. A pair is of two moments that follow each other in one episode, and of no others.

    An episode's last moment is only a next observation, and the transition before it truncated, unless the task ended
    there: nothing is bootstrapped from what came after, so it keeps its reward, and its next observation is its own.
    """

    def __init__(self, dataset: Dataset, plan: Plan) -> None:
        self._plan, self._fps = plan, dataset.info.fps
        self._base = hashlib.sha256((dataset.folder / INFO).read_bytes()).hexdigest()
        self._pending: tuple[Transition, list[Label]] | None = None
        self._part = self._step = 0
        self._began: int | None = None

    def add(
        self, episode: Episode, row: Row, seen: Observation, after: Row | None, seen_after: Observation | None
    ) -> Iterator[Record]:
        """What the moment `row` makes known: the transition before it, mostly."""
        if self._began != episode.index:
            yield from self.end()
            self._began, self._part, self._step = episode.index, 0, 0
        if self._plan.observation_only(row):
            return
        terminated, truncated = self._plan.ends(row)
        if seen_after is None and not terminated:
            self._cut()
            return
        yield from self.end()
        transition = self._transition(episode, row, seen, after, seen_after if seen_after is not None else seen)
        transition = dataclasses.replace(transition, terminated=terminated, truncated=truncated)
        self._pending = transition, list(self._labels(transition, row))
        self._step += 1
        if terminated or truncated:
            self._part, self._step = self._part + 1, 0

    def end(self) -> Iterator[Record]:
        """The transition that is held back."""
        if self._pending is not None:
            transition, labels = self._pending
            self._pending = None
            yield transition
            yield from labels

    def _cut(self) -> None:
        """The moment after the held transition begins none: the episode was cut there."""
        if self._pending is not None and not self._pending[0].terminated:
            transition, labels = self._pending
            self._pending = dataclasses.replace(transition, truncated=True), labels

    def _transition(
        self, episode: Episode, row: Row, seen: Observation, after: Row | None, seen_after: Observation
    ) -> Transition:
        start = episode.first / self._fps
        stamp = start + float(row["timestamp"])
        values: dict[str, Any] = {
            "actor": "lerobot",
            "episode": str(uuid.uuid5(_NAMESPACE, f"{self._base}/{episode.index}/{self._part}")),
            "step": self._step,
            "stamp": stamp,
            "next_stamp": start + float(after["timestamp"]) if after is not None else stamp + 1 / self._fps,
            "reward": 0.0,
            "intervened": False,
            "success": False,
            "policy_version": 0,
        } | self._plan.values(row)
        values.setdefault("policy_action", values["action"])
        return Transition(
            sequence=0, observation=seen, next_observation=seen_after, terminated=False, truncated=False, **values
        )

    def _labels(self, transition: Transition, row: Row) -> Iterator[Label]:
        for kind, value in self._plan.judged(row).items():
            yield Label(
                actor=transition.actor, sequence=0, stamp=transition.next_stamp, episode=transition.episode,
                step=transition.step, source=SOURCE, version=0, kind=kind, value=value,
            )  # fmt: skip
