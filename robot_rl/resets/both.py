"""Resets of tasks, whether they have one arm or two to bring to a start."""

from __future__ import annotations

from dataclasses import replace

from controllers.interface import Cell, Reading, partner_of
from robot_rl.resets.base import Outcome, Reset
from robot_rl.resets.configuration import ResetConfig
from robot_rl.resets.recovery import RecoveringReset
from robot_rl.resets.scripted import ScriptedReset
from tasks.spec import TaskSpec


class BothReset:
    """One arm after the other, each through its own filter, the partner first; who does not move holds where it is."""

    def __init__(self, partner: Reset, own: Reset) -> None:
        """partner: leaves the scene as it is."""
        self._partner, self._own = partner, own
        self.outcome = Outcome()

    def __call__(self, cell: Cell, seed: int) -> Reading:
        """Run it. Raises as its parts do."""
        self.outcome = Outcome()
        self._partner(partner_of(cell), seed)
        reading = self._own(cell, seed)
        first, last = self._partner.outcome, self._own.outcome
        self.outcome = replace(
            last,
            failures=(*(f"partner: {failure}" for failure in first.failures), *last.failures),
            seconds=first.seconds + last.seconds,
            homed=first.homed or last.homed,
        )
        return reading


def scripted_reset(task: TaskSpec) -> Reset:
    """Straight to the start, of each arm that the task has."""
    own = ScriptedReset(task)
    return own if task.partner is None else BothReset(ScriptedReset(task.partner.task, draw=False), own)


def recovering_reset(task: TaskSpec, config: ResetConfig) -> Reset:
    """What runs train and are used with, of each arm that the task has."""
    own = RecoveringReset(task, config)
    if task.partner is None:
        return own
    return BothReset(RecoveringReset(task.partner.task, replace(config, draw=False)), own)
