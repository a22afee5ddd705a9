"""What the demonstration promises: `peg_insert` learnt over the ROS 2 graph, seed by seed, beside behaviour cloning.

Each seed is trained and evaluated with the public commands, as a person would type them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from functools import partial as bind
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import Figure, Partial, at_least, at_most, main, progress
from robot_rl.metrics import read_metrics

TASK, HARD = "peg_insert", "peg_insert_hard"
SEEDS, QUICK_SEEDS = range(5), range(2)
HARD_SEEDS = range(3)
EPISODES = 100


def command(*words: str) -> str:
    """Run `robot-rl WORDS` and return what it printed; its log goes to standard error."""
    shown = [sys.executable, "-m", "robot_rl.cli", *words]
    environment = os.environ | {"TERM": "dumb"}
    done = subprocess.run(shown, check=True, stdout=subprocess.PIPE, stderr=None, text=True, env=environment)
    return done.stdout


def train(run: Path, task: str, *options: str) -> dict[str, Any]:
    """Train into a fresh `run`; wall seconds of training, robot seconds without resets, episodes."""
    shutil.rmtree(run, ignore_errors=True)
    command("train", task, "--run", str(run), *options)
    records = read_metrics(run / "metrics.jsonl")
    began = next(r["time"] for r in records if r["kind"] == "phase" and r["name"] == "train")
    episodes = [r for r in records if r["kind"] == "episode"]
    ended = next(r["time"] for r in reversed(records) if r["kind"] == "run")
    robot = round(sum(r["robot_s"] for r in episodes), 3)
    return {"wall_s": ended - began, "robot_s": robot, "episodes": len(episodes)}


def evaluate(run: Path, seed: int, *options: str) -> dict[str, Any]:
    """`robot-rl eval --json`."""
    text = command("eval", str(run), "--episodes", str(EPISODES), "--seed", str(seed), "--json", *options)
    result: dict[str, Any] = json.loads(text)
    return result


def one_seed(folder: Path, task: str, seed: int, *options: str) -> dict[str, Any]:
    """Train and evaluate `task` with `seed`, and behaviour cloning on the same demonstrations."""
    run, cloned = folder / f"{task}-{seed}", folder / f"{task}-bc-{seed}"
    progress(f"{task}, seed {seed}: training")
    result = train(run, task, "--seed", str(seed), *options)
    result["deterministic"] = evaluate(run, 1000 + seed)
    result["stochastic"] = evaluate(run, 1000 + seed, "--stochastic")
    progress(f"{task}, seed {seed}: behaviour cloning on the same demonstrations")
    same = ("--agent", "bc", "--demos", str(run / "demos"), "--steps", "0", "--transport", "inprocess")
    train(cloned, task, "--seed", str(seed), *same)
    result["bc"] = evaluate(cloned, 1000 + seed)
    progress(
        f"{task}, seed {seed}: {result['deterministic']['successes']} of {EPISODES} "
        f"(sampled {result['stochastic']['successes']}, cloned {result['bc']['successes']}) "
        f"after {result['wall_s']:.0f} s and {result['robot_s'] / 60:.1f} robot minutes"
    )
    return result


def measure(quick: bool) -> list[Figure]:
    """All seeds of `peg_insert`, and in the long run those of `peg_insert_hard`."""
    partial = Partial("demo", quick)
    seeds = QUICK_SEEDS if quick else SEEDS
    results = [partial.once(f"{TASK}-{seed}", bind(one_seed, partial.folder, TASK, seed)) for seed in seeds]
    figures = summarise(results)
    if not quick:
        hard = [partial.once(f"{HARD}-{seed}", bind(one_seed, partial.folder, HARD, seed)) for seed in HARD_SEEDS]
        figures += summarise_hard(hard)
    return figures


def summarise(results: list[dict[str, Any]]) -> list[Figure]:
    """The figures of `peg_insert`."""
    wins = [result["deterministic"]["successes"] for result in results]
    sampled = [result["stochastic"]["successes"] for result in results]
    cloned = [result["bc"]["successes"] for result in results]
    cycles = [result["deterministic"]["mean_cycle_s"] for result in results]
    good = sum(count >= 95 for count in wins)
    return [
        *(Figure(f"successes of 100, deterministic, seed {seed}", count, "") for seed, count in enumerate(wins)),
        at_least(f"seeds of {len(wins)} with at least 95 of 100", good, "", int(np.ceil(0.8 * len(wins)))),
        Figure("successes of 100, actions sampled, worst seed", min(sampled), ""),
        Figure(
            "successes of 100, mean",
            float(np.mean(wins)),
            "",
            peer="behaviour cloning",
            peer_value=float(np.mean(cloned)),
            ratio=float(np.mean(wins) / max(np.mean(cloned), 0.01)),
        ),
        at_most("training wall time, worst seed", max(r["wall_s"] for r in results) / 60, "min", 5.0),
        at_most("robot time, resets apart, worst seed", _robot_minutes(results), "min", 7.0),
        Figure("cycle, mean of the successes", float(np.mean(cycles)), "s"),
    ]


def _robot_minutes(results: list[dict[str, Any]]) -> float:
    """The longest robot time, resets apart; to the millisecond, since it is a sum of ticks."""
    return round(max(result["robot_s"] for result in results), 3) / 60


def summarise_hard(results: list[dict[str, Any]]) -> list[Figure]:
    """The figures of `peg_insert_hard`."""
    wins = [result["deterministic"]["successes"] for result in results]
    return [
        *(
            at_least(f"{HARD}: successes of 100, deterministic, seed {seed}", count, "", 95)
            for seed, count in enumerate(wins)
        ),
        Figure(f"{HARD}: actions sampled, worst seed", min(r["stochastic"]["successes"] for r in results), ""),
        at_most(f"{HARD}: robot time, resets apart, worst seed", _robot_minutes(results), "min", 15.0),
    ]


if __name__ == "__main__":
    main("demo", measure)
