"""Batches drawn from several replays by weight."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from robot_rl.data.replay.batch import Batch, empty_batch
from robot_rl.data.replay.replay import Replay


class Sampler:
    """Batches of which each source gives a part in proportion to its weight, in every slice, unless it is empty.

    sources: replays of the same observations and actions, and their weights, by name; what rounding leaves goes to
    the last. Reproducible: it owns its random state, `rng`.

    temperature: above 0, a step of an episode of return G is drawn exp((G - least) / (most - least) / temperature)
    times as often as one of the least (Hong et al., 2023, arXiv 2306.13085); for replays that do not change any more.
    """

    def __init__(self, sources: Mapping[str, tuple[Replay, float]], seed: int, temperature: float = 0.0) -> None:
        self.sources = dict(sources)
        self.rng = np.random.default_rng(seed)
        self._temperature = temperature
        self._up_to: dict[int, NDArray[np.float64]] = {}  # of each replay, by number of its place, sums of weights

    def __bool__(self) -> bool:
        """Whether there is anything to draw: all that was held may have been discarded."""
        return any(weight > 0 and len(replay) for replay, weight in self.sources.values())

    def sample(self, slices: int, batch: int) -> Batch:
        """`slices` times `batch` transitions, drawn with replacement: arrays of (slices, batch, ...).

        ValueError: every source with a weight is empty.
        """
        filled = [(replay, weight) for replay, weight in self.sources.values() if weight > 0 and len(replay)]
        if not filled:
            raise ValueError(f"there is nothing to draw from in {', '.join(self.sources)}")
        weights = np.array([weight for _, weight in filled])
        bounds = np.round(np.cumsum(weights) / weights.sum() * batch).astype(int)
        out = empty_batch(filled[0][0].seen, filled[0][0].action_dim, (slices, batch))
        first = 0
        for (replay, _), last in zip(filled, bounds, strict=True):
            index = self._draw(replay, (slices, last - first))
            for number in range(slices):
                replay.fill(_part(out, number, first, last), index[number])
            first = last
        return out

    def _draw(self, replay: Replay, size: tuple[int, int]) -> NDArray[np.int64]:
        """Ages of transitions."""
        if self._temperature == 0:
            return self.rng.integers(len(replay), size=size)
        up_to = self._up_to.get(id(replay))
        if up_to is None or len(up_to) != len(replay):
            up_to = self._up_to[id(replay)] = np.cumsum(return_weights(replay.returns(), self._temperature))
        return np.searchsorted(up_to, self.rng.random(size) * up_to[-1], side="right")


def return_weights(returns: NDArray[np.float32], temperature: float) -> NDArray[np.float64]:
    """How often each of several transitions is drawn, by the return of its episode; the best ones 1."""
    span = float(np.ptp(returns))
    if span == 0:
        return np.ones(len(returns))
    weights: NDArray[np.float64] = np.exp((returns.astype(np.float64) - returns.max()) / span / temperature)
    return weights


def _part(batch: Batch, number: int, first: int, last: int) -> Batch:
    """Views of transitions `first` to `last` of slice `number`."""
    return batch.map(lambda array: array[number, first:last])
