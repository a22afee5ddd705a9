"""A person in the loop: `peg_insert` with somebody who takes over while the policy strays, beside the same without.

Task reward, 20 demonstrations, takeovers among the run's own steps and among the demonstrations (HIL-SERL, Luo et al.,
2024). The person is the task's scripted expert, who takes over for a second when policy and expert have disagreed for
half a second (`robot_rl.interveners.disagreement`). Three seeds each, 4 minutes of robot time; success of the
deterministic policy without any help, and the share of the steps that were taken over in each fifth of the run. Goes on
where it stopped. The plot is docs/images/hil.png.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.common import BUILD, ROOT, Figure, Partial, main
from benchmarks.runs import learn, success_curves
from robot_rl.aggregate import estimate
from robot_rl.compare import plot

NAME, TASK = "hil", "peg_insert"
RULE = "disagreement,cosine=0,patience=5,length=10"
MODES: dict[str, tuple[str, ...]] = {"with interventions": ("--intervener", RULE), "without": ()}
SEEDS, STEPS, EVERY = 3, 2400, 300


def train(mode: str, seed: int, quick: bool) -> dict[str, Any]:
    """One run."""
    steps, episodes = (600, 5) if quick else (STEPS, 100)
    options = ("--transport", "inprocess", "--seed", str(seed), "--steps", str(steps), *MODES[mode])
    folder = BUILD / "runs" / f"{NAME}-{mode.replace(' ', '-')}-{seed}{'-quick' if quick else ''}"
    return learn(folder, TASK, *options, keep_every=EVERY, episodes=episodes)


def measure(quick: bool) -> list[Figure]:
    """Success over the run and at its end, and how the takeovers become fewer."""
    partial, groups, figures = Partial(NAME, quick), [], []
    for mode in MODES:
        results = [
            partial.once(f"{mode.replace(' ', '-')}-{seed}", lambda: train(mode, seed, quick))  # noqa: B023
            for seed in range(1 if quick else SEEDS)
        ]
        groups.append(success_curves(mode, TASK, results))
        shares = np.array([[share or 0.0 for share in result["intervened_shares"]] for result in results])
        if shares.any():
            figures += [
                Figure(f"steps taken over, fifth {part + 1} of the run", float(100 * mean), "%")
                for part, mean in enumerate(shares.mean(0))
            ]
    means = [estimate(np.array([[curve.values.mean()] for curve in group.curves])).value for group in groups]
    ends = [float(np.mean([curve.score for curve in group.curves])) for group in groups]
    folder = partial.folder if quick else ROOT / "docs" / "images"
    plot(groups, folder / "hil.png", f"{TASK}: success, deterministic, alone", 1 / 60, "robot time (min)")
    for name, (helped, alone) in (("mean over the run", means), ("at the end", ends)):
        figures.append(
            Figure(f"success with interventions, {name}", 100 * helped, "%", peer="without", peer_value=100 * alone,
                   ratio=helped / alone if alone else None)
        )  # fmt: skip
    return figures


if __name__ == "__main__":
    main(NAME, measure)
