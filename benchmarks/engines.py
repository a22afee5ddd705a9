"""The twin moved by another engine: whether what was learnt in MuJoCo's contacts holds in Bullet's.

For each task: successes of its scripted expert in both engines, and of a policy that was trained from state in MuJoCo,
on the same episodes. `peg_insert` is trained twice, the second time on drawn worlds (`--randomise`). Goes on where it
stopped, task by task.
"""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tasks
from benchmarks.common import BUILD, Figure, Partial, at_least, main, progress
from benchmarks.runs import robot_rl
from controllers.bullet.cell import BulletCell
from controllers.exceptions import SceneError
from controllers.interface import Reading
from controllers.twin import TwinCell
from robot_rl.envs import RobotEnv
from robot_rl.evaluate import evaluate
from robot_rl.resets.scripted import FreshReset, ScriptedReset
from robot_rl.seeds import derive
from tasks.spec import TaskSpec

NAME = "engines"
ENGINES: dict[str, type[TwinCell]] = {"mujoco": TwinCell, "bullet": BulletCell}
EXPERT, EPISODES = 20, 100
RANDOMISED = "peg_insert"


def suite() -> list[str]:
    """The tasks, the one that has to hold first."""
    return [RANDOMISED, *(name for name in tasks.names() if name not in (RANDOMISED, "reach"))]


class Scripted:
    """The task's expert as what acts in an evaluation; each of its episodes begins at time zero."""

    def __init__(self, task: TaskSpec) -> None:
        self._expert, self._stamp = task.expert(task), np.inf

    def __call__(self, observation: Any, reading: Reading, step: int) -> NDArray[np.float32]:
        if reading.stamp < self._stamp:
            self._expert.reset(np.random.default_rng(derive(0, NAME, step)))
        self._stamp = reading.stamp
        return np.asarray(self._expert.act(reading), np.float32)


def expert(name: str, quick: bool) -> dict[str, Any]:
    """Successes of the expert in each engine, or why there are none."""
    task, found = tasks.load(name), dict[str, Any]()
    for engine, kind in ENGINES.items():
        progress(f"{name}: expert in {engine}")
        try:
            cell = kind(task)
        except SceneError as error:
            return {"refused": str(error)}
        with closing(RobotEnv(task, cell, reset=FreshReset(ScriptedReset(task)))) as env:
            found[engine] = evaluate(env, Scripted(task), 2 if quick else EXPERT, 1).successes
    return found


def policy(name: str, randomise: bool, quick: bool) -> dict[str, Any]:
    """Success of a policy trained in MuJoCo, in each engine."""
    run = BUILD / "runs" / f"{NAME}-{name}{'-drawn' if randomise else ''}{'-quick' if quick else ''}"
    shutil.rmtree(run, ignore_errors=True)
    progress(f"training {name}{' on drawn worlds' if randomise else ''}")
    options = [*(("--steps", "600") if quick else ()), *(("--randomise",) if randomise else ())]
    robot_rl("train", name, "--transport", "inprocess", "--run", str(run), *options)
    rates = {}
    for engine in ENGINES:
        progress(f"{name}: policy in {engine}")
        episodes = "3" if quick else str(EPISODES)
        printed = robot_rl("eval", str(run), "--episodes", episodes, "--seed", "1000", "--engine", engine, "--json")
        rates[engine] = json.loads(printed)["success_rate"]
    return rates


def measure(quick: bool) -> list[Figure]:
    """The figures."""
    partial = Partial(NAME, quick)
    for name in [RANDOMISED] if quick else suite():
        experts = partial.once(f"{name}-expert", lambda n=name: expert(n, quick))  # type: ignore[misc]
        if "refused" not in experts:
            partial.once(f"{name}-policy", lambda n=name: policy(n, False, quick))  # type: ignore[misc]
        if name == RANDOMISED:
            partial.once(f"{name}-drawn", lambda n=name: policy(n, True, quick))  # type: ignore[misc]
    return so_far(quick)


def so_far(quick: bool) -> list[Figure]:
    """Of what there is."""
    partial, figures = Partial(NAME, quick), list[Figure]()
    for name in suite():
        experts = partial.get(f"{name}-expert") or {}
        for engine in ENGINES:
            if engine in experts:
                count = 2 if quick else EXPERT
                figures.append(Figure(f"{name}: expert's success in {engine}", experts[engine] / count, ""))
        for key, what in (("policy", "policy"), ("drawn", "policy of drawn worlds")):
            if (rates := partial.get(f"{name}-{key}")) is not None:
                gap = 100 * (rates["mujoco"] - rates["bullet"])
                label = f"{name}: {what}, success in bullet"
                held = {"peer": "in mujoco", "peer_value": rates["mujoco"]}
                figures.append(
                    at_least(label, rates["bullet"], "", 0.9, **held)
                    if name == RANDOMISED
                    else Figure(label, rates["bullet"], "", **held)
                )
                figures.append(Figure(f"{name}: {what}, gap", gap, "points"))
    return figures


if __name__ == "__main__":
    main(NAME, measure, so_far)
