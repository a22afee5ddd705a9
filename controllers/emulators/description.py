"""The robot as GetRobotModel tells it: a URDF of the arm alone, from which a client computes its dynamics.

Links and joints up to `link8`, the flange. What is mounted there is in the state (`m_ee`, `m_load`), not here.
"""

from __future__ import annotations

from xml.etree import ElementTree as xml

from controllers.models import ArmModel
from controllers.twin.description import robot_description


def arm_urdf(arm: ArmModel) -> str:
    """URDF text; joints say how their speed limit falls towards their ends."""
    whole = xml.fromstring(robot_description(arm))
    robot = xml.Element("robot", name=arm.name)
    kept = {f"{arm.prefix}link{i}" for i in range(len(arm.joints) + 2)}
    for part in whole:
        child = part.find("child")
        name = part.attrib["name"] if child is None else child.attrib["link"]
        if name in kept:
            robot.append(part)
    for element in robot.iter():
        for key in ("name", "link"):
            if key in element.attrib:
                element.attrib[key] = element.attrib[key].removeprefix(arm.prefix)
    for index, joint in enumerate(arm.joints):
        limits = {
            "velocity_offset": repr(float(arm.limits.velocity_offset[index])),
            "deceleration_limit": repr(float(arm.limits.braking[index])),
        }
        (found,) = (part for part in robot.iter("joint") if part.attrib["name"] == joint)
        xml.SubElement(found, "position_based_velocity_limits", limits)
    return xml.tostring(robot, encoding="unicode")
