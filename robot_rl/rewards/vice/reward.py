"""VICE as a run's reward: the discriminator learns before each block, then every step is judged anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot_rl.data.replay import Replay
from robot_rl.data.transition import Transition
from robot_rl.nets.observation import ObservationSpec
from robot_rl.nets.pytree import from_named_leaves, named_leaves
from robot_rl.rewards.learnt import in_pieces
from robot_rl.rewards.vice.configuration import ViceConfig
from robot_rl.rewards.vice.model import Vice


class ViceReward:
    """What a step is worth is how likely it led to the goal, by the newest discriminator."""

    source = "vice"

    def __init__(self, config: ViceConfig, spec: ObservationSpec, goals: Mapping[str, NDArray], seed: int) -> None:
        """goals: moments of it, arrays of (n, ...)."""
        self.vice = Vice.create(config, spec, seed)
        self._config, self._goals = config, goals
        self._rng = np.random.default_rng(seed)

    def saw(self, step: Transition, shown: bool) -> None:
        """All that it needs lies in the replay."""

    def learn(self, reached: Replay) -> tuple[bool, dict[str, float]]:
        """Tell the goal from what the policy reached; nothing, before it has reached anything."""
        if not len(reached):
            return False, {}
        size = (self._config.updates, self._config.batch // 2)
        known = len(next(iter(self._goals.values())))
        chosen = self._rng.integers(known, size=size)
        goals = {name: values[chosen] for name, values in self._goals.items()}
        batch = reached.gather(self._rng.integers(len(reached), size=size))
        self.vice, metrics = self.vice.update(goals, batch.next_observation)
        return True, {name: float(value) for name, value in metrics.items() if name.startswith("vice")}

    def reward(self, observations: Mapping[str, NDArray]) -> NDArray[np.float32]:
        """(n,) of the moments (n, ...) that steps led to."""
        found = in_pieces(lambda piece: np.asarray(self.vice.probability(piece)), observations)
        return (found >= 0.5).astype(np.float32) if self._config.binary else found

    def save(self) -> tuple[dict[str, NDArray], dict[str, Any]]:
        return named_leaves(self.vice), {"random": self._rng.bit_generator.state}

    def restore(self, arrays: Mapping[str, NDArray], state: Mapping[str, Any]) -> None:
        """DataError: it was made for other observations."""
        self.vice = from_named_leaves(self.vice, arrays)
        self._rng.bit_generator.state = state["random"]

    def close(self) -> None:
        """Nothing is open."""
