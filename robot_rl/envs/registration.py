"""Gymnasium ids of the tasks, found through the `gymnasium.envs` entry point: no import of robot_rl needed."""

from __future__ import annotations

import gymnasium

import tasks


def register_envs() -> None:
    """Register `robot_rl/PegInsert-v0` for the task `peg_insert`, and so on for every task."""
    for name in tasks.names():
        camel = "".join(part.capitalize() for part in name.split("_"))
        if f"robot_rl/{camel}-v0" not in gymnasium.registry:
            gymnasium.register(f"robot_rl/{camel}-v0", entry_point="robot_rl.envs:make", kwargs={"name": name})
