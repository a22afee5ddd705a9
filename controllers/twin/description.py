"""The robot as a URDF, written from the maker's numbers in `models/`: what TF publishers and other tools read."""

from __future__ import annotations

from functools import cache
from math import pi
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as xml

import yaml

MODELS = Path(__file__).with_name("models")
HAND_YAW = -pi / 4
"""The hand on the flange, rad about z."""
TOOL_DISTANCE = 0.1034
"""From the hand's origin to the tool point along z, m."""
FINGER_HEIGHT, FINGER_TRAVEL = 0.0584, 0.04
"""Of the fingers above the hand's origin, and how far each opens, m."""


@cache
def robot_description() -> str:
    """URDF of arm and hand: links `fr3_link0` to `fr3_link8`, `fr3_hand`, fingers and `fr3_tool`; no shapes."""
    robot = xml.Element("robot", name="fr3")
    frames, limits = _read("fr3/kinematics"), _read("fr3/joint_limits")
    inertials = _read("fr3/inertials") | _read("franka_hand/inertials")
    for i in range(9):
        _link(robot, f"fr3_link{i}", inertials.get(f"link{i}"))
    for i in range(1, 9):
        frame = frames[f"joint{i}"]["kinematic"]
        xyz, rpy = (frame["x"], frame["y"], frame["z"]), (frame["roll"], frame["pitch"], frame["yaw"])
        limit = limits[f"joint{i}"]["limit"] if i < 8 else None
        kind = "revolute" if limit else "fixed"
        _joint(robot, f"fr3_joint{i}", kind, f"fr3_link{i - 1}", f"fr3_link{i}", xyz, rpy, "0 0 1", limit)
    _hand(robot, inertials)
    return xml.tostring(robot, encoding="unicode")


def _hand(robot: xml.Element, inertials: dict[str, Any]) -> None:
    for name in ("hand", "leftfinger", "rightfinger", "tool"):
        _link(robot, f"fr3_{name}", inertials.get(name))
    _joint(robot, "fr3_hand_joint", "fixed", "fr3_link8", "fr3_hand", (0, 0, 0), (0, 0, HAND_YAW))
    _joint(robot, "fr3_tool_joint", "fixed", "fr3_hand", "fr3_tool", (0, 0, TOOL_DISTANCE), (0, 0, 0))
    limit = {"lower": 0.0, "upper": FINGER_TRAVEL, "velocity": 0.2, "effort": 100.0}
    at = (0, 0, FINGER_HEIGHT)
    _joint(robot, "fr3_finger_joint1", "prismatic", "fr3_hand", "fr3_leftfinger", at, (0, 0, 0), "0 1 0", limit)
    _joint(robot, "fr3_finger_joint2", "prismatic", "fr3_hand", "fr3_rightfinger", at, (0, 0, pi), "0 1 0", limit)


def _read(name: str) -> dict[str, Any]:
    data: dict[str, Any] = yaml.safe_load((MODELS / f"{name}.yaml").read_text())
    return data


def _link(robot: xml.Element, name: str, inertial: dict[str, Any] | None) -> None:
    link = xml.SubElement(robot, "link", name=name)
    if inertial is None:
        return
    block = xml.SubElement(link, "inertial")
    origin = inertial["origin"]
    xml.SubElement(block, "origin", xyz=str(origin["xyz"]), rpy=str(origin["rpy"]))
    xml.SubElement(block, "mass", value=repr(inertial["mass"]))
    xml.SubElement(block, "inertia", {f"i{axes}": repr(value) for axes, value in inertial["inertia"].items()})


def _joint(
    robot: xml.Element,
    name: str,
    kind: str,
    parent: str,
    child: str,
    xyz: tuple[float, ...],
    rpy: tuple[float, ...],
    axis: str | None = None,
    limit: dict[str, float] | None = None,
) -> None:
    joint = xml.SubElement(robot, "joint", name=name, type=kind)
    xml.SubElement(joint, "origin", xyz=_numbers(xyz), rpy=_numbers(rpy))
    xml.SubElement(joint, "parent", link=parent)
    xml.SubElement(joint, "child", link=child)
    if axis is not None:
        xml.SubElement(joint, "axis", xyz=axis)
    if limit is not None:
        xml.SubElement(joint, "limit", {key: repr(float(value)) for key, value in limit.items()})


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(repr(float(value)) for value in values)
