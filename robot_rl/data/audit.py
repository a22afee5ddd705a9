"""What a set of experience is good for, before anything is trained on it.

- **Return** (TQ of Schweighofer et al., 2021, arXiv 2111.04714): the mean return between the worst and the best,
  as 0 to 1: those of the set itself, unless others are given.
- **Coverage** (SACo, the same): cells of states and actions that the set visits, as a share of its steps. What is
  continuous is cut: principal components of both together, `BINS` to each.
- **Action divergence** (Belkhale et al., 2023, arXiv 2306.02437): how far actions differ where states are alike; 0: the
  state says what is done, 1: it says nothing.
- **Transition diversity** (the same): how far what follows differs where state and action are alike.

Pictures and their features are not looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot_rl.data.formats.experience import Experience
from robot_rl.data.formats.whole import Progress
from robot_rl.data.worth import Worth
from robot_rl.exceptions import DataError

COMPONENTS, BINS = 5, 6
NEIGHBOURS = 8
COMPARED = 2000
"""Steps, drawn evenly, whose neighbours are looked for among as many others."""
FEW_STEPS, FEW_EPISODES = 1000, 10
GOOD, DIVERGENT, WIDE = 0.8, 0.5, 0.3
"""From where on returns are those of an expert, actions contradict each other, coverage is wide."""
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Audit:
    """success_rate: of the episodes, None where none is said to have succeeded.

    returns: worst, mean, best, and their deviation.
    """

    steps: int
    episodes: int
    success_rate: float | None
    returns: tuple[float, float, float, float]
    trajectory_quality: float | None
    coverage: float
    action_divergence: float
    transition_diversity: float
    recommendation: str
    reason: str

    def summary(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass
class _Steps:
    """Of every step: state, action, what changed, reward; where episodes begin, and which succeeded."""

    state: Array
    action: Array
    change: Array
    reward: Array
    first: Array
    success: Array


def audit(
    experience: Experience, worth: Worth, bounds: tuple[float, float] | None = None, progress: Progress | None = None
) -> Audit:
    """Look at all steps. worth: what they pay. bounds: of returns, the worst and the best that the task has.

    Raises `DataError` where there is nothing to look at.
    """
    steps = _read(experience, worth, progress)
    totals = np.add.reduceat(steps.reward, np.flatnonzero(steps.first))
    low, high = bounds or (float(totals.min()), float(totals.max()))
    quality = float((totals.mean() - low) / (high - low)) if high > low else None
    success = float(steps.success.mean()) if steps.success.any() else None
    coverage = _coverage(np.concatenate([_standard(steps.state), _standard(steps.action)], axis=1))
    divergence, diversity = _divergence(steps)
    verdict = recommend(
        len(steps.reward), len(totals), success, None if np.ptp(totals) == 0 else quality, coverage, divergence
    )
    spread = (float(totals.min()), float(totals.mean()), float(totals.max()), float(totals.std()))
    return Audit(len(steps.reward), len(totals), success, spread, quality, coverage, divergence, diversity, *verdict)


def recommend(
    steps: int, episodes: int, success: float | None, quality: float | None, coverage: float, divergence: float
) -> tuple[str, str]:
    """What to do with a set, in a word, and why. quality: None where all episodes return the same."""
    if steps < FEW_STEPS or episodes < FEW_EPISODES:
        return "collect more", f"{steps:,} steps in {episodes} episodes are few for any method"
    good = success >= GOOD if success is not None else quality is not None and quality >= GOOD
    if good and divergence < DIVERGENT:
        return "BC", "most episodes go well and the state says what was done: cloning needs no reward"
    if success == 1.0 or (success is None and quality is None):
        if divergence < DIVERGENT:
            return "BC", "all episodes return the same, so a reward tells nothing; if they are good ones, clone them"
        return "collect more", "all episodes return the same and their actions contradict each other; or label rewards"
    if quality is not None and quality < 1 - GOOD and not success and coverage < WIDE:
        return "collect more", "few episodes return much, and little was tried"
    return "IQL", "episodes differ in what they return: a reward tells the better actions from the worse"


def _read(experience: Experience, worth: Worth, progress: Progress | None) -> _Steps:
    states, actions, changes, rewards, firsts, successes = [], [], [], [], [], []
    episode, succeeded = "", False
    names = [item.name for item in experience.schema.observation if item.dtype == "float32"]
    if not names:
        raise DataError(f"{experience.path} observes pictures alone; an audit needs numbers beside them")
    for count, (step, reward) in enumerate(worth.steps(packed=True), 1):
        if step.episode != episode and count > 1:
            successes.append(succeeded)
        before = np.concatenate([step.observation[name].ravel() for name in names])
        after = np.concatenate([step.next_observation[name].ravel() for name in names])
        states.append(before)
        changes.append(after - before)
        actions.append(step.action)
        rewards.append(reward)
        firsts.append(step.episode != episode)
        episode, succeeded = step.episode, step.success
        if progress is not None:
            progress(count)
    if not states:
        raise DataError(f"{experience.path} holds no step to look at")
    successes.append(succeeded)
    state, action, change, paid = (np.asarray(part, np.float64) for part in (states, actions, changes, rewards))
    return _Steps(state, action, change, paid, np.asarray(firsts), np.asarray(successes))


def _standard(values: Array) -> Array:
    """Columns (n, k) of mean 0 and deviation 1; those that never change are left out."""
    deviation = values.std(0)
    moving = deviation > 1e-6
    standard: Array = (values[:, moving] - values[:, moving].mean(0)) / deviation[moving]
    return standard


def _coverage(points: Array) -> float:
    """Cells that (n, k) points lie in, over their number."""
    if not points.shape[1]:
        return 1 / len(points)
    axes = np.linalg.svd(points[_spread(len(points), 20_000)], full_matrices=False)[2]
    main = points @ axes[:COMPONENTS].T
    scaled = main / np.maximum(main.std(0), 1e-9)
    cells = np.clip(np.floor((scaled + 3) / 6 * BINS), 0, BINS - 1).astype(np.int64)
    return float(len(np.unique(cells, axis=0)) / min(len(points), BINS**COMPONENTS))


def _divergence(steps: _Steps) -> tuple[float, float]:
    """Of actions where states are alike, and of changes where both are: each over what it is among all steps."""
    index = _spread(len(steps.reward), COMPARED)
    state, action, change = (_standard(part[index]) for part in (steps.state, steps.action, steps.change))
    return _among_neighbours(state, action), _among_neighbours(np.concatenate([state, action], axis=1), change)


def _among_neighbours(place: Array, value: Array) -> float:
    """Mean variance of `value` among each row's nearest neighbours by `place`, over that among all rows."""
    count = min(NEIGHBOURS, len(place))
    if count < 2 or not value.shape[1] or not place.shape[1]:
        return 0.0
    squares = np.square(place).sum(1)
    distances = squares[:, None] + squares[None] - 2 * place @ place.T
    nearest = np.argpartition(distances, count - 1, axis=1)[:, :count]
    return float(np.mean(value[nearest].var(1, ddof=1)) / np.mean(value.var(0)))


def _spread(count: int, most: int) -> NDArray[np.int64]:
    """Up to `most` of `count` places, spread evenly."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))


def lines(found: Audit) -> Sequence[tuple[str, str]]:
    """As a person reads it."""
    low, mean, high, deviation = found.returns
    rate = found.success_rate
    return (
        ("steps", f"{found.steps:,} in {found.episodes:,} episodes"),
        ("success", "none, or nobody says" if rate is None else f"{100 * rate:.0f} % of episodes"),
        ("return", f"{mean:.4g} (worst {low:.4g}, best {high:.4g}, deviation {deviation:.3g})"),
        ("trajectory quality", "-" if found.trajectory_quality is None else f"{found.trajectory_quality:.2f} of 1"),
        ("coverage", f"{found.coverage:.2f} of the cells that so many steps could visit"),
        ("action divergence", f"{found.action_divergence:.2f} (0: the state says what is done; 1: nothing does)"),
        ("transition diversity", f"{found.transition_diversity:.2f}"),
        ("recommended", f"{found.recommendation}: {found.reason}"),
    )
