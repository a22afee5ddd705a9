"""The arms that there are: names of their joints and their makers' limits. Nothing else in the project knows an arm.

Joint limits of the Frankas: franka_description (Apache-2.0) and the maker's limits page; of the UR5e:
Universal_Robots_ROS2_Description (BSD-3-Clause). What a maker does not publish is said to be ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi

import numpy as np

from controllers.exceptions import ControllersError
from controllers.interface import Array
from controllers.limits import ArmLimits

CONSTANT = 1e9
"""Braking, rad/s2, of a joint whose speed limit does not depend on where it is: no distance is too short."""


@dataclass(frozen=True)
class ArmModel:
    """One type of arm with n joints.

    joints: names of the n joints from base to flange, without a prefix. home: (n,) rad, hand down in front of the
    base, each joint far inside its range. hand_yaw: turn of the Franka hand on the flange about z, rad.
    """

    name: str
    title: str
    joints: tuple[str, ...]
    limits: ArmLimits
    home: Array
    hand_yaw: float = 0.0

    @property
    def prefix(self) -> str:
        """Before every name of this arm and its hand: `fr3_joint1`, as Franka's own ROS packages have it."""
        return f"{self.name}_"

    def joint_names(self, prefix: str = "") -> tuple[str, ...]:
        """Names (n) of the joints in the order of `ArmState.q`; prefix: tells arms of one cell apart (`left_`)."""
        return tuple(f"{prefix}{self.prefix}{joint}" for joint in self.joints)


_FRANKA_TORQUE = np.array([87.0, 87.0, 87.0, 87.0, 12.0, 12.0, 12.0])
_FRANKA_JOINTS = tuple(f"joint{i}" for i in range(1, 8))
_FRANKA_HOME = np.array([0.0, -pi / 4, 0.0, -3 * pi / 4, 0.0, pi / 2, pi / 4])

_FR3 = ArmModel(
    "fr3",
    "Franka Research 3",
    _FRANKA_JOINTS,
    ArmLimits(
        low=np.array([-2.7437, -1.7837, -2.9007, -3.0421, -2.8065, 0.5445, -3.0159]),
        high=np.array([2.7437, 1.7837, 2.9007, -0.1518, 2.8065, 4.5169, 3.0159]),
        velocity=np.array([2.62, 2.62, 2.62, 2.62, 5.26, 4.18, 5.26]),
        velocity_offset=np.array([0.30, 0.20, 0.20, 0.30, 0.35, 0.35, 0.35]),
        braking=np.array([6.0, 2.585, 3.5, 4.0, 17.0, 5.5, 17.0]),
        torque=_FRANKA_TORQUE,
        torque_rate=1000.0,
        speed=(3.0, 2.5),
    ),
    _FRANKA_HOME,
    hand_yaw=-pi / 4,
)

_PANDA = ArmModel(
    "panda",
    "Franka Emika Panda (FER)",
    _FRANKA_JOINTS,
    ArmLimits(
        low=np.array([-2.8973, -1.7628, -2.8973, -3.0718, -2.8973, -0.0175, -2.8973]),
        high=np.array([2.8973, 1.7628, 2.8973, -0.0698, 2.8973, 3.7525, 2.8973]),
        velocity=np.array([2.1750] * 4 + [2.6100] * 3),
        velocity_offset=np.zeros(7),
        braking=np.full(7, CONSTANT),
        torque=_FRANKA_TORQUE,
        torque_rate=1000.0,
        speed=(1.7, 2.5),
    ),
    _FRANKA_HOME,
    hand_yaw=-pi / 4,
)

_UR5E = ArmModel(
    "ur5e",
    "Universal Robots UR5e",
    ("shoulder_pan_joint", "shoulder_lift_joint", "elbow_joint", "wrist_1_joint", "wrist_2_joint", "wrist_3_joint"),
    ArmLimits(
        low=-pi * np.array([2.0, 2.0, 1.0, 2.0, 2.0, 2.0]),
        high=pi * np.array([2.0, 2.0, 1.0, 2.0, 2.0, 2.0]),
        velocity=np.full(6, pi),
        velocity_offset=np.zeros(6),
        braking=np.full(6, CONSTANT),
        torque=np.array([150.0, 150.0, 150.0, 28.0, 28.0, 28.0]),
        torque_rate=1000.0,  # ours
        speed=(1.0, pi),  # the data sheet's typical tool speed; the turn is ours, a wrist joint's
    ),
    np.array([0.0, -pi / 2, pi / 2, -pi / 2, -pi / 2, -pi / 2]),
)

MODELS = {model.name: model for model in (_FR3, _PANDA, _UR5E)}


def arm_model(name: str) -> ArmModel:
    """The arm called `name`. Raises `ControllersError` with the choices."""
    if name not in MODELS:
        raise ControllersError(f"there is no arm {name!r}; choose one of {', '.join(MODELS)}")
    return MODELS[name]
