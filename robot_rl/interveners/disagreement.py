"""Taking over where the policy goes another way than the expert would, as a person who watches does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controllers.exceptions import SettingsError
from controllers.settings import option
from robot_rl.data.transition import Observation
from robot_rl.interveners.experts import Expert
from robot_rl.interveners.rule import Rule


@dataclass(frozen=True)
class DisagreementSettings:
    """Of the rule."""

    cosine: float = option(0.0, "actions whose angle has a smaller cosine disagree")
    patience: int = option(5, "steps in a row that they disagree before somebody takes over")
    length: int = option(10, "steps of a turn")

    def __post_init__(self) -> None:
        if not -1 <= self.cosine <= 1:
            raise SettingsError(f"cosine is {self.cosine}; it must lie between -1 and 1.")
        if self.patience < 1 or self.length < 1:
            raise SettingsError(f"patience is {self.patience} and length is {self.length}; both are 1 at least.")


class Disagreement(Rule):
    """Takes over when the two have disagreed for a while."""

    def __init__(self, settings: DisagreementSettings, expert: Expert, seed: int) -> None:
        self._settings = settings
        super().__init__(expert, seed)

    def begin(self, episode: int) -> None:
        self._row = 0
        super().begin(episode)

    def takes_over(self, observation: Observation, proposed: NDArray, advice: NDArray) -> bool:
        lengths = float(np.linalg.norm(proposed) * np.linalg.norm(advice))
        apart = lengths > 0 and float(proposed @ advice) < self._settings.cosine * lengths
        self._row = self._row + 1 if apart else 0
        return self._row >= self._settings.patience

    def length(self) -> int:
        self._row = 0
        return self._settings.length
