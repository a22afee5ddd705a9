"""How much robot time learning takes: success of the deterministic policy against minutes of acting.

`peg_insert` from state, five seeds, 20 demonstrations: the median time to 99 of 100 episodes (asked: 8 minutes), and
the least of the seeds' success at the end. `peg_insert` and `pick_cube` from a frozen backbone's features too. Goes on
where it stopped: a result for each entry and seed. The curves are in docs/images/efficiency.png.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import tasks
from benchmarks.common import BUILD, ROOT, Figure, Partial, at_least, at_most, main
from benchmarks.runs import first_reached, learn, success_curves
from robot_rl.compare import plot

NAME = "efficiency"


@dataclass(frozen=True)
class Entry:
    """A task, what is seen of it, and what is asked: `level` of the episodes within `minutes` of robot time.

    wall: minutes of wall time asked for; None: nothing. every: minutes of robot time between two evaluations.
    """

    task: str
    obs: str
    seeds: int
    level: float
    minutes: float
    wall: float | None = None
    every: float = 0.5

    @property
    def label(self) -> str:
        return f"{self.task} from {self.obs}"


ENTRIES = (
    Entry("peg_insert", "state", 5, 0.99, 8.0),
    Entry("peg_insert", "features", 3, 0.95, 20.0, wall=60.0, every=2.0),
    Entry("pick_cube", "features", 3, 0.95, 20.0, wall=60.0, every=2.0),
)


def train(entry: Entry, seed: int, quick: bool) -> dict[str, Any]:
    """One run over as much robot time as is asked, with evaluations on the way (quick: three)."""
    period = tasks.load(entry.task).period
    steps = 900 if quick else round(60 * entry.minutes / period)
    options = ("--transport", "inprocess", "--obs", entry.obs, "--seed", str(seed), "--steps", str(steps))
    folder = BUILD / "runs" / f"{NAME}-{entry.task}-{entry.obs}-{seed}"
    episodes, every = (5, 300) if quick else (100, round(60 * entry.every / period))
    return learn(folder, entry.task, *options, keep_every=every, episodes=episodes)


def measure(quick: bool) -> list[Figure]:
    """The figures of every entry; quick: of the first."""
    partial, figures, groups = Partial(NAME, quick), [], []
    for entry in ENTRIES[:1] if quick else ENTRIES:
        results = [
            partial.once(f"{entry.task}-{entry.obs}-{seed}", lambda: train(entry, seed, quick))  # noqa: B023
            for seed in range(1 if quick else entry.seeds)
        ]
        groups.append(success_curves(entry.label, entry.task, results))
        figures += rate(entry, results)
    folder = partial.folder if quick else ROOT / "docs" / "images"
    plot(groups, folder / "efficiency.png", "success, deterministic policy", 1 / 60, "robot time (min)")
    return figures


def rate(entry: Entry, results: list[dict[str, Any]]) -> list[Figure]:
    """A seed that never reaches the level counts as endless; the last evaluation is every seed's end."""
    period = tasks.load(entry.task).period
    reached = [first_reached(result["kept"], "success_rate", entry.level) for result in results]
    minutes = [np.inf if step is None else step * period / 60 for step in reached]
    ends = [100 * result["kept"][-1]["success_rate"] for result in results]
    percent = f"{100 * entry.level:.0f} of 100"
    never = sum(step is None for step in reached)
    figures = [
        at_least(f"{entry.label}, seeds that reach {percent}", len(reached) - never, "", len(reached) // 2 + 1),
        at_least(f"{entry.label}, least of the seeds at the end", min(ends), "of 100", 95),
        Figure(f"{entry.label}, wall time of a run", float(np.median([r["wall_s"] for r in results])) / 60, "min"),
    ]
    if np.isfinite(middle := float(np.median(minutes))):
        figures.insert(0, at_most(f"{entry.label}, median robot time to {percent}", middle, "min", entry.minutes))
    if entry.wall is not None:
        wall = max(result["wall_s"] for result in results) / 60
        figures.append(at_most(f"{entry.label}, longest wall time", wall, "min", entry.wall))
    return figures


if __name__ == "__main__":
    main(NAME, measure)
