"""RLIF's reward: making somebody take over is bad, and nothing else is known (Luo et al., 2023, arXiv 2311.12996).

The last step of the policy before a takeover is worth -1, every other step 0; so are demonstrations. What the task
would have paid is not looked at. An operator's own judgement, and an arm's latch, still count (`robot_rl.oversight`).
"""

from __future__ import annotations

import dataclasses
from typing import Protocol

from robot_rl.data.label import FAULT, HUMAN, Label, Record
from robot_rl.data.transition import Transition

SOURCE = "intervention"
"""As a label's source."""
PENALTY = -1.0
COUNT = (HUMAN, FAULT)
"""Whose rewards still count."""


class Step(Protocol):
    """A step that was made before."""

    @property
    def episode(self) -> str: ...

    @property
    def step(self) -> int: ...

    @property
    def intervened(self) -> bool: ...


def relabelled(record: Record, before: Step | None) -> list[Record]:
    """What is learnt from in place of `record`, in order; `before`: the same actor's step before it, if any.

    The judgement of the step before comes as a label of it, so it does not matter when that one was sampled.
    """
    if isinstance(record, Label):
        return [record] if record.kind != "reward" or record.source in COUNT else []
    worthless = dataclasses.replace(record, reward=0.0)
    if before is None or not _took_over(before, record):
        return [worthless]
    blame = Label(
        actor=record.actor,
        sequence=record.sequence,
        stamp=record.stamp,
        episode=before.episode,
        step=before.step,
        source=SOURCE,
        version=0,
        kind="reward",
        value=PENALTY,
    )
    return [blame, worthless]


def of_demonstration(record: Record) -> list[Record]:
    """What is learnt from in place of a record that was there before the run: steps worth nothing."""
    if isinstance(record, Label):
        return [] if record.kind == "reward" else [record]
    return [dataclasses.replace(record, reward=0.0)]


def _took_over(before: Step, after: Transition) -> bool:
    """Whether somebody took over between the two steps."""
    follows = before.episode == after.episode and before.step + 1 == after.step
    return follows and after.intervened and not before.intervened
