"""The emulated Franka behind its maker's client: speed, timing, reflexes at 99 and 101 %, and our driver on it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks import driver
from benchmarks.common import Figure, at_least, at_most, main, progress
from benchmarks.reflexes import CASES, outcome, resting_robot
from controllers.emulators.control import Control
from controllers.emulators.fci import Emulator

FRANKY = Path(__file__).with_name("client_franky.py")


def measure(quick: bool) -> list[Figure]:
    """All figures; quick: shorter motions, fewer episodes."""
    seconds = 5.0 if quick else 20.0
    through = [*driver.tracking(), *driver.transfer(quick)]
    return [*_lockstep(seconds), *_franky(seconds), *_realtime(seconds), *_reflexes(), *through]


def _lockstep(seconds: float) -> list[Figure]:
    """How fast a client of pylibfranka gets on when the robot waits for it, and what one cycle takes."""
    progress("lockstep with pylibfranka")
    with Emulator(task="peg_insert", clock="lockstep") as emulator:
        cycles = _torque_control(emulator.address, round(1000 * seconds))
    return [
        at_least("lockstep, pylibfranka, torque control", 1e-3 / float(cycles.mean()), "x real time", 3.0),
        Figure("lockstep, one cycle, median", 1e6 * float(np.median(cycles)), "us"),
        Figure("lockstep, one cycle, p99", 1e6 * float(np.percentile(cycles, 99)), "us"),
    ]


def _torque_control(address: str, count: int) -> np.ndarray:
    """Times (count,) in s from one command to the next, holding the arm by its joints."""
    import pylibfranka

    with Control(address) as control:
        load = control.about["payload"]
    robot = pylibfranka.Robot(address, pylibfranka.RealtimeConfig.kIgnore)
    robot.set_load(load["mass"], load["centre"], load["inertia"])
    model, motion = robot.load_model(), robot.start_torque_control()
    state, _ = motion.readOnce()
    goal, sent = np.array(state.q), np.zeros(count + 1)
    for number in range(count + 1):
        pull = 100.0 * (goal - state.q) - 20.0 * np.array(state.dq)
        command = pylibfranka.Torques((np.array(model.coriolis(state)) + pull).tolist())
        command.motion_finished = number == count
        sent[number] = time.perf_counter()
        motion.writeOnce(command)
        if number < count:
            state, _ = motion.readOnce()
    return np.diff(sent)


def _franky(seconds: float) -> list[Figure]:
    """The same with franky's own loop, which runs in C++; it needs a process of its own."""
    progress("lockstep with franky")
    with Emulator(task="peg_insert", clock="lockstep") as emulator:
        command = [sys.executable, str(FRANKY), emulator.address, str(seconds)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    robot, wall = json.loads(done.stdout.splitlines()[-1])
    return [Figure("lockstep, franky, joint motions", robot / wall, "x real time")]


def _realtime(seconds: float) -> list[Figure]:
    """How late the states leave, with a client in torque control, and what of its commands arrives in time."""
    progress("real time with pylibfranka")
    with Emulator(task="peg_insert", clock="realtime") as emulator, Control(emulator.address) as control:
        before = control.state()["counts"]
        _torque_control(emulator.address, round(1000 * seconds))
        timing, after = control.ask("timing"), control.state()["counts"]
    cycles, lost = after["cycles"] - before["cycles"], after["lost"] - before["lost"]
    return [
        Figure("real time, a state is late by, median", timing["p50"], "us"),
        Figure("real time, a state is late by, p99", timing["p99"], "us"),
        Figure("real time, a state is late by, max", timing["max"], "us"),
        Figure("real time, cycles given up", timing["overruns"], ""),
        Figure("real time, commands that missed their cycle", 100.0 * lost / cycles, "%"),
    ]


def _reflexes() -> list[Figure]:
    progress(f"{len(CASES)} limits at 99 and 101 %")
    robot = resting_robot()
    false = sum(outcome(case, robot, 0.99) != [] for case in CASES)
    missed = sum(outcome(case, robot, 1.01) != [case.error] for case in CASES)
    return [
        Figure("limits driven to", len(CASES), ""),
        at_most("reflexes at 99 % of a limit", false, "", 0),
        at_most("reflexes missing or wrong at 101 %", missed, "", 0),
    ]


if __name__ == "__main__":
    main("emulators", measure)
