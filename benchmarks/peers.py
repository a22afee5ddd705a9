"""Our learner beside sbx's SAC on tasks that nobody here wrote: Gymnasium's Hopper-v5 and HalfCheetah-v5.

Both: two critics of 256x2, batch 256, four critic updates a step, the same machine, 50,000 steps, three seeds, a
deterministic policy evaluated on fresh episodes. Ours is `robot-rl train gym:ID` with its defaults (`sac`: layer
normalisation, 1,000 steps at random, one actor update a step); sbx has its own (100 steps at random, four actor updates
a step). The curves are in docs/images/peers.png. Goes on where it stopped: a result for each environment, algorithm
and seed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import BUILD, ROOT, Figure, Partial, main, peer_environment, peer_python, progress
from benchmarks.runs import learn
from robot_rl.aggregate import estimate, probability_of_improvement
from robot_rl.compare import Curve, Group, plot

NAME = "peers"
PEER = ("sbx-rl==0.28.0", "torch==2.13.0", "gymnasium[mujoco]>=1.1")
ENVIRONMENTS = ("Hopper-v5", "HalfCheetah-v5")
SEEDS, STEPS, EVERY, EPISODES = 3, 50_000, 5_000, 10
QUICK = (1, 3_000, 1_000, 3)
"""Seeds, steps, steps between evaluations, episodes of each: of one environment."""

Results = Mapping[tuple[str, str], list[dict[str, Any]]]


def ours(environment: str, seed: int, steps: int, every: int, episodes: int) -> dict[str, Any]:
    """A run of ours."""
    folder = BUILD / "runs" / f"{NAME}-{environment}-{seed}"
    options = ("--steps", str(steps), "--seed", str(seed))
    return learn(folder, f"gym:{environment}", *options, keep_every=every, episodes=episodes)


def sbx(environment: str, seed: int, steps: int, every: int, episodes: int) -> dict[str, Any]:
    """A run of sbx's SAC, by its own Python."""
    python, script = peer_python("sbx", *PEER), ROOT / "benchmarks" / "peer_sbx.py"
    progress(f"training {environment} with sbx, seed {seed}")
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        numbers = map(str, (steps, seed, every, episodes))
        command = [str(python), str(script), environment, *numbers, str(result)]
        subprocess.run(command, check=True, env=peer_environment(), stdout=sys.stderr)
        return dict(json.loads(result.read_text()))


def collect(quick: bool) -> Results:
    """All runs, those alone that are not there yet."""
    partial = Partial(NAME, quick)
    seeds, *size = QUICK if quick else (SEEDS, STEPS, EVERY, EPISODES)
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for environment in ENVIRONMENTS[:1] if quick else ENVIRONMENTS:
        for seed in range(seeds):
            for algorithm, train in (("robot_rl", ours), ("sbx", sbx)):
                key = f"{environment}-{algorithm}-{seed}"
                result = partial.once(key, lambda: train(environment, seed, *size))  # noqa: B023 -- called at once
                found.setdefault((environment, algorithm), []).append(result)
    return found


def group(environment: str, algorithm: str, results: list[dict[str, Any]]) -> Group:
    """The seeds' curves."""
    curves = []
    for result in results:
        steps, values = zip(*((kept["step"], kept["mean_return"]) for kept in result["kept"]), strict=True)
        curves.append(Curve(np.array(steps, float), np.array(values, float), values[-1]))
    return Group(f"{algorithm}, {environment}", "return", tuple(curves))


def measure(quick: bool) -> list[Figure]:
    """Returns at the end beside the peer's, the probability of improvement, and wall time."""
    results = collect(quick)
    groups = {key: group(*key, found) for key, found in results.items()}
    folder = Partial(NAME, quick).folder if quick else ROOT / "docs" / "images"
    plot(list(groups.values()), folder / "peers.png", "deterministic return: interquartile mean, 95 % interval")
    figures = []
    for environment in dict.fromkeys(environment for environment, _ in results):
        mine, theirs = ((environment, algorithm) for algorithm in ("robot_rl", "sbx"))
        values = [estimate(groups[key].scores).value for key in (mine, theirs)]
        steps = results[mine][0]["steps"]
        better = probability_of_improvement(groups[mine].scores, groups[theirs].scores)
        minutes = [float(np.median([run["wall_s"] for run in results[key]])) / 60 for key in (mine, theirs)]
        figures += [
            _beside(f"{environment}, return at {steps:,} steps", values, ""),
            Figure(f"{environment}, probability that ours is better", better.value, ""),
            _beside(f"{environment}, wall time", minutes, "min"),
        ]
    return figures


def _beside(name: str, values: list[float], unit: str) -> Figure:
    ratio = values[0] / values[1] if values[1] > 0 else None
    return Figure(name, values[0], unit, peer="sbx SAC", peer_value=values[1], ratio=ratio)


if __name__ == "__main__":
    main(NAME, measure)
