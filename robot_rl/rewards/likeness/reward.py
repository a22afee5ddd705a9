"""How alike a moment and the goal are to a frozen backbone, as rewards from CLIP or R3M have it: a baseline.

Each camera's features are averaged over the picture; what a step is worth is the cosine between those that it led to
and their mean over the goal's. Nothing is trained. Rocamonde et al., 2024 (arXiv 2310.12921) and RL-VLM-F find such
scores too noisy to learn fine motion from; here they stand beside rewards that are learnt.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot_rl.data.replay import Replay
from robot_rl.data.transition import Transition


class LikenessReward:
    """A learnt reward that has nothing to learn."""

    source = "likeness"

    def __init__(self, cameras: tuple[str, ...], goals: Mapping[str, NDArray]) -> None:
        """cameras: names of their features. goals: moments of it, arrays of (n, ...)."""
        self._cameras = cameras
        mean = self._pooled(goals).mean(0)
        self._goal = mean / np.linalg.norm(mean)

    def saw(self, step: Transition, shown: bool) -> None:
        """It needs no step."""

    def learn(self, reached: Replay) -> tuple[bool, dict[str, float]]:
        """There is nothing to learn."""
        return False, {}

    def reward(self, observations: Mapping[str, NDArray]) -> NDArray[np.float32]:
        """(n,), from -1 to 1."""
        pooled = self._pooled(observations)
        values: NDArray[np.float32] = (pooled @ self._goal / np.linalg.norm(pooled, axis=1)).astype(np.float32)
        return values

    def save(self) -> tuple[dict[str, NDArray], dict[str, Any]]:
        return {}, {}

    def restore(self, arrays: Mapping[str, NDArray], state: Mapping[str, Any]) -> None:
        """There is nothing to bring back."""

    def close(self) -> None:
        """Nothing is open."""

    def _pooled(self, moments: Mapping[str, NDArray]) -> NDArray[np.float32]:
        """Of each moment, the mean of the plain frames' features over the picture, (n, channels)."""
        means = [moments[name][:, 0].astype(np.float32).mean((1, 2)) for name in self._cameras]
        return np.concatenate(means, axis=-1)
