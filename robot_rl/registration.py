"""Gymnasium ids of the tasks: `robot_rl/PegInsert-v0` for the task `peg_insert`, and so on."""

from __future__ import annotations

import gymnasium

import tasks


def register_envs() -> None:
    """Register every task; `import robot_rl` does it."""
    for name in tasks.names():
        identity = f"robot_rl/{''.join(part.capitalize() for part in name.split('_'))}-v0"
        if identity not in gymnasium.registry:
            gymnasium.register(identity, entry_point="robot_rl.envs:make", kwargs={"name": name})
