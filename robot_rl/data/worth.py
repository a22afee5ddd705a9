"""What the steps of a set are worth to an agent that learns from nothing else."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterator

from robot_rl.config import LearnerConfig
from robot_rl.data.beside import read_labels
from robot_rl.data.demos import part_of
from robot_rl.data.formats.experience import Experience
from robot_rl.data.label import HUMAN, Label, Labels, Record
from robot_rl.data.schema import Schema
from robot_rl.data.transition import Transition, endless
from robot_rl.exceptions import DataError

RECORDED = "task"
"""The reward that the set holds."""
CONSTANT = "constant"
"""Every step is worth nothing: what an agent still learns from that, it does not owe to a reward."""
RANGE = 1000.0
"""Of returns, where rewards are scaled (IQL's authors, for locomotion)."""


class Worth:
    """The records of a set, each step with its reward as `reward` has it: `task`, `constant`, or a source of labels.

    A person's labels stand above every other's, but `constant`'s; what is discarded stays so. Labels of more than
    0 and 1 grade every step and do not say when the task is done: then no step is the last of its value.
    DataError: labels of that source do not lie beside the set, or not of all its steps.
    """

    def __init__(
        self, experience: Experience, reward: str, settings: LearnerConfig, schema: Schema | None = None
    ) -> None:
        """schema: what is learnt from; the set may observe more (pictures beside the state), which is left out.

        DataError: the set observes less, or otherwise.
        """
        self._experience, self._reward = experience, reward
        self._schema = (
            part_of(experience.schema, schema, f"the steps in {experience.path}") if schema else experience.schema
        )
        self._graded = False
        self._labels = self._judgement()
        self._scale = RANGE / self._span() if settings.reward_scaling else 1.0
        self._shift = settings.reward_shift

    def __len__(self) -> int:
        return self._experience.records

    def __iter__(self) -> Iterator[Record]:
        for reader in self._experience.readers:
            for record in reader.records(packed=not self._schema.images):
                if isinstance(record, Transition):
                    yield self._seen(record, self._scale * self._worth(record) + self._shift)
                elif record.kind != "reward" and not (self._graded and record.kind == "success"):
                    yield record  # what succeeded would end there

    def steps(self, packed: bool = False) -> Iterator[tuple[Transition, float]]:
        """Every step with its reward, before any scaling. packed: no picture is decoded."""
        return ((step, self._worth(step)) for step in self._experience.steps(packed=packed))

    def _seen(self, step: Transition, reward: float) -> Transition:
        """The step as it is learnt from."""
        names = [item.name for item in self._schema.observation]
        values = {item.name: getattr(step, item.name) for item in dataclasses.fields(Transition)}
        values |= {part: {name: values[part][name] for name in names} for part in ("observation", "next_observation")}
        seen = Transition(**values | {"reward": reward})
        return endless(seen) if self._graded else seen

    def _judgement(self) -> Labels:
        """The labels that count."""
        if self._reward in (RECORDED, CONSTANT):
            return self._experience.judgement()
        given = list(read_labels(self._experience.path, self._reward))
        self._refuse_holes(given)
        self._graded = any(label.value not in (0.0, 1.0) for label in given if label.kind == "reward")
        found = Labels()
        for label in (*self._experience.labels, *given):
            if label.source in (HUMAN, self._reward) or label.kind != "reward":
                found.add(label)
        return found

    def _refuse_holes(self, labels: list[Label]) -> None:
        judged = {(label.episode, label.step) for label in labels if label.kind == "reward"}
        own = self._experience.judgement()
        steps = [(step.episode, step.step) for step in self._experience.steps(packed=True)]
        steps = [place for place in steps if not own.discarded(*place)]
        if missing := [place for place in steps if place not in judged]:
            episode, step = missing[0]
            raise DataError(
                f"{len(missing):,} of {len(steps):,} steps of {self._experience.path} have no reward of "
                f"'{self._reward}' (step {step} of episode {episode}, for one); relabel the set anew"
            )

    def _worth(self, step: Transition) -> float:
        if self._reward == CONSTANT:
            return 0.0
        return self._labels.reward(step.episode, step.step, step.reward)

    def _span(self) -> float:
        """From the least return of an episode to the greatest; 1 where they are alike."""
        totals: dict[str, float] = defaultdict(float)
        for step, reward in self.steps(packed=True):
            totals[step.episode] += reward
        return max(totals.values(), default=0.0) - min(totals.values(), default=0.0) or 1.0
