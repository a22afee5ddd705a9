"""Bringing the cell to the start of an episode: through the same targets and the same filter as a policy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from controllers import spatial
from controllers.exceptions import CellTimeout
from controllers.interface import Array, Cell, Pose, PoseTarget, Reading
from tasks.spec import TaskSpec

Reset = Callable[[Cell, int], Reading]
"""Brings a cell to the start of the episode drawn by a seed, and returns the first reading."""
STARTS = 1
"""Sets the draws of the start pose apart from the scene's of the same seed, or the one would tell the other."""


@dataclass(frozen=True)
class ScriptedReset:
    """Lift, draw the scene, move to a start pose drawn by the seed, settle, tare, hand over to the policy.

    speed: m/s of the reference. tolerance: m, rad at which the start pose counts as reached.
    clip: bound of the pose error on the way, m and rad: with the stiffness it bounds the force. rest: m/s under which
    the arm is at rest.
    """

    task: TaskSpec
    speed: float = 0.25
    tolerance: tuple[float, float] = (0.003, 0.02)
    clip: tuple[float, float] = (0.02, 0.15)
    rest: float = 0.02
    patience: int = 100

    def __call__(self, cell: Cell, seed: int) -> Reading:
        """Run it. Raises `CellTimeout` when the start pose is not reached in `patience` ticks."""
        cell.acquire("reset")
        measured = cell.read().arm.pose
        start = self.start(seed)
        over = self._above(measured)
        if self.task.gripper is not None:
            self._dwell(cell, measured, ticks=3)
        if measured.position[2] < over.position[2]:
            self._move(cell, over)
        else:
            self._rest(cell, measured)
        cell.reset_scene(seed)
        self._move(cell, start)
        cell.tare()
        cell.acquire("policy")
        return cell.read()

    def start(self, seed: int) -> Pose:
        """The start pose of an episode: the nominal one, offset in base axes within the task's noise."""
        offset = self.task.start_noise * np.random.default_rng([seed, STARTS]).uniform(-1, 1, 4)
        turn = spatial.exp(np.array([0.0, 0.0, offset[3]]))
        return Pose(self.task.start.position + offset[:3], spatial.multiply(turn, self.task.start.quaternion))

    def _above(self, measured: Pose) -> Pose:
        """Straight up to the start's height, inside the workspace: compliance may have left the tool outside."""
        box, raised = self.task.workspace, np.append(measured.position[:2], self.task.start.position[2])
        return Pose(np.clip(raised, box.low, box.high), measured.quaternion)

    def _target(self, pose: Pose, sequence: int) -> PoseTarget:
        bound = np.array([self.clip[0]] * 3 + [self.clip[1]] * 3)
        return PoseTarget(pose, sequence, clip=np.concatenate([-bound, bound]))

    def _dwell(self, cell: Cell, pose: Pose, ticks: int) -> Reading:
        """Stay where the arm is while the gripper opens."""
        reading = cell.read()
        for _ in range(ticks):
            cell.command(self._target(pose, reading.tick), self._width())
            reading = cell.wait()
        return reading

    def _rest(self, cell: Cell, pose: Pose) -> None:
        """Stay where the arm is until it is at rest: what lies on what it holds is not put there on the move."""
        reading = cell.read()
        for _ in range(self.patience):
            if np.linalg.norm(reading.arm.twist[:3]) < self.rest:
                return
            cell.command(self._target(pose, reading.tick), self._width())
            reading = cell.wait()

    def _width(self) -> float | None:
        return self.task.gripper.start if self.task.gripper else None

    def _move(self, cell: Cell, goal: Pose) -> Reading:
        """A straight line at `speed`, then wait until the arm is there and at rest."""
        reading = cell.read()
        begin = reading.arm.pose
        distance = float(np.linalg.norm(goal.position - begin.position))
        turn = spatial.log(spatial.multiply(spatial.conjugate(begin.quaternion), goal.quaternion))
        ticks = max(1, int(np.ceil(distance / (self.speed * cell.period))))
        for tick in range(1, self.patience + 1):
            share = min(1.0, tick / ticks)
            pose = Pose(
                begin.position + share * (goal.position - begin.position),
                spatial.multiply(begin.quaternion, spatial.exp(share * turn)),
            )
            cell.command(self._target(pose, reading.tick), self._width())
            reading = cell.wait()
            if share == 1.0 and self._arrived(reading, goal):
                return reading
        away = np.linalg.norm(reading.arm.pose.position - goal.position) * 1e3
        raise CellTimeout(
            f"the reset of {self.task.name} is still {away:.1f} mm from its goal after {self.patience} ticks; "
            "clear what blocks the arm, then reset again"
        )

    def _arrived(self, reading: Reading, goal: Pose) -> bool:
        arm = reading.arm
        turn: Array = spatial.log(spatial.multiply(spatial.conjugate(arm.pose.quaternion), goal.quaternion))
        return bool(
            np.linalg.norm(arm.pose.position - goal.position) < self.tolerance[0]
            and np.linalg.norm(turn) < self.tolerance[1]
            and np.linalg.norm(arm.twist[:3]) < self.rest
        )


@dataclass(frozen=True)
class FreshReset:
    """For the twin alone: begin as new, then `scripted`. An episode then depends on its seed and on nothing else."""

    scripted: ScriptedReset

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
