"""How a reset moves: straight lines of the reference, one tick at a time.

Each motion is an iterator that has sent one target and seen its tick pass when it yields, so that whoever drives it may
look, or end it, between any two ticks. A motion that does not arrive raises `CellTimeout`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from controllers import spatial
from controllers.exceptions import CellTimeout
from controllers.interface import Array, Cell, Pose, PoseTarget, Reading
from controllers.kinematics import Kinematics
from controllers.models import arm_model
from tasks.spec import TaskSpec

AT_REST = 0.02
"""Speed of the tool below which it stands, m/s."""
AT_HOME = 0.1
"""Distance of every joint from home at which the arm is there, rad."""


@dataclass(frozen=True)
class Motion:
    """Motions of one task's arm.

    speed: m/s of the reference. tolerance: m, rad at which a pose counts as reached.
    clip: bound of the pose error on the way, m and rad: with the stiffness it bounds the force.
    patience: ticks of a motion until it is given up.
    """

    task: TaskSpec
    speed: float = 0.25
    tolerance: tuple[float, float] = (0.003, 0.02)
    clip: tuple[float, float] = (0.02, 0.15)
    patience: int = 100

    def dwell(self, cell: Cell, ticks: int) -> Iterator[None]:
        """Stay where the arm is while the gripper opens."""
        reading = cell.read()
        pose = reading.arm.pose
        for _ in range(ticks):
            reading = self._tick(cell, pose, reading)
            yield

    def rest(self, cell: Cell) -> Iterator[None]:
        """Stay where the arm is until it is at rest: what lies on what it holds is not put there on the move."""
        reading = cell.read()
        pose = reading.arm.pose
        for _ in range(self.patience):
            if np.linalg.norm(reading.arm.twist[:3]) < AT_REST:
                return
            reading = self._tick(cell, pose, reading)
            yield

    def line(self, cell: Cell, goal: Pose) -> Iterator[None]:
        """A straight line at `speed`, then wait until the arm is there and at rest."""
        reading, way = cell.read(), self._way(cell, goal)
        for tick in range(1, self.patience + 1):
            reading = self._tick(cell, way[min(tick, len(way)) - 1], reading)
            yield
            if tick >= len(way) and self._arrived(reading, goal):
                return
        raise self._blocked(float(np.linalg.norm(reading.arm.pose.position - goal.position)))

    def push(self, cell: Cell, goal: Pose) -> Iterator[None]:
        """The same with the hand closed, until it rests, there or against what stands in the way."""
        reading, gripper = cell.read(), self.task.gripper
        way = self._way(cell, goal)
        for tick in range(1, self.patience + 1):
            reading = self._tick(cell, way[min(tick, len(way)) - 1], reading, gripper.closed if gripper else None)
            yield
            if tick >= len(way) and np.linalg.norm(reading.arm.twist[:3]) < AT_REST:
                return

    def up(self, cell: Cell) -> Iterator[None]:
        """Straight up, as far as the workspace goes; aside and in turning the reference is wherever the arm is.

        So nothing holds a wedge together: what presses or twists the tool finds it limp, and only the pull is left.
        """
        reading, top = cell.read(), float(self.task.workspace.high[2])
        height = reading.arm.pose.position[2]
        for _ in range(self.patience):
            height = min(top, height + self.speed * cell.period)
            measured = reading.arm.pose
            pose = Pose(np.append(measured.position[:2], height), measured.quaternion)
            reading = self._tick(cell, pose, reading)
            yield
            away, rises = abs(top - reading.arm.pose.position[2]), abs(reading.arm.twist[2])
            if away < self.tolerance[0] and rises < AT_REST:
                return
        raise self._blocked(float(away))

    def home(self, cell: Cell) -> Iterator[None]:
        """Up, then to the task's home in joint space: the posture that redundant arms seek brings the joints along."""
        yield from self.up(cell)
        yield from self.line(cell, self._home)
        for _ in range(self.patience):
            reading = cell.read()
            away = np.abs(reading.arm.q - self.task.home)
            if away.max() < AT_HOME:
                return
            self._tick(cell, self._home, reading)
            yield
        worst = int(away.argmax())
        raise CellTimeout(
            f"joint {worst + 1} of the {self.task.arm} is still {away[worst]:.2f} rad from home after {self.patience} "
            "ticks; move the arm to its home by hand, then reset again"
        )

    @cached_property
    def _home(self) -> Pose:
        return Kinematics(arm_model(self.task.arm)).pose(self.task.home)

    def _blocked(self, away: float) -> CellTimeout:
        """What is raised so many m from a goal."""
        return CellTimeout(
            f"the reset of {self.task.name} is still {away * 1e3:.1f} mm from its goal after {self.patience} ticks; "
            "clear what blocks the arm, then reset again"
        )

    def _way(self, cell: Cell, goal: Pose) -> list[Pose]:
        """The reference's poses on a straight line from where the arm is, a tick apart; the last one is `goal`."""
        begin = cell.read().arm.pose
        distance = float(np.linalg.norm(goal.position - begin.position))
        turn = spatial.log(spatial.multiply(spatial.conjugate(begin.quaternion), goal.quaternion))
        ticks = max(1, int(np.ceil(distance / (self.speed * cell.period))))
        return [
            Pose(
                begin.position + share * (goal.position - begin.position),
                spatial.multiply(begin.quaternion, spatial.exp(share * turn)),
            )
            for share in np.arange(1, ticks + 1) / ticks
        ]

    def _tick(self, cell: Cell, pose: Pose, reading: Reading, width: float | None = None) -> Reading:
        """width: of the gripper, m; None: as at a start."""
        bound = np.array([self.clip[0]] * 3 + [self.clip[1]] * 3)
        if width is None and self.task.gripper is not None:
            width = self.task.gripper.start
        cell.command(PoseTarget(pose, reading.tick, clip=np.concatenate([-bound, bound])), width)
        return cell.wait()

    def _arrived(self, reading: Reading, goal: Pose) -> bool:
        arm = reading.arm
        turn: Array = spatial.log(spatial.multiply(spatial.conjugate(arm.pose.quaternion), goal.quaternion))
        return bool(
            np.linalg.norm(arm.pose.position - goal.position) < self.tolerance[0]
            and np.linalg.norm(turn) < self.tolerance[1]
            and np.linalg.norm(arm.twist[:3]) < AT_REST
        )
