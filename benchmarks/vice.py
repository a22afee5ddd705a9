"""VICE on `peg_insert`, from frozen features: no reward but pictures of the goal, where twenty demonstrations ended.

What a step is worth as SERL has it (1 where the discriminator takes it for the goal, else 0), beside its probability;
success by the task's own measure, every 1,500 steps. Goes on where it stopped.
"""

from __future__ import annotations

from typing import Any

from benchmarks.common import BUILD, Figure, Partial, main
from benchmarks.runs import learn, success_figures

NAME, TASK = "vice", "peg_insert"
WORTHS = {"binary": "true", "probability": "false"}
SEEDS, STEPS, EVERY = 3, 6_000, 1_500


def trained(worth: str, seed: int, quick: bool) -> dict[str, Any]:
    """A run, and what its policies reach."""
    run = BUILD / "runs" / f"{NAME}-{worth}-{seed}{'-quick' if quick else ''}"
    steps, every, episodes = (600, 300, 5) if quick else (STEPS, EVERY, 100)
    options = ("--transport", "inprocess", "--obs", "features", "--seed", str(seed), "--steps", str(steps))
    judged = ("--reward", "vice", "--vice.binary", WORTHS[worth])
    return learn(run, TASK, *options, *judged, keep_every=every, episodes=episodes)


def measure(quick: bool) -> list[Figure]:
    """The figures."""
    partial = Partial(NAME, quick)
    for seed in range(1 if quick else SEEDS):
        for worth in WORTHS:
            partial.once(f"{worth}-{seed}", lambda w=worth, s=seed: trained(w, s, quick))  # type: ignore[misc]
    return so_far(quick)


def so_far(quick: bool) -> list[Figure]:
    """Of what there is."""
    partial, figures = Partial(NAME, quick), list[Figure]()
    for worth in WORTHS:
        for seed in range(SEEDS):
            if (result := partial.get(f"{worth}-{seed}")) is not None:
                figures += success_figures(f"{worth}, seed {seed}", result)
    return figures


if __name__ == "__main__":
    main(NAME, measure, so_far)
