"""Scripted demonstrators: they steer the tool to a goal with the policy's own actions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from controllers import spatial
from controllers.interface import Array, Pose, Reading
from tasks.spec import AXES, ActionSpec, GripperSpec


def steer(action: ActionSpec, tool: Pose, goal: Pose) -> Array:
    """The action that moves the reference from `tool` towards `goal` (both in base), saturated at 1.

    Shape (number of moved axes,), in the tool frame. Translation and rotation are each scaled as a whole,
    so the tool goes straight.
    """
    inverse = spatial.conjugate(tool.quaternion)
    shift = spatial.rotate(inverse, goal.position - tool.position) / action.translation
    turn = spatial.log(spatial.multiply(inverse, goal.quaternion)) / action.rotation
    both = np.concatenate([shift / max(1.0, np.abs(shift).max()), turn / max(1.0, np.abs(turn).max())])
    return both[[AXES.index(axis) for axis in action.axes]]


def grip(gripper: GripperSpec | None, close: bool) -> Array:
    """The gripper's part of an action: shape (1,), or empty where the task does not use it."""
    if gripper is None:
        return np.empty(0)
    return np.array([1.0 if close else -1.0])


@dataclass
class Noise:
    """Autocorrelated action noise: n <- decay n + sqrt(1 - decay^2) scale N(0, 1), per axis.

    `scale` is in units of the action, so it stays in proportion when the action's size changes.
    """

    scale: float = 0.15
    decay: float = 0.7

    def reset(self, rng: np.random.Generator) -> None:
        """Start an episode with `rng`."""
        self._rng = rng
        self._value: Array | None = None

    def add(self, action: Array) -> Array:
        """`action` plus noise, in [-1, 1]."""
        fresh = self.scale * self._rng.standard_normal(action.shape)
        if self._value is None:
            self._value = fresh
        else:
            self._value = self.decay * self._value + np.sqrt(1 - self.decay**2) * fresh
        return np.clip(action + self._value, -1.0, 1.0)


class GoToGoal:
    """Straight to the pose `goal`, with noise."""

    def __init__(self, action: ActionSpec, goal: Pose, noise: Noise | None = None) -> None:
        self._action, self._goal, self._noise = action, goal, noise or Noise()

    def reset(self, rng: np.random.Generator) -> None:
        self._noise.reset(rng)

    def act(self, reading: Reading) -> Array:
        return self._noise.add(steer(self._action, reading.arm.pose, self._goal))
