"""Rewards that are learnt while a run goes: what its steps are worth changes, and the replays follow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from robot_rl.data.replay import Replay
from robot_rl.data.transition import Transition

PIECE = 512
"""Moments that are judged at once: always as many, so that nothing is compiled twice."""


class LearntReward(Protocol):
    """A model of the reward beside the agent. It judges a step by what that led to."""

    source: str

    def saw(self, step: Transition, shown: bool) -> None:
        """A step goes into a replay: of the run itself, or `shown`: it was there before."""

    def learn(self, reached: Replay) -> tuple[bool, dict[str, float]]:
        """Before a block: learn, from what the run reached among others; whether it judges otherwise now, and numbers.

        Raises what stands in its way, a sentence for a person.
        """

    def reward(self, observations: Mapping[str, NDArray]) -> NDArray[np.float32]:
        """(n,) of moments (n, ...)."""

    def save(self) -> tuple[dict[str, NDArray], dict[str, Any]]:
        """Arrays and state that `restore` needs."""

    def restore(self, arrays: Mapping[str, NDArray], state: Mapping[str, Any]) -> None:
        """Go on from there. DataError: it was of another kind."""

    def close(self) -> None:
        """End what goes on beside."""


def in_pieces(
    judge: Callable[[dict[str, NDArray]], NDArray], observations: Mapping[str, NDArray]
) -> NDArray[np.float32]:
    """What `judge` says of moments (n, ...), (n,), asked of PIECE of them at a time; the last piece is filled up."""
    count = len(next(iter(observations.values())))
    found = np.empty(count, np.float32)
    for first in range(0, count, PIECE):
        index = np.minimum(np.arange(first, first + PIECE), count - 1)
        values = judge({name: array[index] for name, array in observations.items()})
        found[first : first + PIECE] = values[: count - first]
    return found
