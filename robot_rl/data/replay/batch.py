"""What a learner gets: arrays of many transitions."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from robot_rl.nets.observation import ObservationSpec


class Batch(NamedTuple):
    """Arrays with the same leading axes.

    action: float32 (..., actions). reward: float32 (...), of one step, or of several, discounted and summed.
    terminated: float32 (...), 1 where nothing follows `next_observation`. discount: float32 (...), what the value of
    `next_observation` is multiplied by where something does: the discount to the power of the rewards summed.
    """

    observation: dict[str, NDArray]
    action: NDArray[np.float32]
    reward: NDArray[np.float32]
    terminated: NDArray[np.float32]
    discount: NDArray[np.float32]
    next_observation: dict[str, NDArray]

    def map(self, change: Callable[[NDArray], NDArray]) -> Batch:
        """The batch with `change` made to every array."""
        return Batch(
            {name: change(array) for name, array in self.observation.items()},
            change(self.action),
            change(self.reward),
            change(self.terminated),
            change(self.discount),
            {name: change(array) for name, array in self.next_observation.items()},
        )


def empty_batch(spec: ObservationSpec, action_dim: int, shape: tuple[int, ...]) -> Batch:
    """Uninitialised arrays of leading axes `shape`."""

    def observation() -> dict[str, NDArray]:
        vectors = {name: np.empty((*shape, size), np.float32) for name, size in spec.vectors}
        return vectors | {name: np.empty((*shape, *size), np.uint8) for name, size in spec.images}

    reward, terminated, discount = (np.empty(shape, np.float32) for _ in range(3))
    return Batch(observation(), np.empty((*shape, action_dim), np.float32), reward, terminated, discount, observation())
