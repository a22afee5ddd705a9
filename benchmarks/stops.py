"""How soon an arm stands still: in the twin from random motions, and through the emulator when processes die.

In the twin, time is simulated: what is measured is the filter and the mechanics alone. Through the emulator it is the
wall clock's, with processes that burn every core beside: the driver's, the emulator's and the operating system's delays
are in it. The arm is watched where it is: in the plant, and in the emulator's own state.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import tasks
from benchmarks.common import progress
from controllers.arms.franka.cell import FrankaCell
from controllers.arms.franka.config import FrankaConfig
from controllers.emulators.control import Control
from controllers.emulators.fci import Emulator
from controllers.exceptions import ArmLatched, CellTimeout
from controllers.interface import Array, Pose, PoseTarget
from controllers.twin import TwinCell
from controllers.twin.plant import Plant

STILL = 0.01
"""m/s; slower than this, and from then on never faster, the tool stands still."""
TASK = "reach"
PACE = 0.25
"""m/s of the actor's targets, as fast as a reset moves."""
WATCH = 2.5
"""s that are watched after a command or a kill."""
PATIENCE = 60.0
"""s that a process may take to start, and that the cores are kept busy at most."""
TRIES = 5
HOW = ("the target goes stale", "stop", "the deadman is released")
KILLED = ("actor", "driver", "link")


@dataclass(frozen=True)
class Stop:
    """One stop. freeze: ms from the last fresh command to the filter's reaction, NaN where unseen.

    standstill: ms from the last fresh command (or the kill). way: mm that the tool's path was long in that time.
    speed: of the tool when the last command came, m/s. early: how often the robot had stopped by itself before the
    kill, for want of commands on a starved machine; such a run is made again.
    """

    how: str
    freeze: float
    standstill: float
    way: float
    speed: float
    early: int = 0


def standstill(times: Array, path: Array) -> tuple[float, float]:
    """(s, m) from the first sample until the tool stands still: times (k,) s, path (k, 3) m."""
    steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
    moving = np.flatnonzero(steps > STILL * np.diff(times))
    last = 0 if moving.size == 0 else int(moving[-1]) + 1
    return float(times[last] - times[0]), float(steps[:last].sum())


def in_twin(count: int, seed: int = 0) -> list[Stop]:
    """`count` stops of each kind in simulated time, out of motions whose targets lead the tool by 10 to 50 mm."""
    rng, cell = np.random.default_rng(seed), TwinCell(tasks.load(TASK))
    stops = []
    for i in range(count):
        for how in HOW:
            cell.teleport_home()
            cell.reset_scene(i)
            stops.append(_twin_stop(cell, rng, how))
    cell.close()
    return stops


def _twin_stop(cell: TwinCell, rng: np.random.Generator, how: str) -> Stop:
    cell.recover()
    cell.acquire("policy")
    heading, wide = rng.standard_normal(3), np.full(6, rng.uniform(0.01, 0.1))
    lead = rng.uniform(0.01, 0.05) * heading / np.linalg.norm(heading)
    clip = np.concatenate([-wide, wide])
    for sequence in range(int(rng.integers(2, 8))):
        here = cell.read().arm.pose
        target = PoseTarget(Pose(here.position + lead, here.quaternion), sequence, clip=clip)
        cell.command(target)
        cell.advance(int(rng.integers(50, 150)))
    cell.command(replace(target, sequence=sequence + 1))
    speed = float(np.linalg.norm(cell.read().arm.twist[:3]))
    if how == "stop":
        cell.stop()
    elif how == "the deadman is released":
        cell.command(replace(target, sequence=sequence + 2, enabled=False))
    path, freeze = [cell.read().arm.pose.position], np.nan
    for step in range(round(WATCH * 1e3)):
        if np.isnan(freeze) and cell.controller.state != "track":
            freeze = float(step)
        cell.advance(1)
        path.append(cell.arm.views.position.copy())
        # frozen, the arm stands; what follows after a second more is a slow ramp of its own
        if cell.controller.state in ("ramp", "hold") and how == "the target goes stale":
            break
    seconds, way = standstill(np.linspace(0.0, 1e-3 * (len(path) - 1), len(path)), np.array(path))
    return Stop(how, freeze, 1e3 * seconds, 1e3 * way, speed)


# Through the emulator: what dies is killed with SIGKILL, and the arm is watched from outside.


def burn(until: float) -> None:
    """Keeps one core busy until `time.monotonic()` says so."""
    while time.monotonic() < until:
        sum(range(10_000))


def act(box: tuple[Array, Array], quaternion: Array, pipe: Callable[[object], None]) -> None:
    """The actor: targets at 20 Hz that wander through the box at `PACE`, for ever; pipe: where they are sent."""
    rng, sequence, position = np.random.default_rng(0), 0, 0.5 * (box[0] + box[1])
    while True:
        goal = rng.uniform(*box)
        for _ in range(10):
            sequence += 1
            step = goal - position
            position = position + step * min(1.0, 0.05 * PACE / max(float(np.linalg.norm(step)), 1e-9))
            pipe((position, quaternion, sequence))
            time.sleep(0.05)


def through_emulator(victim: str, seed: int = 0) -> Stop:
    """One stop after a SIGKILL of `actor` or `driver`, or when the `link` drops every packet, all cores busy."""
    for early in range(TRIES):
        try:
            return replace(_killed(victim, seed + 1000 * early), early=early)
        except ArmLatched as error:
            progress(f"before the {victim} was killed, {error}")
    raise RuntimeError(f"the robot stopped by itself {TRIES} times in a row: this machine is too busy to measure on")


def _killed(victim: str, seed: int) -> Stop:
    """One such stop. Raises `ArmLatched` where the robot stopped by itself before."""
    rng, context = np.random.default_rng(seed), multiprocessing.get_context("spawn")
    task, cores = tasks.load(TASK), len(os.sched_getaffinity(0))
    with Emulator(task=TASK, clock="realtime") as emulator:
        control = Control(emulator.address)
        cell = FrankaCell(_config(control), task, clock="realtime", period=0.02)
        here, there = context.Pipe(duplex=False)
        box = (task.workspace.low + 0.05, task.workspace.high - 0.05)
        actor = context.Process(target=act, args=(box, task.start.quaternion, there.send), daemon=True)
        fire = [context.Process(target=burn, args=(time.monotonic() + PATIENCE,), daemon=True) for _ in range(cores)]
        try:
            for process in (actor, *fire):
                process.start()
            cell.acquire("policy")
            latest = _relay(cell, here, int(rng.integers(20, 60)))
            if victim == "actor":
                os.kill(actor.pid or 0, signal.SIGKILL)
            elif victim == "driver":
                os.kill(cell.driver_pid, signal.SIGKILL)
            else:
                control.fault("drop", share=1.0)
            return _watched(victim, cell, control, Plant(task), latest)
        finally:
            for process in (actor, *fire):
                process.kill()
                process.join()
            cell.close()
            control.close()


def _config(control: Control) -> FrankaConfig:
    load = control.about["payload"]
    return FrankaConfig(
        address=control.address,
        gripper="none",
        payload_mass=load["mass"],
        payload_centre=tuple(load["centre"]),
        payload_inertia=tuple(np.diag(np.reshape(load["inertia"], (3, 3)))),
    )


def _relay(cell: FrankaCell, pipe: Any, count: int) -> float:
    """Hands `count` targets of the actor to the cell; when the last one came."""
    for _ in range(count):
        if not pipe.poll(PATIENCE):
            raise CellTimeout(f"the actor sent no target for {PATIENCE} s")
        position, quaternion, sequence = pipe.recv()
        cell.command(PoseTarget(Pose(position, quaternion), sequence))
    return time.monotonic()


def _watched(victim: str, cell: FrankaCell, control: Control, plant: Plant, latest: float) -> Stop:
    """Watches the emulator's own arm; for the freeze the cell's word is taken."""
    killed, times, path, freeze = time.monotonic(), [], [], np.nan
    since = latest if victim == "actor" else killed
    while time.monotonic() - killed < WATCH:
        state = control.state()
        plant.set_state_vector(state["state_vector"])
        times.append(float(state["time"]))
        path.append(plant.pose.position)
        safety = cell.read().safety
        if np.isnan(freeze) and safety != "track":
            freeze = 1e3 * (time.monotonic() - since)
        if safety in ("ramp", "hold"):
            break  # what follows is a slow ramp of its own
    seconds, way = standstill(np.array(times), np.array(path))
    speed = float(np.linalg.norm(path[1] - path[0]) / max(times[1] - times[0], 1e-6))
    return Stop(f"SIGKILL of the {victim}", freeze, 1e3 * (seconds + killed - since), 1e3 * way, speed)


def percentiles(stops: list[Stop]) -> list[tuple[str, float, str]]:
    """(name, value, unit) of p50 and p99 of each kind of stop."""
    rows = []
    for how in dict.fromkeys(stop.how for stop in stops):
        kind = [stop for stop in stops if stop.how == how]
        for share in (50, 99):
            for field, unit in (("freeze", "ms"), ("standstill", "ms"), ("way", "mm")):
                values = np.array([getattr(stop, field) for stop in kind])
                rows.append((f"{how}: {field}, p{share}", float(np.nanpercentile(values, share)), unit))
    rows.append(
        ("stops by the robot itself before a kill, for want of commands", sum(stop.early for stop in stops), "")
    )
    return rows
