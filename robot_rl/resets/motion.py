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
LIMP = 0.1
"""Share of the ordinary bound of the pose error, aside and in turning, of an arm that is limp."""
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

    def line(self, cell: Cell, goal: Pose, *, limp: bool = False) -> Iterator[None]:
        """A straight line at `speed`, then wait until the arm is there and at rest. limp: it may be anywhere aside."""
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
            reading = self._tick(cell, pose, reading, limp=limp)
            yield
            if share == 1.0 and self._arrived(reading, goal):
                return
        away = np.linalg.norm(reading.arm.pose.position - goal.position) * 1e3
        raise CellTimeout(
            f"the reset of {self.task.name} is still {away:.1f} mm from its goal after {self.patience} ticks; "
            "clear what blocks the arm, then reset again"
        )

    def up(self, cell: Cell) -> Iterator[None]:
        """Straight up, as far as the workspace goes, limp aside and in turning: what is wedged can right itself."""
        box, measured = self.task.workspace, cell.read().arm.pose
        top = np.append(measured.position[:2], box.high[2])
        yield from self.line(cell, Pose(np.clip(top, box.low, box.high), measured.quaternion), limp=True)

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

    def _tick(self, cell: Cell, pose: Pose, reading: Reading, *, limp: bool = False) -> Reading:
        bound = np.array([self.clip[0]] * 3 + [self.clip[1]] * 3)
        if limp:
            bound[[0, 1, 3, 4, 5]] *= LIMP
        width = self.task.gripper.start if self.task.gripper else None
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
