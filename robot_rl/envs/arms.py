"""The arms that an environment moves: one, or a task's own and its partner."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controllers import spatial
from controllers.interface import Cell, Pose, PoseTarget, Reading, partner_of
from robot_rl.envs.action import ActionMapper
from tasks.spec import TaskSpec


class EnvArm:
    """One arm: its cell, and its part of the actions. part: of an environment's action (A,)."""

    def __init__(self, task: TaskSpec, cell: Cell, part: slice, *, second: bool) -> None:
        self._cell, self._part, self._second = cell, part, second
        self._map = ActionMapper(task)

    def reset(self) -> None:
        """Start an episode."""
        self._map.reset()

    def of(self, reading: Reading) -> Reading:
        """What this arm measures, of a reading of its cell's first arm."""
        if not self._second:
            return reading
        assert reading.partner is not None, "a cell of two arms reads both"
        return reading.partner

    def command(self, action: NDArray, reading: Reading) -> None:
        """Send what `action` (A,) means for this arm. Raises `CommandRejected` or `ArmLatched`."""
        own, mine = self.of(reading), action[self._part]
        self._cell.command(PoseTarget(self._map.reference(mine, own), own.tick), self._map.gripper_width(mine))

    def clamped(self, action: NDArray, before: Reading, after: Reading) -> NDArray[np.float32]:
        """(2,): m and rad from the reference that `action` asked for to the one that is."""
        asked = self._map.asked(action[self._part], self.of(before))
        return _distance(asked, self.of(after).arm.reference)


def arms_of(task: TaskSpec, cell: Cell) -> tuple[EnvArm, ...]:
    """The task's arms in `cell`. Raises TypeError for a task with two arms where the cell has one."""
    if task.partner is None:
        return (EnvArm(task, cell, slice(0, task.action_dim), second=False),)
    beside = task.partner.task
    split = task.action_dim - beside.action_dim
    second = EnvArm(beside, partner_of(cell), slice(split, task.action_dim), second=True)
    return EnvArm(task, cell, slice(0, split), second=False), second


def _distance(asked: Pose, accepted: Pose) -> NDArray[np.float32]:
    """(2,): m and rad between two poses."""
    turn = spatial.log(spatial.multiply(spatial.conjugate(asked.quaternion), accepted.quaternion))
    return np.array([np.linalg.norm(accepted.position - asked.position), np.linalg.norm(turn)], np.float32)
