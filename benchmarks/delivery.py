"""Actor to replay over ROS 2: how long a step takes at 10 Hz with two cameras, and how many go through at once."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import ROOT, Figure, Partial, at_most, main, progress
from benchmarks.stand_in import ARRIVALS, audit, command, prepare
from robot_rl.lifeline import PARENT
from robot_rl.nodes.environment import Domain, clean_shared_memory, ros_environment
from robot_rl.runs import RunFolder

WARMING = 20
"""Steps at the start that are not counted: pages and caches are still cold."""


def deliver(folder: Path, actors: int, rate: float, steps: int) -> dict[str, float]:
    """Let stand-ins for `actors` actors make `steps` steps each at `rate` Hz (0: as fast as they can).

    ms from an actor's send, before its journal, to the replay; steps/s from the first arrival to the last.
    """
    shutil.rmtree(folder, ignore_errors=True)
    run = prepare(folder, obs="pixels", actors=actors)
    with Domain(run.path) as domain:
        environment = ros_environment(os.environ | {PARENT: str(os.getpid())}, domain=domain.number)
        parts = [command(f"actor{index}", run, "--rate", str(rate), "--steps", str(steps)) for index in range(actors)]
        learner = subprocess.Popen(command("learner", run, "--note"), env=environment, cwd=ROOT)
        acting = [subprocess.Popen(words, env=environment, cwd=ROOT) for words in parts]
        try:
            for process in acting:
                if process.wait():
                    raise subprocess.CalledProcessError(process.returncode, process.args)
            learner.send_signal(signal.SIGINT)
            learner.wait(60.0)
        finally:
            for process in (learner, *acting):
                process.kill()
                process.wait()
            clean_shared_memory()
    return evaluate(run, actors * steps)


def evaluate(run: RunFolder, expected: int) -> dict[str, float]:
    """What the learner noted. Raises `RuntimeError` where anything is missing, doubled or wrong."""
    result = audit(run)
    if result.faults or result.kept != expected:
        raise RuntimeError(f"of {expected} steps: {result}")
    numbers, ms, arrived = read_arrivals(run)
    settled = ms[numbers >= WARMING]
    return {
        "p50": float(np.percentile(settled, 50)),
        "p99": float(np.percentile(settled, 99)),
        "max": float(settled.max()),
        "rate": float((len(arrived) - 1) / (arrived[-1] - arrived[0])),
    }


def read_arrivals(run: RunFolder) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Of each step that arrived: its sequence, its way in ms, and when it came, s."""
    lines = [line.split(",") for line in (run.path / ARRIVALS).read_text().splitlines()]
    columns = np.array([line[1:] for line in lines], float)
    return columns[:, 0].astype(int), columns[:, 1], columns[:, 2]


def measure(quick: bool) -> list[Figure]:
    """All figures of delivery."""
    partial = Partial("delivery", quick)

    def once(name: str, actors: int, rate: float, steps: int) -> dict[str, float]:
        progress(f"delivery: {name}, {actors} x {steps} steps")
        time.sleep(1.0)
        found: dict[str, float] = partial.once(name, lambda: deliver(partial.folder / name, actors, rate, steps))
        return found

    paced = once("paced", 1, 10.0, 200 if quick else 3000)
    burst = once("burst", 1, 0.0, 1000 if quick else 5000)
    four = once("four", 4, 10.0, 100 if quick else 1500)
    rush = once("rush", 4, 0.0, 400 if quick else 2000)
    return [
        Figure("actor to replay, 10 Hz, two cameras: p50", paced["p50"], "ms"),
        at_most("the same: p99", paced["p99"], "ms", 20.0),
        Figure("the same: longest", paced["max"], "ms"),
        Figure("four actors at 10 Hz, one learner: p50", four["p50"], "ms"),
        Figure("the same: p99", four["p99"], "ms"),
        Figure("one actor as fast as it can", burst["rate"], "steps/s"),
        Figure("four actors as fast as they can", rush["rate"], "steps/s"),
    ]


if __name__ == "__main__":
    main("delivery", measure)
