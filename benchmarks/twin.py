"""Speed of the twin in this process on one core, beside gym-hil's PandaPickCube in the same run.

Both step a Franka arm at 10 Hz with random actions towards a cube; only the steps are timed, not the resets. The twin
runs physics and control at 1 kHz, gym-hil at 500 Hz. Rounds alternate and the medians are compared.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import mujoco

import robot_rl
import tasks
from benchmarks.common import Figure, at_least, at_most, main, peer_environment, peer_python, progress
from controllers.interface import PoseTarget
from controllers.twin import TwinCell
from tasks.spec import CameraSpec

PEER = "gym-hil 0.1.14 PandaPickCube"
TARGETS = {"state": (400, 15), "pixels": (100, 80)}
"""Policy steps/s, and times the peer's."""
LABELS = {"state": "from state", "pixels": "with two 128x128 cameras"}


def measure(quick: bool) -> list[Figure]:
    """All figures; quick: one round instead of three."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    python = _peer()
    figures = []
    for obs in TARGETS:
        figures += _against_peer(obs, python, rounds=1 if quick else 3)
    figures.append(Figure("policy steps/s, peg_insert from state", _rates("peg_insert", "state", 3.0)[0], "1/s"))
    return figures + _inside() + _rendering()


def _peer() -> Path | None:
    try:
        return peer_python("gym-hil", "gym-hil==0.1.14")
    except subprocess.CalledProcessError as error:
        progress(f"gym-hil cannot be installed ({error}): the figures go without it")
        return None


def _against_peer(obs: str, python: Path | None, rounds: int) -> list[Figure]:
    """Steps/s and the ratio to the peer, from alternating rounds."""
    ours, theirs = [], []
    for number in range(rounds):
        progress(f"policy steps {LABELS[obs]}, round {number + 1} of {rounds}")
        ours.append(_rates("pick_cube", obs, seconds=3.0))
        if python is not None:
            theirs.append(_peer_rates(python, obs, seconds=5.0 if obs == "state" else 12.0))
    absolute, times = TARGETS[obs]
    name = f"policy steps/s, pick_cube {LABELS[obs]}"
    wall, busy = (median(column) for column in zip(*ours, strict=True))
    if not theirs:
        return [at_least(name, wall, "1/s", absolute)]
    peer_wall, peer_busy = (median(column) for column in zip(*theirs, strict=True))
    peer = {"peer": PEER, "peer_value": peer_wall, "ratio": wall / peer_wall}
    peer_cpu = {"peer": PEER, "peer_value": peer_busy, "ratio": busy / peer_busy}
    return [
        at_least(name, wall, "1/s", absolute, **peer),
        at_least(f"times the peer, {LABELS[obs]}", wall / peer_wall, "x", times, **peer),
        Figure(f"policy steps per CPU second, pick_cube {LABELS[obs]}", busy, "1/s", **peer_cpu),
    ]


def _rates(task: str, obs: str, seconds: float) -> tuple[float, float]:
    """Steps of our environment under random actions, per second and per CPU second (other programs do not count)."""
    env = robot_rl.make(task, obs=obs)
    env.action_space.seed(0)
    env.reset(seed=0)
    env.step(env.action_space.sample())
    steps, spent, busy = 0, 0.0, 0.0
    while spent < seconds:
        action = env.action_space.sample()
        start, start_busy = time.perf_counter(), time.process_time()
        _, _, terminated, truncated, _ = env.step(action)
        spent += time.perf_counter() - start
        busy += time.process_time() - start_busy
        steps += 1
        if terminated or truncated:
            env.reset()
    env.close()
    return steps / spent, steps / busy


def _peer_rates(python: Path, obs: str, seconds: float) -> tuple[float, float]:
    script = Path(__file__).with_name("peer_gym_hil.py")
    environment = peer_environment() | {"MUJOCO_GL": "egl"}
    command = [str(python), str(script), obs, str(seconds)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    wall, busy = json.loads(done.stdout.splitlines()[-1])
    return float(wall), float(busy)


def _inside() -> list[Figure]:
    """One substep in free space with everything, and the part of it that is `mj_step` itself."""
    task = tasks.load("reach")
    cell = TwinCell(task)
    cell.acquire("policy")
    cell.command(PoseTarget(task.start, 0))
    cell.wait()
    substeps, whole, physics = 1000, [], []
    for _ in range(20):
        state = cell.state_vector()
        physics.append(_timed(partial(mujoco.mj_step, cell.model, cell.data, substeps)))
        cell.set_state_vector(state)
        whole.append(_timed(partial(cell.advance, substeps)))
    substep, step = (1e6 * median(times) / substeps for times in (whole, physics))
    return [
        at_most("substep in free space, physics and control", substep, "us", 20),
        Figure("share of mj_step in it", 100 * step / substep, "%"),
    ]


def _rendering() -> list[Figure]:
    cell = TwinCell(tasks.load("peg_insert"))
    figures = []
    for name in ("front", "wrist"):
        camera = CameraSpec(name)
        picture = partial(cell.render, camera)
        picture()
        spent = median(_timed(picture) for _ in range(200))
        figures.append(at_most(f"one 128x128 picture, camera {name}", 1e3 * spent, "ms", 2.5))
    cell.close()
    return figures


def _timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


if __name__ == "__main__":
    main("twin", measure)
