"""IQL and its robust variant on sets of which 30 % is wrong, as Yang et al., 2024 (arXiv 2310.12955) corrupt them.

The set: everything that SAC did on Hopper-v5 while it learnt (as their medium-replay). Of 30 % of its steps, drawn at
random, one part is corrupted: rewards are drawn from -30 to 30, actions and observations get noise, uniform up to
their own range and deviation; of the dynamics the observations that followed do. Returns of 20 episodes; the
observations of an evaluation are clean. Goes on where it stopped.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import BUILD, Figure, Partial, main, progress
from benchmarks.offline import TASK, UPDATES, teach
from benchmarks.runs import robot_rl
from robot_rl.data.formats.experience import Experience, open_experience
from robot_rl.data.formats.whole import write_set
from robot_rl.data.transition import Observation, Transition

NAME = "robust"
SHARE, LARGEST_REWARD = 0.3, 30.0
PARTS = ("nothing", "rewards", "actions", "observations", "dynamics")
SEEDS = 3
VARIANTS = {
    "IQL": ("--learner.critics", "2"),
    "RIQL": (
        "--learner.critics", "5", "--learner.normalise", "true", "--learner.huber", "1", "--learner.quantile", "0.25",
    ),
}  # fmt: skip


def corrupted(experience: Experience, part: str, seed: int) -> Iterator[Transition]:
    """The steps, 30 % of them with that part corrupted."""
    steps = list(experience.steps())
    rng = np.random.default_rng(seed)
    deviation = {name: np.std([step.observation[name] for step in steps], axis=0) for name in steps[0].observation}

    def noisy(seen: Observation) -> Observation:
        return {
            name: (value + rng.uniform(-1, 1, value.shape) * deviation[name]).astype(value.dtype)
            for name, value in seen.items()
        }

    for step in steps:
        if rng.random() >= SHARE:
            yield step
        elif part == "rewards":
            yield dataclasses.replace(step, reward=float(rng.uniform(-LARGEST_REWARD, LARGEST_REWARD)))
        elif part == "actions":
            wrong = np.clip(step.action + rng.uniform(-1, 1, step.action.shape), -1, 1).astype(np.float32)
            yield dataclasses.replace(step, action=wrong)
        elif part == "observations":
            yield dataclasses.replace(step, observation=noisy(step.observation))
        elif part == "dynamics":
            yield dataclasses.replace(step, next_observation=noisy(step.next_observation))
        else:
            yield step


def made(part: str, source: str, quick: bool) -> str:
    """The set of which that part is wrong."""
    data = BUILD / "runs" / f"{NAME}-{part}{'-quick' if quick else ''}"
    shutil.rmtree(data, ignore_errors=True)
    progress(f"corrupting {part}")
    experience = open_experience(Path(source))
    write_set(data, experience.schema, corrupted(experience, part, 0))
    return str(data)


def learnt(variant: str, part: str, seed: int, data: str, quick: bool) -> dict[str, Any]:
    """The mean return of one variant on one set."""
    run = BUILD / "runs" / f"{NAME}-{variant}-{part}-{seed}"
    shutil.rmtree(run, ignore_errors=True)
    progress(f"{variant} on a set with wrong {part}, seed {seed}")
    steps = "300" if quick else str(UPDATES)
    robot_rl(
        "train", TASK, "--agent", "iql", "--demos", data, "--run", str(run), "--seed", str(seed),
        "--learner.offline-steps", steps, "--learner.discount", "0.99", "--learner.reward-scaling", "true",
        *VARIANTS[variant],
    )  # fmt: skip
    printed = robot_rl("eval", str(run), "--episodes", "2" if quick else "20", "--seed", "1000", "--json")
    return {"mean_return": json.loads(printed)["mean_return"]}


def measure(quick: bool) -> list[Figure]:
    """The figures."""
    partial = Partial(NAME, quick)
    source = partial.once("teacher", lambda: teach(quick, NAME))["path"]
    for seed in range(1 if quick else SEEDS):
        for part in PARTS:
            data = partial.once(f"data-{part}", lambda p=part: {"path": made(p, source, quick)})["path"]  # type: ignore[misc]
            for variant in VARIANTS:
                partial.once(
                    f"{variant}-{part}-{seed}",
                    lambda v=variant, p=part, s=seed, d=data: learnt(v, p, s, d, quick),  # type: ignore[misc]
                )
    return so_far(quick)


def so_far(quick: bool) -> list[Figure]:
    """Of what there is."""
    partial, figures = Partial(NAME, quick), []
    for part in PARTS:
        for variant in VARIANTS:
            found = [partial.get(f"{variant}-{part}-{seed}") for seed in range(SEEDS)]
            returns = [result["mean_return"] for result in found if result is not None]
            if returns:
                name = f"{variant}, wrong {part}: return, mean of {len(returns)} seeds"
                figures.append(Figure(name, float(np.mean(returns)), ""))
    return figures


if __name__ == "__main__":
    main(NAME, measure, so_far)
