"""The plain reset: lift, draw the scene, go to a start."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from controllers import spatial
from controllers.exceptions import SettingsError
from controllers.interface import Cell, Pose, Reading
from robot_rl.resets.base import Outcome, Reset
from robot_rl.resets.motion import Motion
from tasks.spec import AXES

STARTS = 1
"""Sets the draws of the start pose apart from the scene's of the same seed, or the one would tell the other."""
TOUCHING = 1e-6
"""What is not yet outside the workspace, m."""
OPENING = 3
"""Ticks in which a gripper opens."""


@dataclass(frozen=True)
class ScriptedReset(Motion):
    """Lift, draw the scene, move to a start pose drawn by the seed, settle, tare, hand over to the policy.

    draw: False leaves the scene as it is.
    """

    draw: bool = True
    outcome = Outcome()

    def __post_init__(self) -> None:
        """Raise `SettingsError` for starts outside the workspace: the filter would keep the arm from them."""
        box, start, reach = self.task.workspace, self.task.start.position, self.task.start_noise[:3]
        beyond = np.maximum(box.low - (start - reach), (start + reach) - box.high)
        worst = int(beyond.argmax())
        if beyond[worst] > TOUCHING:
            raise SettingsError(
                f"starts of {self.task.name} lie up to {beyond[worst] * 1e3:.0f} mm outside its workspace along "
                f"{AXES[worst]}: move `start`, lower `start_noise`, or widen the workspace"
            )

    def __call__(self, cell: Cell, seed: int) -> Reading:
        """Run it. Raises `CellTimeout` when the start pose is not reached in `patience` ticks."""
        for _ in self.ticks(cell, seed):
            pass
        return cell.read()

    def ticks(self, cell: Cell, seed: int) -> Iterator[None]:
        """The same, tick by tick."""
        cell.acquire("reset")
        measured = cell.read().arm.pose
        over = self._above(measured)
        if self.task.gripper is not None:
            yield from self.dwell(cell, OPENING)
        if self.task.pull_free:
            yield from self.up(cell)
        elif measured.position[2] < over.position[2]:
            yield from self.line(cell, over)
        else:
            yield from self.rest(cell)
        if self.draw:
            cell.reset_scene(seed)
        yield from self.line(cell, self.start(seed))
        cell.tare()
        cell.acquire("policy")

    def start(self, seed: int) -> Pose:
        """The start pose of an episode: the nominal one, offset in base axes within the task's noise."""
        offset = self.task.start_noise * np.random.default_rng([seed, STARTS]).uniform(-1, 1, 4)
        turn = spatial.exp(np.array([0.0, 0.0, offset[3]]))
        return Pose(self.task.start.position + offset[:3], spatial.multiply(turn, self.task.start.quaternion))

    def _above(self, measured: Pose) -> Pose:
        """Straight up to the start's height, inside the workspace: compliance may have left the tool outside."""
        box, raised = self.task.workspace, np.append(measured.position[:2], self.task.start.position[2])
        return Pose(np.clip(raised, box.low, box.high), measured.quaternion)


@dataclass(frozen=True)
class FreshReset:
    """For the twin alone: begin as new, then `scripted`. An episode then depends on its seed and on nothing else."""

    scripted: Reset
    outcome = Outcome()

    def __call__(self, cell: Cell, seed: int) -> Reading:
        """Run it. Raises `ArmLatched` while the arm is latched: also here a person must recover it."""
        if not isinstance(cell, Restartable):
            raise TypeError(f"{type(cell).__name__} cannot begin as new; only the twin can")
        if cell.read().safety != "latched":
            cell.restart()
        return self.scripted(cell, seed)


@runtime_checkable
class Restartable(Protocol):
    """A cell that can begin as new."""

    def restart(self) -> None: ...
