"""Taking over at random times, for random lengths (RLIF, Luo et al., 2023, arXiv 2311.12996, appendix)."""

from __future__ import annotations

from dataclasses import dataclass

from numpy.typing import NDArray

from robot_rl.data.transition import Observation
from robot_rl.interveners.experts import Expert
from robot_rl.interveners.rule import Rule


@dataclass(frozen=True)
class Times:
    """`onset`: steps of the policy before a turn; `length`: of the turn. Ranges, both ends included."""

    onset: tuple[int, int]
    length: tuple[int, int]


TIMES = {
    "random30": Times((1, 10), (1, 5)),
    "random50": Times((1, 5), (3, 7)),
    "random85": Times((1, 2), (12, 16)),
}
"""The paper's settings, by the share of the steps that are about the expert's."""


class Timed(Rule):
    """Takes over whatever the policy does."""

    def __init__(self, times: Times, expert: Expert, seed: int) -> None:
        self._times = times
        super().__init__(expert, seed)

    def takes_over(self, observation: Observation, proposed: NDArray, advice: NDArray) -> bool:
        return True

    def length(self) -> int:
        return int(self.rng.integers(*self._times.length, endpoint=True))

    def pause(self) -> int:
        return int(self.rng.integers(*self._times.onset, endpoint=True))

    def first(self) -> int:
        return self.pause()
