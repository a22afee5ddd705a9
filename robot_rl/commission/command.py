"""The commands of commissioning, as typed. Here alone a person is asked, at a terminal."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterator, Sequence

from rich.console import Console

import tasks
from controllers.cells import CellConfig, find_cell, fit, load_cell, save_place
from controllers.places import Place
from robot_rl.commission.report import Ask, Finding, worst
from robot_rl.exceptions import CommissionError, ConfigError
from tasks.spec import TaskSpec

DEFAULT_TASK = "reach"
"""Whose scene and box count where no task is named."""


def asker(yes: bool) -> Ask:
    """Puts questions to the terminal; `--yes` answers them all."""

    def ask(question: str) -> bool:
        if yes:
            return True
        if not sys.stdin.isatty():
            raise CommissionError(f"nobody is there to answer {question!r}; run this in a terminal, or give --yes.")
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")

    return ask


def cell_of(options: argparse.Namespace) -> CellConfig:
    """The cell that the options name, in simulation where they say so."""
    cell = options.cell if isinstance(options.cell, CellConfig) else load_cell(options.cell)
    wanted = getattr(options, "robot", None)
    if wanted not in (None, "twin", cell.robot):
        raise ConfigError(f"robot is {wanted}, but cell {cell.name} has {cell.robot}; leave --robot out, or give twin.")
    return cell if wanted is None else dataclasses.replace(cell, robot=wanted)


def task_named(name: str | None) -> TaskSpec:
    """The task called `name`. Raises `ConfigError` with the choices."""
    try:
        return tasks.load(name or DEFAULT_TASK)
    except tasks.UnknownTask as error:
        raise ConfigError(str(error)) from error


def chosen(only: str | None, names: Sequence[str]) -> Sequence[str]:
    """The steps that `--only a,b` names. Raises `ConfigError` with the choices."""
    from controllers.settings import suggest

    if only is None:
        return names
    wanted = [word.strip() for word in only.split(",")]
    for word in wanted:
        if word not in names:
            raise ConfigError(f"--only names {word!r}; {suggest(word, names)}.")
    return wanted


def doctor(options: argparse.Namespace) -> int:
    """`robot-rl doctor --cell C`; 1 where something is red."""
    from robot_rl.commission.checkup import CHECKS, checkup, patient_of

    console = Console(stderr=bool(options.json))
    patient = patient_of(cell_of(options), task_named(options.task))
    findings = checkup(patient, chosen(options.only, list(CHECKS)), asker(options.yes), console)
    if options.json:
        print(json.dumps({"cell": patient.cell.name, "findings": [dataclasses.asdict(found) for found in findings]}))
    return worst(findings)


def teleop(options: argparse.Namespace) -> int:
    """`robot-rl teleop --cell C`; 1 where something is red."""
    from robot_rl.commission import teleop as steps
    from robot_rl.commission.session import opened

    if options.cell is None:
        raise ConfigError("`robot-rl teleop` needs --cell CELL, the cell whose arm is moved.")
    cell, task = cell_of(options), task_named(options.task)
    only = chosen(options.only, steps.STEPS)
    if options.stop_axis not in ("x", "y", "z"):
        raise ConfigError(f"--stop-axis is {options.stop_axis!r}; choices: x, y, z.")
    jogs = [(axis, _distance(axis, text)) for axis, text in options.jog or ()]
    if "jog" in only and not jogs and not sys.stdin.isatty():
        raise CommissionError("there is no terminal to take keys from; script the motion, such as --jog x 0.02.")
    wishes = steps.Wishes(only, jogs, options.seconds, options.stop_axis)
    ask, console = asker(options.yes), Console()
    if cell.robot != "twin" and not ask(f"connect to {cell.name} and hold its arm where it is?"):
        return 1
    with opened(cell, fit(cell, task), recover=options.recover) as session:
        findings: list[Finding] = steps.teleop(session, wishes, ask, console)
    return worst(findings)


def _distance(axis: str, text: str) -> float:
    from robot_rl.commission.session import velocity_of

    velocity_of(axis, 1.0)
    try:
        distance = float(text)
    except ValueError:
        distance = float("nan")
    if not abs(distance) <= 1.0:
        raise ConfigError(f"--jog {axis} {text}: give a distance of at most 1, in m, or in rad about an axis.")
    return distance


def teach(options: argparse.Namespace) -> int:
    """`robot-rl teach CELL TASK`: writes the taught place beside the cell's file."""
    from robot_rl.commission import teach as lesson
    from robot_rl.commission.session import opened

    cell, task = cell_of(options), task_named(options.task)
    for line in options.do or ():
        lesson.check(line)
    if not options.do and not sys.stdin.isatty():
        raise CommissionError("nobody is there to teach; run this in a terminal, or script it with --do 'jog x 0.02'.")
    ask, console = asker(options.yes), Console()
    if cell.robot != "twin" and not ask(f"connect to {cell.name} and hold its arm where it is?"):
        return 1
    with opened(cell, fit(cell, task), recover=options.recover) as session:
        place: Place = lesson.teach(session, task, options.do or _spoken(), console, forgiving=not options.do)
    lesson.check_place(cell, task, place)
    path = find_cell(options.cell)
    if task.name in cell.places and not ask(f"{task.name} was taught in {cell.name} before; replace that?"):
        return 1
    file = save_place(path, task.name, place)
    console.print(f"written to {file}", highlight=False, soft_wrap=True)
    return 0


def _spoken() -> Iterator[str]:
    """What a person types, line by line, until the end of input."""
    from robot_rl.commission import teach as lesson

    print("\n".join((lesson.__doc__ or "").strip().splitlines()[2:]))
    while True:
        try:
            line = input("teach> ").strip()
        except EOFError:
            return
        try:
            lesson.check(line)
        except CommissionError as error:
            print(error)
            continue
        yield line
