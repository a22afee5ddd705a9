"""What matters: `peg_insert` from state without one part of the learner at a time.

Without demonstrations, without layer normalisation, with one update a step instead of eight, with ten critics instead
of two. Three seeds each, success of the deterministic policy over 100 episodes against robot time; one plot,
docs/images/ablation.png. Goes on where it stopped: a result for each variant and seed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import tasks
from benchmarks.common import BUILD, ROOT, Figure, Partial, main
from benchmarks.runs import learn, success_curves
from robot_rl.aggregate import estimate
from robot_rl.compare import Group, plot

NAME, TASK = "ablation", "peg_insert"
VARIANTS: dict[str, tuple[str, ...]] = {
    "as it is": (),
    "no demonstrations": ("--demos", "0", "--agent", "sac"),
    "no layer normalisation": ("--learner.layer-norm", "false"),
    "1 update a step": ("--learner.utd", "1"),
    "10 critics": ("--learner.critics", "10"),
}
"""Options beside the task's own settings: 2 critics with layer normalisation, 8 updates a step, 20 demonstrations."""
SEEDS, MINUTES = 3, 7.0


def train(variant: str, seed: int, quick: bool) -> dict[str, Any]:
    """One run."""
    steps = 600 if quick else round(60 * MINUTES / tasks.load(TASK).period)
    options = ("--transport", "inprocess", "--seed", str(seed), "--steps", str(steps), *VARIANTS[variant])
    folder = BUILD / "runs" / f"{NAME}-{variant.replace(' ', '-')}-{seed}"
    episodes, every = (5, 300) if quick else (100, 300)
    return learn(folder, TASK, *options, keep_every=every, episodes=episodes)


def overall(group: Group) -> float:
    """Interquartile mean over the seeds of each one's mean over its run: how fast, and how well."""
    return estimate(np.array([[curve.values.mean()] for curve in group.curves])).value


def measure(quick: bool) -> list[Figure]:
    """Each variant's success over the run, beside that of the learner as it is."""
    partial, groups = Partial(NAME, quick), []
    for variant in list(VARIANTS)[: 2 if quick else None]:
        results = [
            partial.once(f"{variant.replace(' ', '-')}-{seed}", lambda: train(variant, seed, quick))  # noqa: B023
            for seed in range(1 if quick else SEEDS)
        ]
        groups.append(success_curves(variant, TASK, results))
    folder = partial.folder if quick else ROOT / "docs" / "images"
    plot(groups, folder / "ablation.png", f"{TASK} from state: success, deterministic", 1 / 60, "robot time (min)")
    whole = overall(groups[0])
    return [
        Figure(f"{group.label}: mean success over the run", value := overall(group), "",
               peer="as it is", peer_value=whole, ratio=value / whole if whole else None)
        for group in groups
    ]  # fmt: skip


if __name__ == "__main__":
    main(NAME, measure)
