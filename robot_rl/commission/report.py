"""What commissioning tells a person: findings in green, yellow and red, and the arm's state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from rich.console import Console
from rich.table import Table

from controllers.interface import Reading

Level = Literal["green", "yellow", "red"]

Ask = Callable[[str], bool]
"""Puts a question to a person; whether they agree."""


@dataclass(frozen=True)
class Finding:
    """One thing looked at. mend: what to do; empty where green."""

    name: str
    level: Level
    detail: str
    mend: str = ""


def green(name: str, detail: str) -> Finding:
    """All is well."""
    return Finding(name, "green", detail)


def judged(name: str, value: float, yellow: float, red: float, detail: str, mend: str) -> Finding:
    """Green below `yellow`, yellow below `red`, red from there and for what is no number."""
    level: Level = "green" if value < yellow else "yellow" if value < red else "red"
    return Finding(name, level, detail, "" if level == "green" else mend)


def say(console: Console, finding: Finding) -> Finding:
    """Print one finding as a line, with its mend beneath."""
    console.print(f"[{finding.level}]{finding.level:<7}[/] {finding.name:<14} ", end="")
    console.print(finding.detail, highlight=False, markup=False, soft_wrap=True)
    if finding.mend:
        console.print(f"{'':<23}mend: {finding.mend}", highlight=False, markup=False, soft_wrap=True)
    return finding


def state_table(reading: Reading, rate: float | None = None) -> Table:
    """The arm's state as a person reads it."""
    arm = reading.arm
    table = Table(show_header=False)
    state = f"{reading.safety}: {reading.reason}" if reading.reason else reading.safety
    table.add_row("safety", state if rate is None else f"{state}  ({rate:.0f} readings a second)")
    table.add_row("joints", f"{_row(np.degrees(arm.q), 1)} deg")
    table.add_row("tool", f"{_row(1e3 * arm.pose.position, 1)} mm")
    table.add_row("turn", f"{_row(arm.pose.quaternion, 3)} xyzw")
    table.add_row("speed", f"{1e3 * np.linalg.norm(arm.twist[:3]):.1f} mm/s")
    table.add_row("wrench", f"{_row(arm.wrench[:3], 1)} N  {_row(arm.wrench[3:], 2)} Nm")
    if reading.gripper is not None:
        held = ", holding" if reading.gripper.grasped else ""
        table.add_row("gripper", f"{1e3 * reading.gripper.width:.1f} mm{held}")
    return table


def _row(values: np.ndarray, digits: int) -> str:
    return " ".join(f"{value:.{digits}f}" for value in values)


def worst(findings: list[Finding]) -> int:
    """Exit code: 1 where one is red."""
    return int(any(finding.level == "red" for finding in findings))
