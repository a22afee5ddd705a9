"""Batches drawn from several replays by weight."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from robot_rl.data.replay.batch import Batch, empty_batch
from robot_rl.data.replay.replay import Replay


class Sampler:
    """Batches of which each source gives a part in proportion to its weight, in every slice, unless it is empty.

    sources: replays of the same observations and actions, and their weights, by name; what rounding leaves goes to
    the last. Reproducible: it owns its random state, `rng`.
    """

    def __init__(self, sources: Mapping[str, tuple[Replay, float]], seed: int) -> None:
        self.sources = dict(sources)
        self.rng = np.random.default_rng(seed)

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
            index = self.rng.integers(len(replay), size=(slices, last - first))
            for number in range(slices):
                replay.fill(_part(out, number, first, last), index[number])
            first = last
        return out


def _part(batch: Batch, number: int, first: int, last: int) -> Batch:
    """Views of transitions `first` to `last` of slice `number`."""
    return batch.map(lambda array: array[number, first:last])
