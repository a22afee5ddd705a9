"""Where an arm's ROS controllers are, and by which names: the settings of `CrispCell`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from controllers.exceptions import SettingsError
from controllers.settings import option

STALEST = 2.0
"""Longest silence, s, that may be allowed to an arm."""


@dataclass(frozen=True)
class CrispConfig:
    """Where the controllers are, and by which names. A name that is left empty is not used."""

    namespace: str = option("", "of the robot's topics")
    domain: int = option(0, "ROS domain of the robot; a run's own nodes are in another")
    base_frame: str = option("base", "frame of its poses")
    joint_prefix: str = option("", "before the joints' names")
    rate: float = option(100.0, "targets a second")
    stale_after: float = option(0.1, "s without a state after which the arm is latched")
    speed: tuple[float, float] = option((0.5, 1.5), "of the reference, m/s and rad/s, below the maker's")
    connect_within: float = option(10.0, "s to wait for the robot's topics")
    target_pose: str = option("target_pose", "topic: geometry_msgs/PoseStamped that it follows")
    current_pose: str = option("current_pose", "topic: geometry_msgs/PoseStamped of the tool")
    current_twist: str = option("current_twist", "topic: geometry_msgs/TwistStamped of the tool")
    joint_states: str = option("joint_states", "topic: sensor_msgs/JointState")
    wrench: str = option("", "topic: geometry_msgs/WrenchStamped, environment on tool, in the base frame")
    controller: str = option("cartesian_impedance_controller", "controller to switch to; empty: it is active already")
    parameters: str = option("cartesian_impedance_controller", "node whose task.k_* and task.d_* take the task's gains")
    gripper_command: str = option("", "topic: std_msgs/Float64MultiArray with one value")
    gripper_state: str = option("", "topic: sensor_msgs/JointState whose first position is the gripper's")
    gripper_values: tuple[float, float] = option((0.0, 1.0), "of that topic when the gripper is closed and open")
    gripper_width: float = option(0.08, "between the open fingers, m")
    safety: str = option("", "topic: diagnostic_msgs/DiagnosticArray of our own arm node, whose latch is mirrored")
    stop: str = option("", "service: std_srvs/Trigger that stops the robot itself")
    recover: str = option("", "service: std_srvs/Trigger that recovers it")

    def __post_init__(self) -> None:
        for name in ("rate", "stale_after", "gripper_width"):
            if not 0.0 < getattr(self, name) < math.inf:
                raise SettingsError(f"{name} is {getattr(self, name)}, but must be above 0 and finite.")
        if self.stale_after > STALEST:
            raise SettingsError(
                f"stale_after is {self.stale_after} s, but must be at most {STALEST}: the arm is blind."
            )
        if not all(0.0 < speed < math.inf for speed in self.speed):
            raise SettingsError(f"speed is {self.speed}, but must be above 0 and finite.")
        if not 0 <= self.domain <= 232:
            raise SettingsError(f"domain is {self.domain}, but must be from 0 to 232.")
        if self.gripper_values[0] == self.gripper_values[1]:
            raise SettingsError(f"gripper_values are {self.gripper_values}: give one for closed and another for open.")
        if not re.fullmatch(r"[A-Za-z0-9_/]*", self.namespace):
            raise SettingsError(f"namespace is {self.namespace!r}, but must be of letters, digits, '_' and '/'.")
        if not (self.target_pose and self.current_pose and self.current_twist and self.joint_states):
            raise SettingsError("target_pose, current_pose, current_twist and joint_states must each name a topic.")
