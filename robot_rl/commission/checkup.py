"""`robot-rl doctor --cell C`: what there is to see of a cell before anything moves, in green, yellow and red."""

from __future__ import annotations

import dataclasses
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console

from controllers.arms.franka.config import FrankaConfig
from controllers.cells import CellConfig, check_gains, fit
from controllers.exceptions import ControllersError
from controllers.models import arm_model
from robot_rl.commission import machine
from robot_rl.commission.report import Ask, Finding, green, judged, say
from robot_rl.commission.session import opened
from robot_rl.exceptions import RobotRLError
from tasks.spec import TaskSpec

HAND_PORT = 1338
"""Where a Franka's hand answers, TCP."""
PICTURES = 20
"""Looked at, of each camera."""
LOOK = 2.0
"""s over which rates are measured."""
LATE = (1.5, 3.0)
"""Longest interval between two readings over the period: yellow and red from there."""
AGE = (0.02, 0.1)
"""s from a measurement to its reading: yellow and red from there."""
HOME_FAR = (0.15, 0.5)
"""m from the tool at the task's home to its start: yellow and red from there."""
LAW_SHARE = (0.8, 1.0)
"""Part of a collision threshold that the law alone reaches: yellow and red from there."""


@dataclass(frozen=True)
class Patient:
    """What is looked at: a cell, and one task in it, at its taught place where there is one."""

    cell: CellConfig
    task: TaskSpec


def checkup(patient: Patient, only: Sequence[str], ask: Ask, console: Console) -> list[Finding]:
    """The groups of checks in `only`, in order. One that touches hardware is asked for; one that fails ends nothing."""
    findings = []
    for name, (question, check) in CHECKS.items():
        if name not in only:
            continue
        if question and patient.cell.robot != "twin" and not ask(question):
            findings.append(say(console, Finding(name, "yellow", "left out", "say yes to it before the arm is moved")))
            continue
        try:
            for finding in check(patient):
                findings.append(say(console, finding))
        except (ControllersError, RobotRLError) as error:
            findings.append(say(console, failed(name, error)))
    return findings


def failed(name: str, error: Exception) -> Finding:
    """A red finding from an error's one sentence: what is wrong, and after its last semicolon or colon the mend."""
    text = " ".join(str(error).split()).removeprefix(f"{name}: ")
    cut = text.rfind("; ") if "; " in text else text.rfind(": ")
    detail, mend = (text, "mend that, then look again") if cut < 0 else (text[:cut], text[cut + 2 :].rstrip("."))
    return Finding(name, "red", detail, mend)


def check_file(patient: Patient) -> Iterator[Finding]:
    """What the cell's file says."""
    cell, title = patient.cell, arm_model(patient.cell.arm).title
    yield green("cell", f"{cell.name}: {title} by {cell.robot}, {cell.clock}, {len(cell.cameras)} cameras")
    missing = [str(path) for path in cell.calibration.values() if not path.is_file()]
    if missing:
        yield Finding("calibration", "red", f"no file {', '.join(missing)}", "calibrate, or mend the path")
    if patient.task.name in cell.places:
        yield green("place", f"{patient.task.name} was taught here")
    else:
        mend = f"robot-rl teach {cell.name} {patient.task.name}"
        level = "green" if cell.robot == "twin" else "yellow"
        yield Finding("place", level, f"{patient.task.name} is where its file says", "" if level == "green" else mend)  # type: ignore[arg-type]


def check_reach(patient: Patient) -> Iterator[Finding]:
    """Who answers at the robot's address; nothing is asked to move."""
    cell = patient.cell
    if cell.robot == "twin":
        yield green("reachable", "the twin is in this process")
    elif isinstance(cell.driver, FrankaConfig):
        yield from _franka_answers(cell.driver)
    else:
        yield Finding("reachable", "yellow", "not seen until it is opened", "say yes to the question about `rates`")


def _franka_answers(config: FrankaConfig) -> Iterator[Finding]:
    from controllers.arms.franka import probe
    from controllers.arms.franka.robot import library_version

    wire = probe.wire_version(library_version("pylibfranka")) if config.library == "pylibfranka" else 10
    found = probe.probe(config.address, wire)
    yield green("reachable", f"{config.address} answers")
    yield green("firmware", f"its server speaks version {found.version}, as the installed {config.library} does")
    probe.check_arm(found, config.arm, config.address)
    yield green("arm", f"{config.arm} by its joint limits")
    there, wanted = _listens(config.address, HAND_PORT), config.gripper == "franka_hand"
    said = f"{'a' if there else 'no'} hand answers at {config.address}, the cell says {config.gripper}"
    if there == wanted:
        yield green("gripper", said)
    else:
        mend = (
            "set gripper to franka_hand, so that the arm carries its weight"
            if there
            else ("set gripper to none, or set the hand up in Desk")
        )
        yield Finding("gripper", "yellow" if there else "red", said, mend)


def _listens(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=2.0):
            return True
    except OSError:
        return False


def check_limits(patient: Patient) -> Iterator[Finding]:
    """The cell's limits against the maker's, and the law's forces against the reflexes."""
    cell, gains = patient.cell, patient.task.gains
    given = [key for key, value in vars(cell.limits).items() if value is not None]
    check_gains(cell, patient.task)  # and what is beyond the maker's
    yield green("limits", f"lowered: {', '.join(given)}" if given else "the maker's; commands get 80 % of them")
    clip = np.maximum(-gains.clip[:6], gains.clip[6:])
    force = gains.stiffness * clip
    yield green("law", f"{patient.task.name} presses with at most {force[:3].max():.0f} N, {force[3:].max():.1f} Nm")
    thresholds = getattr(cell.driver, "force_thresholds", None)
    if thresholds is not None:
        share = float((force / np.array(thresholds)).max())
        mend = "raise force_thresholds, or the task trips the robot's reflex by itself"
        yield judged("reflexes", share, *LAW_SHARE, f"the law reaches {100 * share:.0f} % of a threshold", mend)


def check_box(patient: Patient) -> Iterator[Finding]:
    """The task's box against table, goal and start; the arm's home against the start."""
    from controllers.kinematics import Kinematics

    cell, task = patient.cell, patient.task
    box = task.workspace
    for what, low in (("box", box.low), ("cell's workspace", cell.workspace.low if cell.workspace else box.low)):
        if low[2] < 0:
            detail = f"the {what} reaches {-1e3 * low[2]:.0f} mm into the table"
            yield Finding("table", "red", detail, "raise its lower z above 0")
            break
    noise = np.abs(task.start_noise[:3])
    reach = np.concatenate([box.low - (task.start.position - noise), task.start.position + noise - box.high])
    worst = float(reach.max())
    mend = "teach a corner beyond the start poses, or move the start"
    detail = f"{np.round(box.low, 3).tolist()} to {np.round(box.high, 3).tolist()} m"
    if worst > 0:
        detail += f"; start poses reach {1e3 * worst:.0f} mm beyond it"
    yield judged("box", worst, 1e-6, 0.2, detail, mend)
    if cell.workspace is None and cell.robot != "twin":
        yield Finding("workspace", "yellow", "the cell states no box of its own", "give `workspace`, above the table")
    tool = Kinematics(arm_model(cell.arm)).pose(task.home)
    away = float(np.linalg.norm(tool.position - task.start.position))
    detail = f"at the task's joint angles the tool is {1e3 * away:.0f} mm from the start"
    yield judged("home", away, *HOME_FAR, detail, f"robot-rl teach {cell.name} {task.name}, with its start")


def check_rates(patient: Patient) -> Iterator[Finding]:
    """The arm is connected and holds where it is; how its readings come."""
    with opened(patient.cell, patient.task) as session:
        backend, began = session.cell, time.monotonic()
        arrivals, ages, stamps = [], [], []
        for _ in range(round(LOOK / backend.period)):
            reading = backend.wait()
            arrivals.append(time.monotonic())
            ages.append(arrivals[-1] - reading.arm.stamp)
            stamps.append(reading.arm.stamp)
        rate = len(arrivals) / (arrivals[-1] - began)
        state = f"{reading.safety}: {reading.reason}" if reading.reason else reading.safety
        health = backend.health()
    if reading.safety == "latched":
        yield Finding("state", "red", state, "see to the cause, then teleop with --recover")
    else:
        yield green("state", state)
    yield _steadiness(patient.cell, rate, np.diff(arrivals), stamps, backend.period)
    if patient.cell.clock == "realtime" and patient.cell.robot == "franka":
        age = float(np.median(ages))
        yield judged("latency", age, *AGE, f"a reading is {1e3 * age:.1f} ms old", "end what loads this machine")
    level = {"ok": "green", "warn": "yellow", "error": "red"}[health.level]
    told = ", ".join(f"{key} {_short(value)}" for key, value in list(health.values.items())[:8])
    detail = f"{health.message}{'; ' if told else ''}{told}"
    yield Finding("driver", level, detail, "" if level == "green" else "docs/cells.md says what its figures mean")  # type: ignore[arg-type]


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _steadiness(
    cell: CellConfig, rate: float, intervals: np.ndarray, stamps: Sequence[float], period: float
) -> Finding:
    if cell.clock == "lockstep" or cell.robot == "twin":
        return green("rate", f"lockstep: {rate * period:.1f} times real time")
    repeats = int((np.diff(stamps) <= 0).sum())
    longest = float(intervals.max() / period)
    p99 = 1e3 * float(np.quantile(intervals, 0.99))
    detail = f"{rate:.0f} readings a second, p99 {p99:.1f} ms, longest {1e3 * intervals.max():.1f} ms, {repeats} stale"
    late = max(longest, LATE[1] * repeats / max(1, 0.05 * len(stamps)))
    return judged("rate", late, *LATE, detail, "use a wired link of its own, and an idle machine")


def check_cameras(patient: Patient) -> Iterator[Finding]:
    """Every camera's pictures: sharp, well exposed, steady and on time."""
    from controllers.cameras.quality import inspect
    from controllers.cameras.watchdog import SupervisedCamera

    cell = patient.cell
    if not cell.cameras:
        yield green("cameras", "none in this cell")
    for name, config in cell.cameras.items():
        if cell.robot == "twin":
            config = dataclasses.replace(
                config, driver="twin", device="", exposure=None, gain=None, white_balance=None, depth=False
            )
        camera = SupervisedCamera(name, config, task=patient.task.name)
        try:
            camera.open()
            frames = [camera.read() for _ in range(PICTURES)]
        except ControllersError as error:
            yield failed(f"camera {name}", error)
            continue
        finally:
            camera.close()
        for found in inspect(frames, config.rate):
            if found.check == "stamps" and config.driver == "twin" and found.level == "yellow":
                continue  # a scene that stands still has no noise
            yield Finding(f"{name} {found.check}", found.level, found.message, found.mend)


def check_machine(patient: Patient) -> Iterator[Finding]:
    """This machine: its kernel and priorities where it drives the arm, its disk, cores and clock."""
    yield from machine.findings(drives=patient.cell.robot == "franka")


CHECKS: dict[str, tuple[str, Callable[[Patient], Iterator[Finding]]]] = {
    "file": ("", check_file),
    "machine": ("", check_machine),
    "reach": ("", check_reach),
    "limits": ("", check_limits),
    "box": ("", check_box),
    "rates": ("connect to the arm and hold it where it is, for 2 s?", check_rates),
    "cameras": ("take pictures with every camera?", check_cameras),
}
"""Groups of checks in order, each with its question where it touches hardware."""


def patient_of(cell: CellConfig, task: TaskSpec) -> Patient:
    """The task as it is in the cell."""
    return Patient(cell, fit(cell, task))
