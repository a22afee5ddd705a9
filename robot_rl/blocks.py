"""How a learner's work is cut into compiled calls, and these into blocks that each make a version of the policy."""

from __future__ import annotations

from robot_rl.config import OFFLINE, LearnerConfig

BC_SLICES = 100
"""Steps of behaviour cloning in one compiled call."""
OFFLINE_SLICES, OFFLINE_BLOCK = 20, 1000
"""Steps of other offline agents in one compiled call, and in a block, at most."""


def plan(agent: str, settings: LearnerConfig) -> tuple[int, int, int]:
    """Gradient steps in a compiled call, calls in a block, and how many blocks there are for an offline agent.

    Blocks are alike, so there may be a few steps more than was asked for, never fewer. 0 blocks: as many as the
    environment's steps make due.
    """
    if agent not in OFFLINE:
        return settings.utd, settings.block, 0
    if agent == "bc":
        slices = min(BC_SLICES, settings.bc_steps)
        return slices, -(-settings.bc_steps // slices), 1
    slices = min(OFFLINE_SLICES, settings.offline_steps)
    blocks = -(-settings.offline_steps // OFFLINE_BLOCK)
    return slices, -(-settings.offline_steps // (slices * blocks)), blocks
