"""A scripted push: the closed hand is drawn through the workspace near its floor, and moves what lies there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from controllers.exceptions import SettingsError
from controllers.interface import Array, Cell, Pose
from robot_rl.resets.motion import Motion

STROKES = 2
"""Sets the draws of the strokes apart from others of the same seed."""
HEIGHT = 0.01
"""Of the stroke above the workspace's floor, m."""


@dataclass(frozen=True)
class Stir(Motion):
    """Where policies get stuck, things lie otherwise afterwards; where they lie well, starts vary more.

    A stroke goes from one place in the workspace to another, both drawn by the seed. What stands fast there stops the
    hand: `clip` and the stiffness bound the force, and after the time of the way the hand is lifted.
    """

    def __post_init__(self) -> None:
        """Raise `SettingsError` for a hand that cannot be closed: what it holds would be dashed against the scene."""
        if self.task.gripper is None:
            raise SettingsError(
                f"reset.stir_every is above 0, but {self.task.name} has no gripper to close: leave it at 0"
            )

    def ticks(self, cell: Cell, seed: int) -> Iterator[None]:
        """Up, above the first place, down, across, up again."""
        begin, end = self.stroke(seed)
        yield from self.up(cell)
        turned, top = cell.read().arm.pose.quaternion, self.task.workspace.high[2]
        for goal in (np.append(begin[:2], top), begin, end):
            yield from self.push(cell, Pose(goal, turned))
        yield from self.up(cell)

    def stroke(self, seed: int) -> Array:
        """Where it begins and ends, (2, 3), m in base."""
        box = self.task.workspace
        places: Array = np.random.default_rng([seed, STROKES]).uniform(box.low, box.high, (2, 3))
        places[:, 2] = box.low[2] + HEIGHT
        return places
