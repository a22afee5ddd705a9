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
        for reset, arm in ((self._partner, partner_of(cell)), (self._own, cell)):
            before = self.outcome
            try:
                reset(arm, seed)
            finally:
                self.outcome = _together(before, reset.outcome)
        return cell.read()


def _together(first: Outcome, then: Outcome) -> Outcome:
    """Of two resets as of one."""
    return Outcome(
        first.failures + then.failures,
        first.seconds + then.seconds,
        first.homed or then.homed,
        first.put_back or then.put_back,
    )


def scripted_reset(task: TaskSpec) -> Reset:
    """Straight to the start, of each arm that the task has."""
    own = ScriptedReset(task)
    return own if task.partner is None else BothReset(ScriptedReset(task.partner.task, draw=False), own)


def recovering_reset(task: TaskSpec, config: ResetConfig) -> Reset:
    """What runs train and are used with, of each arm that the task has."""
    own = RecoveringReset(task, config)
    if task.partner is None:
        return own
    return BothReset(RecoveringReset(task.partner.task, replace(config, draw=False, stir_every=0)), own)
