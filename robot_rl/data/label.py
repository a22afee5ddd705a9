"""Judgements of steps that were made before: reward, success, discard, and taking one of these back.

A label is a record of its own, journalled and delivered as a step is; it never changes an earlier one. What
holds of a step is asked of `Labels`, which gives the same answer in whatever order the labels came.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from robot_rl.data.transition import Transition
from robot_rl.exceptions import DataError

KINDS = ("reward", "success", "discard", "undo")
HUMAN = "human"
"""The source whose word stands over every other's."""
FAULT = "fault"
"""The source that tells of an arm that latched, where a run learns from interventions (`robot_rl.oversight`)."""
LATE = "late"
"""The source of a reward model's judgement that came after its step was recorded."""

EPISODE = -1
"""As a label's step: the whole episode."""


@dataclass(frozen=True)
class Label:
    """What `source` judged of step `step` of `episode` (-1: of each of its steps). Raises `DataError` if impossible.

    actor: the name that the labeller's journal is delivered under; sequence: in that journal, numbered together
    with transitions, without holes. stamp: s, when it was judged. version: of that source's judgement; the newest wins.
    value: the reward; for `success` and `discard` 1 or 0; for `undo` 0.
    """

    actor: str
    sequence: int
    stamp: float
    episode: str
    step: int
    source: str
    version: int
    kind: str
    value: float

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise DataError(f"a label's kind is {self.kind!r}; choose from {', '.join(KINDS)}")
        if not (math.isfinite(self.value) and math.isfinite(self.stamp)):
            raise DataError(f"a label's value is {self.value} at {self.stamp} s; both must be finite")
        if self.kind in ("success", "discard") and self.value not in (0.0, 1.0):
            raise DataError(f"a label's {self.kind} is {self.value}; it must be 1 or 0")
        if self.step < EPISODE:
            raise DataError(f"a label's step is {self.step}; steps count from 0, and -1 is the whole episode")

    @property
    def order(self) -> tuple[int, float, str, int]:
        """What makes one judgement of a source newer than another."""
        return self.version, self.stamp, self.actor, self.sequence


Record = Transition | Label


@dataclass
class _Said:
    """The newest that one source said of one (episode, step): by kind, and how far it took that back."""

    newest: dict[str, Label] = field(default_factory=dict)
    undo: Label | None = None

    def holds(self, label: Label) -> bool:
        return self.undo is None or label.version > self.undo.version


class Labels:
    """Which reward and success hold, and what is discarded, after every label so far, in whatever order they came.

    Of one source's labels of one kind for one (episode, step) the newest version holds, unless an `undo` of that
    version or a later one took it back. Among sources a person's word (`human`) stands before any other, a step's own
    label before its episode's, then the later stamp. Where nothing holds, what was recorded does.
    """

    def __init__(self) -> None:
        self._said: dict[tuple[str, int], dict[str, _Said]] = {}

    def add(self, label: Label) -> bool:
        """Take a label in; whether an answer may be another now (twice the same label: no)."""
        said = self._said.setdefault((label.episode, label.step), {}).setdefault(label.source, _Said())
        if label.kind == "undo":
            if said.undo is not None and said.undo.order >= label.order:
                return False
            before = [one for one in said.newest.values() if said.holds(one)]
            said.undo = label
            return not all(said.holds(one) for one in before)
        known = said.newest.get(label.kind)
        if known is not None and known.order >= label.order:
            return False
        said.newest[label.kind] = label
        return said.holds(label)

    def reward(self, episode: str, step: int, raw: float) -> float:
        """The reward of a step that was recorded with `raw`."""
        label = self._holding("reward", episode, step)
        return raw if label is None else label.value

    def success(self, episode: str, step: int, raw: bool) -> bool:
        """Whether a step that was recorded with `raw` succeeded. An episode's success is its last step's."""
        label = self._holding("success", episode, step)
        return raw if label is None else label.value == 1.0

    def ends(self, episode: str, step: int) -> bool:
        """Whether a label of this very step says that it succeeded: nothing of the episode follows."""
        said = self._said.get((episode, step), {}).values()
        found = [label for one in said if (label := one.newest.get("success")) is not None and one.holds(label)]
        return bool(found) and max(found, key=_rank).value == 1.0

    def discarded(self, episode: str, step: int) -> bool:
        """Whether a step is not to be learnt from."""
        label = self._holding("discard", episode, step)
        return label is not None and label.value == 1.0

    def __iter__(self) -> Iterator[Label]:
        """The labels that another `Labels` needs to give the same answers, now and after any label to come."""
        for sources in self._said.values():
            for said in sources.values():
                yield from said.newest.values()
                if said.undo is not None:
                    yield said.undo

    def _holding(self, kind: str, episode: str, step: int) -> Label | None:
        found = [
            label
            for place in {step, EPISODE}
            for said in self._said.get((episode, place), {}).values()
            if (label := said.newest.get(kind)) is not None and said.holds(label)
        ]
        return max(found, key=_rank, default=None)


def _rank(label: Label) -> tuple[bool, bool, float, str]:
    return label.source == HUMAN, label.step != EPISODE, label.stamp, label.source
