"""What the makers say of their arms, read from their own files: kinematic chains and inertias.

The files and their licences: `twin/models/NOTICE.md`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import pi
from pathlib import Path
from typing import Any

import yaml

from controllers.models import ArmModel

FILES = Path(__file__).parent / "twin" / "models"
HAND = "franka_hand"
TOOL_DISTANCE = 0.1034
"""From the hand's origin to the tool point along z, m."""
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Inertia:
    """Of a link: mass kg; centre of mass xyz m; moments (xx, yy, zz, xy, xz, yz) kg m2 about axes turned by rpy rad."""

    mass: float
    xyz: Triple
    rpy: Triple
    moments: tuple[float, float, float, float, float, float]


@dataclass(frozen=True)
class Segment:
    """A link and the joint that it hangs on: frame xyz m, rpy rad in the parent link; `moving` joints turn about z."""

    joint: str
    link: str
    xyz: Triple
    rpy: Triple
    moving: bool = True
    inertia: Inertia | None = None


def chain(arm: ArmModel) -> tuple[Segment, ...]:
    """Links of an arm from the one that is bolted down to its flange; names without prefix."""
    return _ur(arm) if (FILES / arm.name / "default_kinematics.yaml").exists() else _franka(arm)


def hand_inertias() -> dict[str, Inertia]:
    """Of `hand`, `leftfinger` and `rightfinger`."""
    return {link: _inertia(entry) for link, entry in _read(f"{HAND}/inertials").items() if "mass" in entry}


def _franka(arm: ArmModel) -> tuple[Segment, ...]:
    frames, inertials = _read(f"{arm.name}/kinematics"), _read(f"{arm.name}/inertials")
    links = [Segment("base_joint", "link0", (0, 0, 0), (0, 0, 0), False, _inertia(inertials["link0"]))]
    for i in range(1, 9):
        xyz, rpy = _frame(frames[f"joint{i}"]["kinematic"])
        inertia = _inertia(inertials[f"link{i}"]) if i < 8 else None
        links.append(Segment(f"joint{i}", f"link{i}", xyz, rpy, i < 8, inertia))
    return tuple(links)


def _ur(arm: ArmModel) -> tuple[Segment, ...]:
    """Base looks forward, as ROS has it: the robot's own first link is turned by half a turn. `tool0` is the flange."""
    frames = _read(f"{arm.name}/default_kinematics")["kinematics"]
    numbers, half = _read(f"{arm.name}/physical_parameters")["inertia_parameters"], (0.0, 0.0, pi)
    radius, length, mass = (*(numbers["links"]["base"][key] for key in ("radius", "length")), numbers["base_mass"])
    round_, along = mass * (3 * radius**2 + length**2) / 12, mass * radius**2 / 2
    base = Inertia(mass, (0, 0, 0), (0, 0, 0), (round_, round_, along, 0, 0, 0))
    links = [Segment("base_link-base_link_inertia", "base_link_inertia", (0, 0, 0), half, False, base)]
    for part, joint in zip((part for part in frames if part != "hash"), arm.joints, strict=True):
        xyz, rpy = _frame(frames[part])
        centre, turn, moments = (
            numbers[group][key]
            for group, key in (("center_of_mass", f"{part}_cog"), ("rotation", part), ("tensor", part))
        )
        inertia = Inertia(
            numbers[f"{part}_mass"],
            (centre["x"], centre["y"], centre["z"]),
            (turn["roll"], turn["pitch"], turn["yaw"]),
            tuple(moments[f"i{axes}"] for axes in ("xx", "yy", "zz", "xy", "xz", "yz")),
        )
        links.append(Segment(joint, f"{part}_link", xyz, rpy, True, inertia))
    return (*links, Segment("wrist_3-tool0", "tool0", (0, 0, 0), (0, 0, 0), False))


def _frame(entry: dict[str, float]) -> tuple[Triple, Triple]:
    return (entry["x"], entry["y"], entry["z"]), (entry["roll"], entry["pitch"], entry["yaw"])


def _inertia(entry: dict[str, Any]) -> Inertia:
    xyz, rpy = (tuple(float(word) for word in str(entry["origin"][key]).split()) for key in ("xyz", "rpy"))
    moments = tuple(entry["inertia"][axes] for axes in ("xx", "yy", "zz", "xy", "xz", "yz"))
    return Inertia(entry["mass"], xyz, rpy, moments)  # type: ignore[arg-type]


@cache
def _read(name: str) -> dict[str, Any]:
    data: dict[str, Any] = yaml.safe_load((FILES / f"{name}.yaml").read_text())
    return data
