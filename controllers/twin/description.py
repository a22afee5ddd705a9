"""The robot as a URDF, written from the maker's numbers: what TF publishers and other tools read."""

from __future__ import annotations

from math import pi
from xml.etree import ElementTree as xml

from controllers.maker import TOOL_DISTANCE, Inertia, Segment, chain, hand_inertias
from controllers.models import ArmModel

FINGER_HEIGHT, FINGER_TRAVEL = 0.0584, 0.04
"""Of the fingers above the hand's origin, and how far each opens, m."""
Limit = dict[str, float]


def robot_description(arm: ArmModel, prefix: str = "") -> str:
    """URDF of arm and hand: the maker's links, `hand`, fingers and `tool`, each with the prefix; no shapes.

    prefix: before the arm's own, tells arms of one cell apart (`left_`).
    """
    prefix += arm.prefix
    robot = xml.Element("robot", name=prefix.rstrip("_"))
    parts, limits = chain(arm), _limits(arm)
    parent = None
    if any(parts[0].xyz + parts[0].rpy):
        parent = f"{prefix}base_link"
        _link(robot, parent, None)
    for part in parts:
        _link(robot, f"{prefix}{part.link}", part.inertia)
        if parent is not None:
            _joint(robot, prefix, part, parent, limits.get(part.joint))
        parent = f"{prefix}{part.link}"
    _hand(robot, prefix, f"{parent}", arm.hand_yaw)
    return xml.tostring(robot, encoding="unicode")


def _limits(arm: ArmModel) -> dict[str, Limit]:
    vendor = arm.limits
    columns = zip(arm.joints, vendor.low, vendor.high, vendor.velocity, vendor.torque, strict=True)
    return {joint: dict(zip(("lower", "upper", "velocity", "effort"), row, strict=True)) for joint, *row in columns}


def _hand(robot: xml.Element, prefix: str, flange: str, yaw: float) -> None:
    inertias = hand_inertias()
    for name in ("hand", "leftfinger", "rightfinger", "tool"):
        _link(robot, f"{prefix}{name}", inertias.get(name))
    hand = f"{prefix}hand"
    _joint(robot, prefix, Segment("hand_joint", "hand", (0, 0, 0), (0, 0, yaw), False), flange)
    _joint(robot, prefix, Segment("tool_joint", "tool", (0, 0, TOOL_DISTANCE), (0, 0, 0), False), hand)
    limit = {"lower": 0.0, "upper": FINGER_TRAVEL, "velocity": 0.2, "effort": 100.0}
    for i, (link, turn) in enumerate((("leftfinger", 0.0), ("rightfinger", pi)), start=1):
        finger = Segment(f"finger_joint{i}", link, (0, 0, FINGER_HEIGHT), (0, 0, turn))
        _joint(robot, prefix, finger, hand, limit, kind="prismatic", axis="0 1 0")


def _link(robot: xml.Element, name: str, inertia: Inertia | None) -> None:
    link = xml.SubElement(robot, "link", name=name)
    if inertia is None:
        return
    block = xml.SubElement(link, "inertial")
    xml.SubElement(block, "origin", xyz=_numbers(inertia.xyz), rpy=_numbers(inertia.rpy))
    xml.SubElement(block, "mass", value=repr(float(inertia.mass)))
    axes = ("ixx", "iyy", "izz", "ixy", "ixz", "iyz")
    moments = {axis: repr(float(value)) for axis, value in zip(axes, inertia.moments, strict=True)}
    xml.SubElement(block, "inertia", moments)


def _joint(
    robot: xml.Element,
    prefix: str,
    part: Segment,
    parent: str,
    limit: Limit | None = None,
    *,
    kind: str = "revolute",
    axis: str = "0 0 1",
) -> None:
    kind = kind if part.moving else "fixed"
    joint = xml.SubElement(robot, "joint", name=f"{prefix}{part.joint}", type=kind)
    xml.SubElement(joint, "origin", xyz=_numbers(part.xyz), rpy=_numbers(part.rpy))
    xml.SubElement(joint, "parent", link=parent)
    xml.SubElement(joint, "child", link=f"{prefix}{part.link}")
    if part.moving:
        xml.SubElement(joint, "axis", xyz=axis)
    if limit is not None:
        xml.SubElement(joint, "limit", {key: repr(float(value)) for key, value in limit.items()})


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(repr(float(value)) for value in values)
