"""What a policy sees that looks back: the last observations of the episode, joined as a replay joins them."""

from __future__ import annotations

from collections import deque

import numpy as np

from robot_rl.data.transition import Observation


class FrameStack:
    """The last `count` observations, oldest first; before there are so many, the first is repeated.

    Vectors are joined end to end, images and features channel after channel: `ObservationSpec.stacked`.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._seen: deque[Observation] = deque(maxlen=count)

    def begin(self) -> None:
        """An episode begins: forget what was before."""
        self._seen.clear()

    def __call__(self, observation: Observation) -> Observation:
        """Take in the newest observation; what the policy sees now."""
        if self._count == 1:
            return observation
        self._seen.extend([observation] * (1 if self._seen else self._count))
        return {
            name: np.concatenate([np.atleast_1d(seen[name]) for seen in self._seen], axis=-1) for name in observation
        }
