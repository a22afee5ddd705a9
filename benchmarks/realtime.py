"""The driver's 1 kHz loop on this machine, against the emulator on the wall clock: idle, and beside a learner.

What this machine's kernel gives, and no claim of real time: the emulated robot runs on the same cores, and is late
itself.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from benchmarks.common import Figure, main, progress
from benchmarks.driver import config_of
from controllers.arms.franka.cell import FrankaCell
from controllers.arms.franka.scheduling import realtime_kernel
from controllers.emulators.control import Control
from controllers.emulators.fci import Emulator
from controllers.interface import Pose, PoseTarget
from tasks.peg_insert.task import SPEC

ROBOT_PRIORITY = 85
"""Real-time priority of the emulated robot, above the driver's, where the system allows it."""
LEARN = "from benchmarks.realtime import learn; learn()"


def measure(quick: bool) -> list[Figure]:
    """60 s (quick: 10 s) idle, and as long with a learner at work."""
    seconds = 10.0 if quick else 60.0
    figures = [Figure("kernel is PREEMPT_RT", float(realtime_kernel()), "")]
    figures += _loop("idle", seconds)
    with learning():
        figures += _loop("beside a learner", seconds)
    return figures


@contextmanager
def learning() -> Iterator[None]:
    """A learner that updates as fast as it can, in a process of its own."""
    progress("starting the learner")
    process = subprocess.Popen([sys.executable, "-c", LEARN], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        if not process.stdout.readline().startswith("ready"):
            raise RuntimeError("the learner did not start")
        yield
        if process.poll() is not None:
            raise RuntimeError("the learner ended before the measurement did")
    finally:
        process.kill()
        process.wait()


def learn() -> None:
    """Update a learner as peg_insert has it, without end."""
    from benchmarks.learner import make_learner, transitions

    learner = make_learner(2, 128, transitions(20_000))  # blocks for minutes of updates
    print("ready", flush=True)
    while True:
        learner.update_block()


def _loop(name: str, seconds: float) -> list[Figure]:
    """The loop's timing while the arm moves to and fro; a latch is counted and recovered, as a person would."""
    progress(f"{seconds:g} s {name}")
    with Emulator(task=SPEC.name, clock="realtime") as emulator, Control(emulator.address) as control:
        with contextlib.suppress(PermissionError):  # a robot is another computer: ours should not hold it up
            os.sched_setscheduler(emulator.pid, os.SCHED_FIFO, os.sched_param(ROBOT_PRIORITY))
        cell = FrankaCell(config_of(emulator.address), SPEC, clock="realtime")
        try:
            latches = _move(cell, seconds)
            values = cell.health().values
        finally:
            cell.close()
        late = control.ask("timing")
    names = [f"{what} {size} (ms)" for what in ("period", "duration") for size in ("p50", "p99", "max")]
    told = {key: float(str(values[key])) for key in (*names, "missed cycles", "cycles", "longest gap (cycles)")}
    return [
        *(Figure(f"{name}: {key.removesuffix(' (ms)')}", told[key], "ms") for key in names),
        Figure(f"{name}: missed cycles", told["missed cycles"], ""),
        Figure(f"{name}: of cycles", told["cycles"] + told["missed cycles"], ""),
        Figure(f"{name}: longest gap", told["longest gap (cycles)"], "ms"),
        Figure(f"{name}: latches for want of commands", float(latches), ""),
        Figure(f"{name}: the emulator's own lateness, p99", late["p99"] / 1e3, "ms"),
    ]


def _move(cell: FrankaCell, seconds: float) -> int:
    """Targets 10 times a second; how often the robot gave up on us."""
    cell.acquire("policy")
    latches, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        reading = cell.read()
        if reading.safety == "latched":
            latches += 1
            cell.recover()
        else:
            offset = 0.03 * np.sin(2.0 * np.pi * 0.5 * time.monotonic())
            place = SPEC.start.position + np.array([offset, 0.0, 0.0])
            cell.command(PoseTarget(Pose(place, SPEC.start.quaternion), reading.tick))
        cell.wait()
    return latches


if __name__ == "__main__":
    main("realtime", measure)
