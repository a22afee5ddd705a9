"""The parameters of crisp's Cartesian controller, as its client reads and sets them.

`task.k_*`, `task.d_*` and `task.error_clip.*` change the law of the external client; the others are accepted, since a
client sends its whole file, and do nothing: our law and its limits are the task's and the arm's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rcl_interfaces.msg import SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

from controllers.exceptions import CommandRejected
from controllers.interface import Array

if TYPE_CHECKING:
    from robot_rl.nodes.arm import ArmNode
    from robot_rl.nodes.crisp.server import CrispServer

AXES = ("pos_x", "pos_y", "pos_z", "rot_x", "rot_y", "rot_z")
STIFFNESS = tuple(f"task.k_{axis}" for axis in AXES)
DAMPING = tuple(f"task.d_{axis}" for axis in AXES)
CLIP = tuple(f"task.error_clip.{axis}" for axis in ("x", "y", "z", "rx", "ry", "rz"))
INERT: dict[str, bool | float] = {
    "limit_error": True,
    "limit_torques": True,
    "max_delta_tau": 0.5,
    "nullspace.stiffness": 10.0,
    "stop_commands": False,
    "use_coriolis_compensation": True,
    "use_friction": False,
    "use_gravity_compensation": False,
    "use_local_jacobian": True,
    "use_operational_space": False,
    "variable_stiffness.enabled": True,
}
"""Parameters without effect, with the values that come nearest to what the law does."""


class ControllerParameters:
    """Declares them on `node`, which bears the controller's name, and hands what is set to `crisp`."""

    def __init__(self, node: Node, arm: ArmNode, crisp: CrispServer) -> None:
        self._node, self._arm, self._crisp = node, arm, crisp
        gains = arm.host.task.gains
        values = dict(zip(STIFFNESS, gains.stiffness, strict=True)) | dict(zip(DAMPING, gains.damping, strict=True))
        values |= dict(zip(CLIP, gains.clip[6:], strict=True))
        for name, value in values.items():
            node.declare_parameter(name, float(value))
        for name, inert in INERT.items():
            node.declare_parameter(name, inert)
        node.add_on_set_parameters_callback(self._set)

    def _set(self, parameters: list[Parameter]) -> SetParametersResult:
        changed = {parameter.name: parameter.value for parameter in parameters}
        with self._arm.lock:
            try:
                if any(name in changed for name in (*STIFFNESS, *DAMPING)):
                    stiffness = self._values(STIFFNESS, changed)
                    damping = self._values(DAMPING, changed)
                    critical = 2.0 * np.sqrt(np.abs(stiffness))  # crisp's own, where a damping is negative
                    self._crisp.set_gains("stiffness", stiffness)
                    self._crisp.set_gains("damping", np.where(damping < 0.0, critical, damping))
                if any(name in changed for name in CLIP):
                    clip = np.abs(self._values(CLIP, changed))
                    self._crisp.set_gains("clip", np.concatenate([-clip, clip]))
            except CommandRejected as error:
                return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _values(self, names: tuple[str, ...], changed: dict[str, object]) -> Array:
        """(6,) of the parameters as they will be."""
        return np.array([changed.get(name, self._node.get_parameter(name).value) for name in names], dtype=float)
