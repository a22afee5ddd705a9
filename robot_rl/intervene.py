"""Somebody who may act in the policy's place: a person at a device, or a rule that stands in for one."""

from __future__ import annotations

from typing import Protocol

from numpy.typing import NDArray

from robot_rl.data.transition import Observation
from robot_rl.envs.environment import Environment


class Intervener(Protocol):
    """Asked at every step, after the policy has proposed an action and before anything is executed."""

    def begin(self, episode: int) -> None:
        """The `episode`-th episode has been reset. A rule draws its random numbers from here on by `episode` alone."""

    def __call__(self, env: Environment, observation: Observation, proposed: NDArray) -> NDArray | None:
        """The action to execute instead of `proposed`, float32 in [-1, 1] of the same shape; None: the policy acts."""


class Nobody:
    """Never takes over."""

    def begin(self, episode: int) -> None:
        """Nothing to prepare."""

    def __call__(self, env: Environment, observation: Observation, proposed: NDArray) -> None:
        """The policy acts."""
