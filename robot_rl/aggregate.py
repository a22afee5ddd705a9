"""Several seeds as one result, after Agarwal et al., 2021 (arXiv 2108.13264, as rliable has it).

Scores are (runs, tasks). A stratified bootstrap draws runs with replacement, for each task by itself, and recomputes
the statistic; intervals are its percentiles.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
"""Bootstrap samples; rliable's default is 50,000, which changes the third digit of an interval."""
LEVEL = (2.5, 97.5)
"""Percentiles of a 95 % interval."""

Statistic = Callable[[NDArray], float]


@dataclass(frozen=True)
class Estimate:
    """A statistic and its 95 % interval."""

    value: float
    low: float
    high: float


def interquartile_mean(scores: NDArray) -> float:
    """The mean of the middle half of all scores, a quarter cut off at each end (scipy's `trim_mean` of 0.25)."""
    ordered = np.sort(np.asarray(scores, dtype=float), axis=None)
    cut = int(0.25 * len(ordered))
    return float(ordered[cut : len(ordered) - cut].mean())


def estimate(scores: NDArray, statistic: Statistic = interquartile_mean, *, seed: int = 0) -> Estimate:
    """`statistic` of scores (runs, tasks) with its interval. The same seed gives the same interval."""
    scores = np.atleast_2d(np.asarray(scores, dtype=float))
    rng = np.random.default_rng(seed)
    drawn = [statistic(_resample(scores, rng)) for _ in range(RESAMPLES)]
    low, high = np.percentile(drawn, LEVEL)
    return Estimate(statistic(scores), float(low), float(high))


def probability_of_improvement(ours: NDArray, theirs: NDArray, *, seed: int = 0) -> Estimate:
    """That a run of ours is better than one of theirs on the same task, a tie counting half; mean over tasks.

    ours: (runs, tasks). theirs: (other runs, tasks). For each task it is Mann and Whitney's U over both numbers.
    """
    ours, theirs = np.atleast_2d(np.asarray(ours, float)), np.atleast_2d(np.asarray(theirs, float))
    rng = np.random.default_rng(seed)
    drawn = [_improvement(_resample(ours, rng), _resample(theirs, rng)) for _ in range(RESAMPLES)]
    low, high = np.percentile(drawn, LEVEL)
    return Estimate(_improvement(ours, theirs), float(low), float(high))


def _improvement(ours: NDArray, theirs: NDArray) -> float:
    difference = ours[:, None, :] - theirs[None, :, :]
    return float(((difference > 0) + 0.5 * (difference == 0)).mean())


def _resample(scores: NDArray, rng: np.random.Generator) -> NDArray:
    """Runs drawn with replacement, for each task anew."""
    rows = rng.integers(0, len(scores), scores.shape)
    return np.take_along_axis(scores, rows, axis=0)


def band(curves: NDArray, *, seed: int = 0) -> tuple[NDArray, NDArray, NDArray]:
    """Interquartile mean of curves (runs, points) at each point, and the ends of its interval, each (points,).

    A sample of the bootstrap draws whole curves.
    """
    runs = len(curves)
    rows = np.random.default_rng(seed).integers(0, runs, (RESAMPLES, runs))
    cut = int(0.25 * runs)

    def middle(values: NDArray) -> NDArray:
        return np.sort(values, axis=-2)[..., cut : runs - cut, :].mean(axis=-2)

    low, high = np.percentile(middle(curves[rows]), LEVEL, axis=0)
    return middle(curves), low, high


def on_grid(curves: Sequence[tuple[NDArray, NDArray]], points: int = 100) -> tuple[NDArray, NDArray]:
    """Curves (steps, values) of several runs at common steps (points,), as (runs, points).

    Between two steps they are straight; the grid begins where all curves have begun, and ends with the shortest.
    """
    first = max(float(steps[0]) for steps, _ in curves)
    last = min(float(steps[-1]) for steps, _ in curves)
    grid = np.linspace(first, max(first, last), points)
    rows = [np.interp(grid, steps, values) for steps, values in curves]
    return grid, np.array(rows, dtype=float)
