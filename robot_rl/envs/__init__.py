"""Environments: `RobotEnv`, and `make` that builds one over the twin."""

from __future__ import annotations

from robot_rl.envs.make import make, make_env
from robot_rl.envs.robot_env import RobotEnv

__all__ = ["RobotEnv", "make", "make_env"]
