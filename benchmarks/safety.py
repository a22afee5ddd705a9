"""The safety filter against a million random and adversarial commands, on the twin, judged by the physics alone.

Each command holds for 1 to 500 ms. After every millisecond of physics a compiled loop compares what the arm does (its
joints, the torques applied and their rates, the tool) with the maker's own limits and the workspace. The filter works
at 80 % of the former; a violation is anything beyond 100 %, or a tool out of its box by more than the margin.

Then how soon the arm stands still (`benchmarks.stops`), in the twin and through the emulator when processes die.
"""

from __future__ import annotations

import multiprocessing
import time
from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numba import njit

import tasks
from benchmarks import stops
from benchmarks.adversary import Adversary
from benchmarks.common import Figure, Partial, at_least, at_most, main, progress
from controllers import limits
from controllers.impedance import Record
from controllers.interface import Array
from controllers.limits import SHARE
from controllers.twin import TwinCell, loop
from tasks.spec import TaskSpec, Workspace

COMMANDS, QUICK = 1_000_000, 20_000
BLOCK, EPISODE = 1000, 100
"""Commands in a block, the unit that is stored, and until the arm starts anew from another pose."""
LONGEST = 500
"""ms that a command is held at most."""
PROCESSES = 2
TRIES = 10_000
"""Draws of a pose to start from."""
MARGIN = 20.0
"""mm that the tool may be outside its box, whatever was commanded."""
SCENES = ("peg_insert", "pick_cube", "reach", "wide", "wide_panda", "wide_ur5e")
WATCHED = ("position", "velocity", "torque", "torque rate", "linear speed", "angular speed", "box", "tilt", "yaw")
"""What is watched: shares of the maker's limits, then how far outside the workspace, m and rad."""
SHARES = 4
"""How many of them are limits whose breach is a violation as a share."""


@njit
def watch(v: Any, control: Record, substeps: int, torque_rate: float, before: Array, worst: Array) -> None:
    """Advances `substeps` control periods and raises worst (9,) to what was seen at each; before (n,): torques."""
    bounds = control.bounds
    for _ in range(substeps):
        loop.run(v, control, 1)
        for j in range(v.q.shape[0]):
            middle, half = 0.5 * (bounds.low[j] + bounds.high[j]), 0.5 * (bounds.high[j] - bounds.low[j])
            fastest = limits.speed_limit(bounds, j, v.q[j], v.dq[j])
            worst[0] = max(worst[0], abs(v.q[j] - middle) / half)
            worst[1] = max(worst[1], abs(v.dq[j]) / max(fastest, 1e-9))
            worst[2] = max(worst[2], abs(v.force[j]) * SHARE / bounds.torque[j])
            worst[3] = max(worst[3], abs(v.force[j] - before[j]) / (torque_rate * control.dt))
            before[j] = v.force[j]
        for part in range(2):
            total = 0.0
            for i in range(3 * part, 3 * part + 3):
                speed = 0.0
                for j in range(v.q.shape[0]):
                    speed += v.arm_jacobian[i, j] * v.dq[j]
                total += speed * speed
            worst[4 + part] = max(worst[4 + part], np.sqrt(total) * SHARE / (bounds.angular if part else bounds.linear))
        for i in range(3):
            worst[6] = max(worst[6], v.position[i] - bounds.box[1, i], bounds.box[0, i] - v.position[i])
        tilt, _, _, yaw = limits.swing_twist(bounds, v.quaternion)
        worst[7] = max(worst[7], tilt - bounds.tilt)
        worst[8] = max(worst[8], abs(yaw) - bounds.yaw)


@dataclass(frozen=True)
class Block:
    """What a run of commands came to. worst (9,): see `WATCHED`. broken: commands during which a limit was."""

    commands: int
    seconds: float
    worst: list[float]
    broken: dict[str, int]
    latched: int
    refused: int
    kinds: dict[str, int]
    clamps: dict[str, int]


def scene(name: str) -> TaskSpec:
    """A task's own cell; `wide`: a box around all that the arm can reach, clear of the table, and any turn."""
    if not name.startswith("wide"):
        return tasks.load(name)
    everywhere = Workspace(np.array([-1.0, -1.0, 0.25]), np.array([1.0, 1.0, 1.5]), np.pi, np.pi)
    _, _, arm = name.partition("_")
    return replace(tasks.load("reach").on(arm or "fr3"), workspace=everywhere)


def block(name: str, number: int, commands: int = BLOCK, seed: int = 0) -> Block:
    """Runs one block of commands; the same name, number and seed give the same."""
    rng = np.random.default_rng([seed, number, SCENES.index(name)])
    cell = TwinCell(scene(name))
    controller, views = cell.controller, cell.arm.views
    adversary = Adversary(cell, rng)
    adversary.start()
    worst, broken, latched, spent = np.full(len(WATCHED), -np.inf), Counter[str](), 0, 0
    for i in range(commands):
        if i % EPISODE == 0:
            _start(cell, rng, number * commands + i, anywhere=name.startswith("wide"))
            before = controller.arrays.sent.copy()
        adversary.command()
        seen, held = np.full(len(WATCHED), -np.inf), int(rng.integers(1, LONGEST + 1))
        cell.advance(0)  # what was read before is old
        watch(views, controller.arrays, held, controller.arm.torque_rate, before, seen)
        spent += held
        names = _broken(seen)
        broken.update(names)
        fault = int(controller.arrays.fault)
        if names or fault not in (limits.NO_FAULT, limits.STOPPED, limits.REPORTED):
            latched += fault != limits.NO_FAULT
            controller.recover()
            _start(cell, rng, number * commands + i, anywhere=name.startswith("wide"))
            before = controller.arrays.sent.copy()
        worst = np.maximum(worst, seen)
    cell.close()
    return Block(
        commands, 1e-3 * spent, worst.tolist(), dict(broken), latched, adversary.refused, dict(adversary.sent),
        controller.clamps,
    )  # fmt: skip


def _broken(seen: Array) -> list[str]:
    """Names of what is beyond a limit; NaN is beyond all."""
    allowed = np.array([1.0 + 1e-9] * SHARES + [np.inf] * 2 + [1e-3 * MARGIN] + [np.inf] * 2)
    return [name for name, value, most in zip(WATCHED, seen, allowed, strict=True) if not value <= most]


def _start(cell: TwinCell, rng: np.random.Generator, seed: int, anywhere: bool) -> None:
    """At rest: at home, or anywhere in the soft range with the tool inside the box."""
    cell.reset_scene(seed)
    cell.teleport_home()
    if not anywhere:
        return
    low, high = cell.controller.arm.soft
    box, n = cell.task.workspace, len(low)
    for _ in range(TRIES):
        cell.data.qpos[:n] = rng.uniform(low, high)
        cell.set_state_vector(cell.state_vector())
        tool = cell.arm.views.position
        if (tool > box.low).all() and (tool < box.high).all() and cell.data.ncon == 0:
            return
    raise RuntimeError(f"no pose of {cell.task.arm} inside its box in {TRIES} tries: enlarge the box")


def _stored(kept: Partial, commands: int, item: tuple[str, int]) -> Block:
    name, number = item
    started = time.perf_counter()
    result = kept.once(f"{name}-{number:04d}", lambda: vars(block(name, number, commands)))
    progress(
        f"{name} {number}: worst position {result['worst'][0]:.3f} velocity {result['worst'][1]:.3f} "
        f"box {1e3 * result['worst'][6]:.1f} mm, broken {result['broken']}, {time.perf_counter() - started:.0f} s"
    )
    return Block(**result)


def measure(quick: bool) -> list[Figure]:
    total = QUICK if quick else COMMANDS
    kept = Partial("safety", quick)
    each = min(BLOCK, total // len(SCENES))
    rounds = -(-total // (each * len(SCENES)))
    items = [(name, number) for number in range(rounds) for name in SCENES]
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        blocks = list(pool.imap_unordered(partial(_stored, kept, each), items))
    return _figures(blocks) + _stops(kept, quick)


def _stops(kept: Partial, quick: bool) -> list[Figure]:
    """How soon the arm stands, in the twin and through the emulator under full load."""
    rows = kept.once("stops-twin", lambda: [vars(stop) for stop in stops.in_twin(30 if quick else 1000)])
    for victim in stops.KILLED:
        for number in range(2 if quick else 30):
            progress(f"killing the {victim}, {number + 1}")
            kill = partial(stops.through_emulator, victim, number)
            rows.append(kept.once(f"stops-{victim}-{number:02d}", lambda kill=kill: vars(kill())))  # type: ignore[misc]
    return [Figure(*row) for row in stops.percentiles([stops.Stop(**row) for row in rows])]


def _figures(blocks: list[Block]) -> list[Figure]:
    worst = np.max([part.worst for part in blocks], axis=0)
    violations = sum(sum(part.broken.values()) for part in blocks)
    figures = [
        at_least("commands", sum(part.commands for part in blocks), "", 1),
        Figure("simulated", sum(part.seconds for part in blocks) / 3600, "h"),
        Figure("refused commands", sum(part.refused for part in blocks), ""),
        at_most("violations", violations, "", 0),
        at_most("latches by a limit", sum(part.latched for part in blocks), "", 0),
    ]
    for name, value in zip(WATCHED, worst, strict=True):
        if name in WATCHED[:SHARES]:
            figures.append(at_most(f"largest joint {name}, of the maker's", 100 * float(value), "%", 100))
        elif name == "box":
            figures.append(at_most("tool outside its box, at most", 1e3 * max(0.0, float(value)), "mm", MARGIN))
        elif name in ("tilt", "yaw"):
            figures.append(Figure(f"tool beyond its {name}, at most", float(np.degrees(max(0.0, value))), "deg"))
        else:
            figures.append(Figure(f"largest {name}, of the maker's", 100 * float(value), "%"))
    return figures


if __name__ == "__main__":
    main("safety", measure)
