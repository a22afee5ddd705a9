"""Devices that a person takes over with: a SpaceMouse, a gamepad, the keyboard, a leader arm, anything over ROS."""

from __future__ import annotations

from robot_rl.teleop.device import Device, DeviceState
from robot_rl.teleop.mapping import Teleop, TeleopCommand, TeleopConfig
from robot_rl.teleop.sources import OPENERS, Sources, opened, read_configs

__all__ = [
    "OPENERS",
    "Device",
    "DeviceState",
    "Sources",
    "Teleop",
    "TeleopCommand",
    "TeleopConfig",
    "opened",
    "read_configs",
]
