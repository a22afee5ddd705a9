"""The task's own reward, from what the cell measures."""

from __future__ import annotations

from controllers.interface import Reading
from robot_rl.rewards.base import RewardResult
from tasks.spec import TaskSpec


class TaskReward:
    """Applies `TaskSpec.reward`."""

    source = "task"

    def __init__(self, task: TaskSpec) -> None:
        self._task = task

    def __call__(self, reading: Reading) -> RewardResult:
        value, success = self._task.reward(reading)
        return RewardResult(value, success)
