"""One control period of the law and the safety filter on seven joints.

p50 and p99 are of single calls from Python, most of which is the way in; the mean is of a compiled loop, as the twin
runs it.
"""

from __future__ import annotations

import time
from pathlib import Path

import mujoco
import numpy as np
from numba import njit

import controllers
from benchmarks.common import Figure, at_most, main
from controllers.controller import Controller, tick
from controllers.interface import Array, Pose, PoseTarget
from controllers.models import arm_model
from tasks.spec import Gains, Workspace

FR3 = arm_model("fr3").limits

HOME = np.array([0.0, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785])
TARGET_US = 50.0


@njit
def _ticks(arrays, jacobian, mass, q, dq, bias, position, quaternion, tau, count):  # type: ignore[no-untyped-def]
    """Calls `tick` `count` times from compiled code."""
    for _ in range(count):
        tick(arrays, jacobian, mass, q, dq, bias, position, quaternion, tau)


def measure(quick: bool) -> list[Figure]:
    samples = 20_000 if quick else 200_000
    arguments = _arm()
    durations = _samples(lambda: tick(*arguments), samples)
    return [
        at_most("tick_p50", float(np.percentile(durations, 50)), "us", TARGET_US),
        at_most("tick_p99", float(np.percentile(durations, 99)), "us", TARGET_US),
        at_most("tick_in_compiled_loop_mean", _mean(arguments, samples), "us", TARGET_US),
    ]


def _samples(call, count: int) -> Array:  # type: ignore[no-untyped-def]
    """Durations of `count` calls, us, after a warm-up."""
    for _ in range(1000):
        call()
    durations = np.empty(count)
    for i in range(count):
        start = time.perf_counter_ns()
        call()
        durations[i] = 1e-3 * (time.perf_counter_ns() - start)
    return durations


def _mean(arguments: tuple, count: int) -> float:
    """Microseconds a tick in a compiled loop of `count`."""
    _ticks(*arguments, 1)
    start = time.perf_counter_ns()
    _ticks(*arguments, count)
    return 1e-3 * (time.perf_counter_ns() - start) / count


def _arm() -> tuple:
    """Arguments of `tick` for an FR3 at home that tracks a target 5 cm away: every branch of the usual path runs."""
    model = mujoco.MjModel.from_xml_path(str(Path(controllers.__file__).parent / "twin" / "models" / "fr3.xml"))
    data, site = mujoco.MjData(model), model.site("flange").id
    data.qpos[:] = HOME
    mujoco.mj_forward(model, data)
    jacobian, mass, quaternion = np.zeros((6, 7)), np.zeros((7, 7)), np.zeros(4)
    mujoco.mj_jacSite(model, data, jacobian[:3], jacobian[3:], site)
    mujoco.mj_fullM(model, data, mass)
    mujoco.mju_mat2Quat(quaternion, data.site_xmat[site])
    quaternion, position = np.roll(quaternion, -1), data.site_xpos[site].copy()
    gains = Gains(np.array([2000.0] * 3 + [100.0] * 3), np.full(6, 20.0), np.repeat([-0.006, 0.006], 6), 0.02)
    everywhere = Workspace(np.full(3, -2.0), np.full(3, 2.0), np.pi, np.pi)
    controller = Controller(FR3, gains, everywhere, home=HOME, start=quaternion)
    controller.arrays.freeze_at = 10**9  # the one target stays fresh
    controller.seed(position, quaternion)
    controller.acquire("policy")
    controller.submit("policy", PoseTarget(Pose(position + 0.05, quaternion), 1))
    velocity = np.linspace(-0.1, 0.1, 7)
    bias = data.qfrc_bias.copy()
    return controller.arrays, jacobian, mass, HOME.copy(), velocity, bias, position, quaternion, np.zeros(7)


if __name__ == "__main__":
    main("control", measure)
