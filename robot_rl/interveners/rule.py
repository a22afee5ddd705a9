"""What every rule that takes over shares: turns of a length, and pauses between them."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from robot_rl.data.transition import Observation
from robot_rl.envs.environment import Environment
from robot_rl.interveners.experts import Expert
from robot_rl.seeds import derive


class Rule(ABC):
    """An `Intervener`: lets `expert` act for some steps whenever it takes over. Draws by (seed, episode) alone.

    A heir says when (`takes_over`), for how many steps (`length`), and how many steps of the policy come before the
    first turn (`first`) and, at least, between two (`pause`).
    """

    def __init__(self, expert: Expert, seed: int) -> None:
        self._expert, self._seed = expert, seed
        self.begin(0)

    def begin(self, episode: int) -> None:
        """As `Intervener.begin`."""
        self.rng = np.random.default_rng(derive(self._seed, "intervener", episode))
        self._expert.begin(episode)
        self._left, self._wait = 0, self.first()

    def __call__(self, env: Environment, observation: Observation, proposed: NDArray) -> NDArray | None:
        """The expert's action in one of its turns."""
        advice = self._expert(env, observation)
        wanted = self.takes_over(observation, proposed, advice)
        if self._left == 0:
            if self._wait > 0 or not wanted:
                self._wait = max(0, self._wait - 1)
                return None
            self._left = self.length()
        self._left -= 1
        if self._left == 0:
            self._wait = self.pause()
        return advice

    @abstractmethod
    def takes_over(self, observation: Observation, proposed: NDArray, advice: NDArray) -> bool:
        """Whether a turn begins where one may; asked at every step. proposed, advice: the policy's and the expert's."""

    @abstractmethod
    def length(self) -> int:
        """Steps of the turn that begins, at least 1."""

    def first(self) -> int:
        """Steps before the first turn of an episode."""
        return 0

    def pause(self) -> int:
        """Steps of the policy after a turn."""
        return 1
