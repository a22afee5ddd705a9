"""What a learner gets: arrays of many transitions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from robot_rl.nets.observation import ObservationSpec

ALIGNMENT = 64


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
    """Uninitialised arrays of leading axes `shape`, in one piece of memory."""
    kinds = {name: ((*shape, *size), dtype) for name, (size, dtype) in spec.arrays.items()}
    parts = [math.prod(size) * dtype.itemsize for size, dtype in kinds.values()]
    plain = math.prod(shape) * 4
    piece = _Piece([*parts, *parts, action_dim * plain, plain, plain, plain])

    def observation() -> dict[str, NDArray]:
        return {name: piece.array(*kind) for name, kind in kinds.items()}

    reward, terminated, discount = (piece.array(shape, np.float32) for _ in range(3))
    action = piece.array((*shape, action_dim), np.float32)
    return Batch(observation(), action, reward, terminated, discount, observation())


class _Piece:
    """Memory for arrays that begin at multiples of ALIGNMENT: such arrays JAX uses on a CPU without copying them."""

    def __init__(self, sizes: list[int]) -> None:
        """sizes: bytes of each array."""
        total = sum(_round_up(size) for size in sizes)
        self._memory = np.empty(total + ALIGNMENT, np.uint8)
        self._next = -self._memory.ctypes.data % ALIGNMENT

    def array(self, shape: tuple[int, ...], dtype: Any) -> NDArray:
        made = np.ndarray(shape, dtype, self._memory, self._next)
        self._next += _round_up(made.nbytes)
        return made


def _round_up(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
