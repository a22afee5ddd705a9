"""`robot-rl teleop --cell C`: the first motions of a cell, each after a question.

read: look at the state, nothing moves. hold: the arm holds where it is. jog: 10 % of the reduced speed, by keys or by a
script. stop: the software stop in mid-motion, with its distance and time measured. The software stop is no safety-rated
stop: keep the hardware's within reach.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.live import Live

from controllers.interface import Reading
from robot_rl.commission.keyboard import END, HELP, KEYS, STEP, STOP, keyboard
from robot_rl.commission.report import Ask, Finding, green, judged, say, state_table
from robot_rl.commission.session import PERIOD, REDUCED, SHARE, STILL, Session, velocity_of

STEPS = ("read", "hold", "jog", "stop")
Jog = tuple[str, float]
"""An axis of the base and a distance, m or rad."""

HOLD_TIME = 2.0
"""s that the hold is watched."""
SAG = (0.003, 0.010)
"""m that the tool may sink or drift while it holds: yellow and red from there."""
MISSED = (0.003, 0.2)
"""A jog may miss its distance by m (or by 10 times as many rad), or by this part of it."""
STOP_AXIS, STOP_RUN = "z", 0.03
"""The stop is tested on a motion upwards, after m of it."""
STOP_DISTANCE, STOP_TIME = (0.010, 0.030), (0.3, 1.0)
"""m and s from the call to standstill at 10 %: yellow and red from there."""
STOP_PATIENCE = 3.0
"""s within which a stopped arm must stand."""
STOP_REASON, STOP_ANSWER = "stop test", "stop requested"
"""Why the arm is latched by the test, and what a robot says of a stop that it was told in turn."""


@dataclass(frozen=True)
class Wishes:
    """What a person asked for. jogs: a script in place of the keys. seconds: of the read-only look."""

    only: Sequence[str] = STEPS
    jogs: Sequence[Jog] = ()
    seconds: float = 2.0
    stop_axis: str = STOP_AXIS


def teleop(session: Session, wishes: Wishes, ask: Ask, console: Console) -> list[Finding]:
    """The steps that are wished and agreed to, in order; what was found at each."""
    steps: dict[str, tuple[str, Callable[[], Finding]]] = {
        "read": ("look at the arm's state? nothing moves", lambda: read(session, wishes.seconds, console)),
        "hold": ("hold the arm where it is?", lambda: hold(session)),
        "jog": (f"jog the arm at {100 * SHARE:.0f} % of the reduced speed?", lambda: jog(session, wishes, console)),
        "stop": (
            f"test the software stop while the arm moves along {wishes.stop_axis}?",
            lambda: stop(session, wishes),
        ),
    }
    findings = []
    for name in STEPS:
        question, act = steps[name]
        if name not in wishes.only:
            continue
        if not ask(question):
            console.print(f"{name}: left out")
            break  # a later step builds on the ones before
        findings.append(say(console, act()))
        if findings[-1].level == "red":
            break
    return findings


def read(session: Session, seconds: float, console: Console) -> Finding:
    """Show the state; the arm is nobody's, and no target is sent."""
    began, count = time.monotonic(), 0
    first = reading = session.read()
    live = Live(state_table(reading), console=console, auto_refresh=False) if console.is_terminal else None
    if live is not None:
        live.start()
    try:
        while count * PERIOD < seconds:
            reading = session.cell.wait()
            count += 1
            if live is not None and count % 10 == 0:
                live.update(state_table(reading, count / (time.monotonic() - began)), refresh=True)
    finally:
        if live is not None:
            live.stop()
    if live is None:
        console.print(state_table(reading))
    if reading.safety == "latched":
        mend = "see to the cause, then give --recover"
        return Finding("read", "red", f"the arm is latched: {reading.reason}", mend)
    moved = float(np.linalg.norm(reading.arm.pose.position - first.arm.pose.position))
    detail = f"{count} readings over {seconds:g} s, the tool moved {1e3 * moved:.1f} mm"
    return judged("read", moved, *SAG, detail, "something moves the arm: end it before going on")


def hold(session: Session) -> Finding:
    """How far the arm sags or drifts when it is taken over and holds."""
    before = session.take().arm.pose.position
    furthest = 0.0

    def watch(reading: Reading) -> None:
        nonlocal furthest
        furthest = max(furthest, float(np.linalg.norm(reading.arm.pose.position - before)))

    session.watch = watch
    reading = session.hold(HOLD_TIME)
    session.watch = lambda _: None
    force = float(np.linalg.norm(reading.arm.wrench[:3]))
    detail = f"held for {HOLD_TIME:g} s within {1e3 * furthest:.1f} mm, {force:.1f} N at the tool"
    return judged("hold", furthest, *SAG, detail, "set `payload` to what the flange carries, and tare")


def jog(session: Session, wishes: Wishes, console: Console) -> Finding:
    """Scripted jogs with their errors, or the keys until a person ends them."""
    if not wishes.jogs:
        return by_keys(session, console)
    session.take()
    missed, said = 0.0, []
    for axis, distance in wishes.jogs:
        before = session.read()
        moved = along(axis, before, session.jog(axis, distance))
        unit, scale, allowed = ("deg", 180 / np.pi, 10 * MISSED[0]) if axis.startswith("r") else ("mm", 1e3, MISSED[0])
        said.append(f"{axis} {scale * distance:+.1f} {unit}, moved {scale * moved:+.1f}")
        missed = max(missed, abs(moved - distance) / max(allowed, MISSED[1] * abs(distance)))
    mend = "the box, a joint's end or friction holds the arm: jog another way, or set `payload`"
    return judged("jog", missed, 1.0, 5.0, "; ".join(said), mend)


def along(axis: str, before: Reading, after: Reading) -> float:
    """How far the tool went along, m, or turned about, rad, an axis of the base."""
    from controllers import spatial

    index = ("x", "y", "z").index(axis[-1])
    if not axis.startswith("r"):
        return float(after.arm.pose.position[index] - before.arm.pose.position[index])
    back = spatial.conjugate(before.arm.pose.quaternion)
    return float(spatial.log(spatial.multiply(after.arm.pose.quaternion, back))[index])


def by_keys(session: Session, console: Console) -> Finding:
    """Jog with the terminal's keys until q; space is the software stop."""
    steps = 0
    with keyboard() as keys:
        session.take()
        console.print(HELP)
        while True:
            key = keys.key()
            if key == END:
                return green("jog", f"{steps} steps by hand")
            if key == STOP:
                session.cell.stop("stopped by the person who jogs")
                return Finding("jog", "red", "stopped by hand; the arm is latched", "see why, then give --recover")
            if key in KEYS:
                axis, sign = KEYS[key]
                session.jog_step(axis, sign * STEP[axis.startswith("r")])
                steps += 1
            else:
                session.tick()


def stop(session: Session, wishes: Wishes) -> Finding:
    """Stop in mid-motion; how far and how long the tool goes on from the call, and the latch cleared again."""
    session.take()
    velocity, speed = velocity_of(wishes.stop_axis, 1.0)
    reading = session.read()
    for _ in range(round(STOP_RUN / (REDUCED[0] * SHARE * PERIOD))):
        reading = session.tick(velocity)
    moving, begin, began = float(np.linalg.norm(reading.arm.twist[:3])), reading.arm.pose.position, reading.arm.stamp
    session.cell.stop(STOP_REASON)
    furthest, stood = 0.0, 0.0
    while reading.arm.stamp - began < STOP_PATIENCE:
        reading = session.cell.wait()
        furthest = max(furthest, float(np.linalg.norm(reading.arm.pose.position - begin)))
        if np.linalg.norm(reading.arm.twist[:3]) >= STILL[0]:
            stood = reading.arm.stamp - began
        elif reading.arm.stamp - began > stood + 0.2:
            break
    if reading.safety != "latched":
        return Finding("stop", "red", f"the arm is {reading.safety} after a stop", "do not use this cell: report it")
    if reading.reason != STOP_REASON and not reading.reason.endswith(STOP_ANSWER):
        return Finding("stop", "red", f"the arm is latched: {reading.reason}", "see to the cause, then give --recover")
    session.cell.recover()
    detail = f"from {1e3 * moving:.0f} mm/s: {1e3 * furthest:.1f} mm and {1e3 * stood:.0f} ms to standstill; latched"
    if moving < 0.3 * speed:
        return Finding("stop", "red", f"the arm did not move: {detail}", "jog it free of the box's edge, then again")
    mend = "raise the damping, lower the payload, or see to the driver's latency"
    worse = max(furthest / STOP_DISTANCE[0], stood / STOP_TIME[0])
    reds = max(furthest / STOP_DISTANCE[1], stood / STOP_TIME[1])
    return judged("stop", 0.0 if worse < 1 else 1.0 if reds < 1 else 2.0, 1.0, 2.0, detail, mend)
