"""What every agent offers: immutable, updated by one compiled call, whatever the update-to-data ratio."""

from __future__ import annotations

from typing import Protocol, Self, runtime_checkable

from jax import Array

from robot_rl.agents.policy import Policy
from robot_rl.data.replay import Batch


@runtime_checkable
class Agent(Protocol):
    """A pytree of weights, optimiser states and random key; what it holds is finite, always."""

    def update(self, batch: Batch) -> tuple[Self, dict[str, Array]]:
        """One gradient step per slice of `batch`, whose arrays have leading axes (slices, batch).

        Returns the new agent and scalar metrics, of which `refused` is 1 where the update made a number that is not
        finite: then the new agent is as the old one was. The old one's memory is reused: it must not be used again.
        """
        ...

    def policy(self) -> Policy:
        """A copy of the weights that acting needs."""
        ...
