"""Reward models: each sees a reading and gives a value and whether the task is done."""

from __future__ import annotations

from robot_rl.rewards.base import RewardModel, RewardResult
from robot_rl.rewards.human import HumanReward
from robot_rl.rewards.task import TaskReward

__all__ = ["HumanReward", "RewardModel", "RewardResult", "TaskReward"]
