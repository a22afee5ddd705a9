"""From a reading in SI units to the named observation that a policy sees."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from controllers.interface import Reading
from controllers.spatial import quat_conjugate, quat_log, quat_multiply, quat_rotate, quat_to_matrix
from tasks.spec import TaskSpec

LIMIT = 10.0
"""Every measurement is clipped to this many times its scale: a spike stays a spike, never an outlier."""

STATE_SIZES: Mapping[str, int] = {
    "tool_position": 3,
    "tool_position_fine": 3,
    "tool_rotation": 6,
    "tool_rotation_fine": 3,
    "tool_twist": 6,
    "tool_wrench": 6,
    "reference_error": 6,
}
"""What every arm measures. Poses in the task's anchor frame, the rest in the tool frame; all scaled.

tool_position: over `position`. tool_position_fine: tanh of it over `fine`. tool_rotation: first two columns
of the rotation. tool_rotation_fine: tanh of the rotation vector over `rotation`. tool_twist, tool_wrench:
over their scales. reference_error: reference minus measured pose, over the action's size.
"""


class Observer:
    """Builds observations of one task, and their space. obs: `state`, or `pixels` (cameras added)."""

    def __init__(self, task: TaskSpec, obs: str = "state") -> None:
        self._task, self._obs = task, obs
        self._anchor_inverse = quat_conjugate(task.anchor.quaternion)

    @property
    def space(self) -> spaces.Dict:
        """The observation's Gymnasium space."""
        sizes = dict(STATE_SIZES)
        if self._task.gripper is not None:
            sizes["gripper"] = 2
        boxes: dict[str, spaces.Space] = {
            name: spaces.Box(-LIMIT, LIMIT, (size,), np.float32) for name, size in sizes.items()
        }
        if self._obs == "pixels":
            for camera in self._task.cameras:
                boxes[camera.name] = spaces.Box(0, 255, (camera.height, camera.width, 3), np.uint8)
        else:
            for name in self._task.observation.privileged:
                boxes[f"sim/{name}"] = spaces.Box(-LIMIT, LIMIT, (3,), np.float32)
        return spaces.Dict(boxes)

    def __call__(self, reading: Reading) -> dict[str, NDArray]:
        """The observation of `reading`."""
        values = self._measured(reading)
        if self._obs == "pixels":
            images = {camera.name: reading.images[camera.name] for camera in self._task.cameras}
            return values | images
        scale = self._task.observation.position
        hidden = {f"sim/{name}": reading.sim[name] / scale for name in self._task.observation.privileged}
        return values | _clipped(hidden)

    def _measured(self, reading: Reading) -> dict[str, NDArray]:
        scale, action, arm = self._task.observation, self._task.action, reading.arm
        tool_inverse = quat_conjugate(arm.pose.quaternion)
        position = quat_rotate(self._anchor_inverse, arm.pose.position - self._task.anchor.position)
        rotation = quat_multiply(self._anchor_inverse, arm.pose.quaternion)
        shift = quat_rotate(tool_inverse, arm.reference.position - arm.pose.position)
        turn = quat_log(quat_multiply(tool_inverse, arm.reference.quaternion))
        values = {
            "tool_position": position / scale.position,
            "tool_position_fine": np.tanh(position / scale.fine),
            "tool_rotation": quat_to_matrix(rotation)[:, :2].T.reshape(6),
            "tool_rotation_fine": np.tanh(quat_log(rotation) / scale.rotation),
            "tool_twist": _in_frame(tool_inverse, arm.twist) / _pair(scale.linear_speed, scale.angular_speed),
            "tool_wrench": _in_frame(tool_inverse, arm.wrench) / _pair(scale.force, scale.torque),
            "reference_error": np.concatenate([shift, turn]) / _pair(action.translation, action.rotation),
        }
        if self._task.gripper is not None and reading.gripper is not None:
            opening = reading.gripper.width / self._task.gripper.open
            values["gripper"] = np.array([opening, float(reading.gripper.grasped)])
        return _clipped(values)


def _in_frame(inverse: NDArray, spatial: NDArray) -> NDArray:
    """A twist or wrench (6,) with both halves rotated by `inverse`."""
    return np.concatenate([quat_rotate(inverse, spatial[:3]), quat_rotate(inverse, spatial[3:])])


def _pair(linear: float, angular: float) -> NDArray:
    return np.array([linear] * 3 + [angular] * 3)


def _clipped(values: Mapping[str, NDArray]) -> dict[str, NDArray]:
    return {name: np.clip(value, -LIMIT, LIMIT).astype(np.float32) for name, value in values.items()}
