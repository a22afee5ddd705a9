"""`robot-rl teach CELL TASK`: goal, start and box of a task at this site, by hand-guiding or jogging.

A person, or a script, says one thing at a time:

    jog AXIS DISTANCE   move, m or rad, along or about an axis of the base      hand SECONDS   guide the arm by hand
    goal, start         take the tool's pose as the task's goal, as the start   corner         the box reaches here
    grip WIDTH          open or close the gripper, m                            done           write what was taught

The goal is the tool's pose with the task done (the peg at the hole's bottom). The box spans everything that was taken.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from rich.console import Console

from controllers.cells import CellConfig
from controllers.exceptions import CommandRejected, ControllersError
from controllers.interface import Array, Reading
from controllers.places import Box, Frame, Place
from robot_rl.commission.session import Session, velocity_of
from robot_rl.exceptions import CommissionError, RobotRLError
from tasks.place import placed
from tasks.spec import TaskSpec

MARGIN = 0.01
"""The box reaches this far beyond what was taken, m; less below, towards the table."""
BELOW = 0.005
WORDS = {"jog": 2, "hand": 1, "goal": 0, "start": 0, "corner": 0, "grip": 1, "done": 0}
"""What can be said, and how many words follow."""
MOST = {"jog": 1.0, "hand": 600.0, "grip": 1.0}
"""Of the number that follows, m or rad, s, m: more is a slip of the fingers."""


@dataclass
class Lesson:
    """What a person has shown so far."""

    goal: Frame | None = None
    start: Frame | None = None
    home: tuple[float, ...] = ()
    corners: list[Array] = field(default_factory=list)


def teach(
    session: Session, task: TaskSpec, words: Iterable[str], console: Console, *, forgiving: bool = False
) -> Place:
    """Follow what is said until `done` or the end; the place that was taught. Raises `CommissionError`.

    forgiving: what cannot be done is told, and the lesson goes on; for a person, who can say something else.
    """
    lesson = Lesson()
    session.take()
    for line in words:
        try:
            if _obey(session, lesson, line, console) == "done":
                break
        except (ControllersError, RobotRLError) as error:
            if not forgiving:
                raise
            console.print(str(error), highlight=False, markup=False)
    return place_of(lesson, task)


def _obey(session: Session, lesson: Lesson, line: str, console: Console) -> str:
    """Do one thing; its first word."""
    word, *rest = line.split() or [""]
    check(line)
    if word == "jog":
        session.jog(rest[0], _number(line, rest[1]))
    elif word == "hand":
        guide(session, _number(line, rest[0]))
    elif word == "grip":
        _grip(session, _number(line, rest[0]))
    elif word != "done":
        _take(session.settle(), lesson, word)
    if word in ("goal", "start", "corner"):
        at = np.round(1e3 * session.read().arm.pose.position, 1).tolist()
        console.print(f"{word} at {at} mm", highlight=False)
    return word


def check(line: str) -> None:
    """Raises `CommissionError` where `line` is nothing that can be said, before anything moves."""
    word, *rest = line.split() or [""]
    if word not in WORDS:
        raise CommissionError(f"{line!r} is not understood; say one of {', '.join(WORDS)}.")
    if len(rest) != WORDS[word]:
        raise CommissionError(f"{line!r} has {len(rest)} words after {word}, but it takes {WORDS[word]}.")
    if word == "jog":
        velocity_of(rest[0], 1.0)
    for number in rest[-1:]:
        if abs(_number(line, number)) > MOST[word]:
            raise CommissionError(f"in {line!r}, {number} is more than {MOST[word]:g}: say it in smaller parts.")


def _number(line: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise CommissionError(f"in {line!r}, {text!r} is no number.")
    return value


def guide(session: Session, seconds: float) -> Reading:
    """The arm gives way to a hand for a while, then holds where it was left. Raises `CommissionError`."""
    law = session.cell.abilities.law
    stiff = CommissionError(f"this arm's controller ({law}) cannot be made soft, so it cannot be guided; jog it.")
    if not session.cell.abilities.gains:
        raise stiff
    try:
        for _ in range(round(seconds / session.cell.period)):
            session.follow_hand()
    except CommandRejected as error:  # gains that are set once, when the cell is opened
        raise stiff from error
    return session.settle()


def _grip(session: Session, width: float) -> None:
    session.width = width
    session.hold(1.0)


def _take(reading: Reading, lesson: Lesson, what: str) -> None:
    frame = Frame.of(reading.arm.pose)
    if what == "goal":
        lesson.goal = frame
    elif what == "start":
        lesson.start, lesson.home = frame, tuple(round(float(angle), 5) for angle in reading.arm.q)
    lesson.corners.append(reading.arm.pose.position.copy())


def place_of(lesson: Lesson, task: TaskSpec) -> Place:
    """What was taught, completed by the task's own where the box or the start was not shown."""
    if lesson.goal is None:
        raise CommissionError(
            f"no goal was taught, so nothing is written; bring the tool to where {task.name} is done."
        )
    place = Place(lesson.goal, lesson.start, lesson.home)
    if lesson.start is not None or len(lesson.corners) > 1:
        place = dataclasses.replace(place, box=_box(lesson, placed(task, place)))
    return place


def _box(lesson: Lesson, there: TaskSpec) -> Box:
    """Around everything taken and every start pose that a reset may draw."""
    noise = there.start_noise[:3]
    points = np.array([*lesson.corners, there.start.position - noise, there.start.position + noise])
    low, high = points.min(axis=0) - [MARGIN, MARGIN, BELOW], points.max(axis=0) + MARGIN
    return Box(tuple(np.round(low, 4).tolist()), tuple(np.round(high, 4).tolist()))


def check_place(cell: CellConfig, task: TaskSpec, place: Place) -> TaskSpec:
    """The task as it is with `place`; raises what a run there would."""
    from controllers.cells import fit

    return fit(dataclasses.replace(cell, places={**cell.places, task.name: place}), task)
