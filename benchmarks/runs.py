"""Training and evaluating runs from the command line, as a person would: what several benchmarks of learning share."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import tasks
from benchmarks.common import ROOT, Figure, progress
from robot_rl.compare import Curve, Group


def robot_rl(*arguments: str) -> str:
    """Run `robot-rl ARGUMENTS` in a process of its own; returns what it printed. Raises where it fails."""
    command = [sys.executable, "-m", "robot_rl.cli", *arguments]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(f"robot-rl {' '.join(arguments)} ended with {result.returncode}: {result.stderr[-2000:]}")
    return result.stdout


def learn(
    folder: Path, task: str, *options: str, keep_every: int, episodes: int, seed: int = 1000, whole: bool = False
) -> dict[str, Any]:
    """Train in `folder` (a half-done run there begins again), then evaluate every policy kept on the way.

    Returns `kept` (as `robot-rl eval --kept --json`), `wall_s` of training and what `summary.json` holds of it. Each
    evaluation is a process of its own: deterministic, `episodes` episodes drawn by `seed`. whole: the run's journal and
    checkpoints stay.
    """
    shutil.rmtree(folder, ignore_errors=True)
    progress(f"training {task} in {folder.name}")
    began = time.monotonic()
    robot_rl("train", task, "--run", str(folder), "--learner.keep-every", str(keep_every), *options)
    wall = time.monotonic() - began
    printed = robot_rl("eval", str(folder), "--kept", "--episodes", str(episodes), "--seed", str(seed), "--json")
    summary = json.loads((folder / "report" / "summary.json").read_text())
    kept = json.loads(printed)["kept"]
    if not whole:
        shutil.rmtree(folder / "checkpoints")  # a hundred runs would fill the disk
        shutil.rmtree(folder / "journal")
    facts = {key: summary[key] for key in ("robot_s", "steps", "intervened_steps", "intervened_shares")}
    return {"kept": kept, "wall_s": wall, **facts}


def first_reached(kept: Sequence[dict[str, Any]], key: str, level: float) -> int | None:
    """Environment steps of the first kept policy that reached `level`; None: none did."""
    return next((result["step"] for result in kept if result[key] >= level), None)


def success_figures(name: str, result: dict[str, Any]) -> list[Figure]:
    """Of what `learn` gave: the success of each policy kept on the way, and the wall time of training."""
    figures = [
        Figure(f"{name}: success after {kept['step']:,} steps", kept["success_rate"], "") for kept in result["kept"]
    ]
    return [*figures, Figure(f"{name}: wall", result["wall_s"] / 60, "min")]


def success_curves(label: str, task: str, results: Sequence[dict[str, Any]]) -> Group:
    """What `learn` gave for each seed, as curves of success over seconds of robot time; scores: at the end."""
    period, curves = tasks.load(task).period, []
    for result in results:
        times = np.array([kept["step"] * period for kept in result["kept"]])
        values = np.array([kept["success_rate"] for kept in result["kept"]])
        curves.append(Curve(times, values, float(values[-1])))
    return Group(label, "success", tuple(curves))
