"""The task suite from state: what each task takes, from twenty demonstrations of its scripted expert.

For every task and seed: a run of the task's own length, evaluated at every sixth of it on 100 fresh episodes (a
process of its own, deterministic); behaviour cloning of the same demonstrations beside. Robot minutes to the first
evaluation of at least 95 of 100, success at the end, and how long a success takes beside the demonstrations'. Two
tasks that undo each other are learnt one by one here, on drawn scenes. Goes on where it stopped, task by task;
`--so-far` shows what there is.

THEIRS are what SERL (Luo et al., 2024) and HIL-SERL (Luo et al., 2024) report for tasks of that kind, in minutes of
training on hardware, from pictures: other tasks on other machines, to be read as an order of magnitude.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

import tasks
from benchmarks.common import BUILD, Figure, Partial, at_least, main, progress
from benchmarks.runs import first_reached, learn, robot_rl
from robot_rl import new_task
from robot_rl.data.journal import read_journal

NAME = "tasks"
SEEDS, PARTS, LEVEL = 3, 6, 0.95
LEFT_OUT = ("reach",)
"""Of the suite: it is there for tests."""
THEIRS = {
    "pcb_insert": ("SERL, PCB insertion", 20.0),
    "cable_route": ("SERL, cable routing", 31.0),
    "relocate": ("SERL, relocation, both directions", 105.0),
    "ram_insert": ("HIL-SERL, RAM insertion", 90.0),
    "usb_pick_insert": ("HIL-SERL, USB pick and insert", 150.0),
}


def suite() -> list[str]:
    """The tasks that are measured."""
    return [name for name in tasks.names() if name not in LEFT_OUT]


def trained(name: str, seed: int, quick: bool) -> dict[str, Any]:
    """One run of the task, and cloning of its demonstrations."""
    run = BUILD / "runs" / f"{NAME}-{name}-{seed}{'-quick' if quick else ''}"
    steps, episodes = (600, 5) if quick else (tasks.load(name).steps, 100)
    options = ("--transport", "inprocess", "--seed", str(seed), "--steps", str(steps))
    result = learn(run, name, *options, keep_every=max(1, steps // PARTS), episodes=episodes)
    demos = run / "demos"
    return result | {"demo_s": demonstrated(demos, name), "bc": cloned(demos, name, seed, quick)}


def demonstrated(demos: Path, name: str) -> float:
    """How long a demonstration takes on average, s."""
    steps = list(read_journal(demos))
    return len(steps) * tasks.load(name).period / len({step.episode for step in steps})


def cloned(demos: Path, name: str, seed: int, quick: bool) -> float:
    """Success of behaviour cloning."""
    run = BUILD / "runs" / f"{NAME}-{name}-{seed}-bc"
    shutil.rmtree(run, ignore_errors=True)
    progress(f"cloning {name}, seed {seed}")
    same = ("--transport", "inprocess", "--demos", str(demos), "--run", str(run), "--seed", str(seed))
    robot_rl("train", name, "--agent", "bc", *same, *(("--learner.bc-steps", "100") if quick else ()))
    printed = robot_rl("eval", str(run), "--episodes", "5" if quick else "100", "--seed", "1000", "--json")
    return float(json.loads(printed)["success_rate"])


def measure(quick: bool) -> list[Figure]:
    """The figures."""
    partial = Partial(NAME, quick)
    for seed in range(1 if quick else SEEDS):
        for name in suite():
            partial.once(f"{name}-{seed}", lambda n=name, s=seed: trained(n, s, quick))  # type: ignore[misc]
    return so_far(quick)


def so_far(quick: bool) -> list[Figure]:
    """Of what there is."""
    partial, figures = Partial(NAME, quick), list[Figure]()
    for name in suite():
        found = [partial.get(f"{name}-{seed}") for seed in range(SEEDS)]
        results = [result for result in found if result is not None]
        if results:
            figures += _of(name, results)
    return [*figures, Figure("lines of what robot-rl new-task makes", new_lines(), "")]


def new_lines() -> int:
    """Lines of code and scene in the smallest task that trains."""
    files = (Path(new_task.__file__).with_name(name) for name in ("task.txt", "scene.xml"))
    return sum(bool(line.strip()) for file in files for line in file.read_text().splitlines())


def _each(name: str, results: list[dict[str, Any]]) -> list[Figure]:
    """Of each seed: success at the end, and of cloning beside."""
    cloning = "behaviour cloning"
    return [
        Figure(f"{name}: success at the end, run {run}", result["kept"][-1]["success_rate"], "",
               peer=cloning, peer_value=result["bc"])
        for run, result in enumerate(results, 1)
    ]  # fmt: skip


def _of(name: str, results: list[dict[str, Any]]) -> list[Figure]:
    """Of one task's seeds; the time to the level is the median's, and infinite where it was not reached."""
    period, seeds = tasks.load(name).period, f"{len(results)} seed{'s' * (len(results) > 1)}"
    ends = [result["kept"][-1] for result in results]
    reached = [first_reached(result["kept"], "success_rate", LEVEL) for result in results]
    minutes = float(np.median([np.inf if step is None else step * period / 60 for step in reached]))
    theirs, value = THEIRS.get(name, (None, None))
    cycles = [end["mean_cycle_s"] for end in ends if end["mean_cycle_s"] is not None]
    demo_s = float(np.mean([result["demo_s"] for result in results]))
    return [
        *_each(name, results),
        at_least(f"{name}: least success at the end, {seeds}", min(end["success_rate"] for end in ends), "", LEVEL),
        Figure(f"{name}: robot time to {LEVEL:.0%}, median", minutes, "min", peer=theirs, peer_value=value),
        Figure(f"{name}: wall time of the whole run", float(np.median([r["wall_s"] for r in results])) / 60, "min"),
        Figure(f"{name}: time of a success", float(np.mean(cycles)) if cycles else np.inf, "s",
               peer="demonstrations", peer_value=demo_s, ratio=float(np.mean(cycles)) / demo_s if cycles else None),
        Figure(f"{name}: behaviour cloning, mean success", float(np.mean([r["bc"] for r in results])), ""),
    ]  # fmt: skip


if __name__ == "__main__":
    main(NAME, measure, so_far)
