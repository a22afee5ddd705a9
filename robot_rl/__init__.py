"""robot_rl: reinforcement learning on real robots, and on their twin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robot_rl.registration import register_envs

if TYPE_CHECKING:
    from robot_rl.envs import make as make

__version__ = "0.1.0"

register_envs()


def __getattr__(name: str) -> object:
    # Lazy, so that the command line's help does not load MuJoCo.
    if name == "make":
        from robot_rl.envs import make

        return make
    raise AttributeError(f"module 'robot_rl' has no attribute {name!r}")
