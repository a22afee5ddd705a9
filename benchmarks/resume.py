"""Going on after kill -9: how soon, from how large a checkpoint, and whether the return holds.

`python -m benchmarks.resume [--quick] [--json]`. The whole measurement needs 20 GB of disk; --quick needs 1 GB.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import tasks
from benchmarks.common import Figure, Partial, at_least, main, progress
from robot_rl.cells import open_env
from robot_rl.config import RunConfig, effective
from robot_rl.data.journal import Journal
from robot_rl.data.transition import Transition
from robot_rl.metrics import MetricsWriter, read_metrics
from robot_rl.nets.compile import enable_compile_cache, use_one_thread
from robot_rl.runs import RunFolder
from robot_rl.training import make_learner, schema_of

EPISODE = 100
SINCE = 500
"""Steps that the journal has and the newest checkpoint has not when the process dies."""
EPISODES = 20


def frames(config: RunConfig) -> list[Transition]:
    """One episode of random actions in the twin, with both cameras."""
    env = open_env(config)
    rng = np.random.default_rng(0)
    steps = []
    try:
        seen, _ = env.reset(seed=0)
        for step in range(EPISODE):
            action = rng.uniform(-0.3, 0.3, env.action_space.shape).astype(np.float32)
            following, reward, *_ = env.step(action)
            stamps = 0.1 * step, 0.1 * step + 0.1
            steps.append(
                Transition("actor0", step, "", step, *stamps, seen, following, action, action, False, reward,
                           False, False, False, 0)
            )  # fmt: skip
            seen = following
    finally:
        env.close()
    return steps


def stream(episode: list[Transition], count: int) -> Iterator[Transition]:
    """The episode again and again, as a run's journal would have it."""
    for sequence in range(count):
        yield dataclasses.replace(
            episode[sequence % len(episode)], sequence=sequence, episode=f"episode {sequence // len(episode)}"
        )


def crash(path: Path, count: int) -> None:
    """In a process of its own: a run with `count` pixel transitions and a checkpoint of them, that dies at once."""
    use_one_thread()
    enable_compile_cache()
    run = RunFolder.open(path)
    config = run.config()
    figures: dict[str, float] = {}
    steps = stream(frames(config), count + SINCE)
    with MetricsWriter(run.metrics) as metrics, Journal(run.journal, schema_of(config), sync=False) as journal:
        learner = make_learner(config, run, metrics)
        for part in (count - 1000, 1000):
            for step in itertools.islice(steps, part):
                journal.append(step)
                learner.receive([step])
            if learner.ready():
                learner.update_block()  # so that it is compiled, as it was in the run that crashed
            began = time.perf_counter()
            saved = learner.save(run.checkpoints)
            figures["seconds"] = time.perf_counter() - began
        figures["bytes"] = sum(file.stat().st_size for file in saved.iterdir())
        figures["replay"] = learner.experience.online.nbytes
        for step in steps:
            journal.append(step)
            learner.receive([step])
        (path / "figures.json").write_text(json.dumps(figures))
        os.kill(os.getpid(), signal.SIGKILL)


def pixels(folder: Path, count: int) -> dict[str, float]:
    """Seconds and bytes of a run with two cameras that crashed with `count` transitions."""
    learner = {"start": count, "capacity": 2 * count, "block": 1, "utd": 1, "batch": 1, "critics": 2}
    layer = {"obs": "pixels", "clock": "realtime", "transport": "inprocess", "demos": "0", "learner": learner}
    shutil.rmtree(folder, ignore_errors=True)
    config = effective(tasks.load("pick_cube"), layer | {"steps": 2 * count})
    run = RunFolder.create(dataclasses.replace(config, run=folder))
    progress(f"recording {count:,} transitions with two cameras, then kill -9")
    code = (
        f"import sys; from pathlib import Path; from benchmarks.resume import crash; crash(Path(sys.argv[1]), {count})"
    )
    died = subprocess.run([sys.executable, "-c", code, str(folder)], check=False)
    if died.returncode != -signal.SIGKILL:
        raise subprocess.CalledProcessError(died.returncode, died.args)
    figures: dict[str, float] = json.loads((folder / "figures.json").read_text())
    progress("going on with it")
    began = time.time()
    process = resume(run)
    wait_for(process, lambda: bool(updates(run, began)))
    process.kill()
    process.wait()
    figures["first update"] = updates(run, began)[0]["time"] - began
    shutil.rmtree(folder)
    return figures


def updates(run: RunFolder, since: float) -> list[dict[str, Any]]:
    """Records of blocks of updates that ended after `since`."""
    return [record for record in read_metrics(run.metrics) if record["kind"] == "update" and record["time"] > since]


def resume(run: RunFolder) -> subprocess.Popen[bytes]:
    """`robot-rl train --resume`, as a person gives it."""
    command = [sys.executable, "-m", "robot_rl.cli", "train", run.config().task, "--run", str(run.path), "--resume"]
    return subprocess.Popen(command, env=os.environ | {"TERM": "dumb"}, stdout=subprocess.DEVNULL)


def wait_for(process: subprocess.Popen[bytes], condition: Callable[[], bool]) -> None:
    """Until `condition()`. Raises CalledProcessError where the process ends first."""
    while not condition():
        if process.poll() is not None:
            raise subprocess.CalledProcessError(process.returncode, process.args)
        time.sleep(0.01)


def returns(folder: Path, steps: int) -> dict[str, float]:
    """Mean return of the last episodes before kill -9 and of the first after it, on `reach`, learnt by then."""
    progress(f"reach, killed after {steps - 400:,} of {steps:,} steps")
    shutil.rmtree(folder, ignore_errors=True)
    config = effective(tasks.load("reach"), {"transport": "inprocess", "steps": steps})
    run = RunFolder.create(dataclasses.replace(config, run=folder))
    process = resume(run)
    wait_for(process, lambda: any(r.get("step", 0) >= steps - 400 for r in read_metrics(run.metrics)))
    process.kill()
    process.wait()
    killed = time.time()
    again = resume(run)
    if again.wait():
        raise subprocess.CalledProcessError(again.returncode, again.args)
    ended = [r for r in read_metrics(run.metrics) if r["kind"] == "episode" and r["success"] is not None]
    before = [record["return"] for record in ended if record["time"] <= killed][-EPISODES:]
    after = [record["return"] for record in ended if record["time"] > killed][:EPISODES]
    return {"before": float(np.mean(before)), "after": float(np.mean(after)), "episodes": min(len(before), len(after))}


def measure(quick: bool) -> list[Figure]:
    """All figures of resuming."""
    partial = Partial("resume", quick)
    count = 5_000 if quick else 100_000
    crashed = partial.once("pixels", lambda: pixels(partial.folder / "pixels", count))
    kept = partial.once("returns", lambda: returns(partial.folder / "returns", 2000))
    of = f"{count:,} transitions, two 128x128 cameras"
    return [
        Figure(
            f"start of the process to the first update (of batch 1) after kill -9; {of}", crashed["first update"], "s"
        ),
        Figure(f"a checkpoint; {of}", crashed["bytes"] / 1e6, "MB"),
        Figure("the memory-mapped replay beside it", crashed["replay"] / 1e6, "MB"),
        Figure("to write a checkpoint, 1,000 steps after the one before", crashed["seconds"], "s"),
        Figure(f"reach: mean return of {kept['episodes']:.0f} episodes before kill -9", kept["before"], ""),
        at_least("reach: the same after it", kept["after"], "", kept["before"]),
    ]


if __name__ == "__main__":
    main("resume", measure)
