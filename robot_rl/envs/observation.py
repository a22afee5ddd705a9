"""From a reading in SI units to the named observation that a policy sees."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from controllers import spatial
from controllers.interface import Reading
from robot_rl.data.schema import Schema
from robot_rl.perception import FEATURES
from tasks.place import AXIS
from tasks.spec import ObservationSpec, TaskSpec

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


PARTNER = "partner/"
"""Before the names of what a second arm measures, in its own frames, and of its part of the action."""


class Observer:
    """Builds observations of one task, and their space.

    obs: `state`; `pixels` (cameras added); `features` (`<camera>_features` added, of `crops` each, by the backbone
    whose weights are `backbone_id`: features of another are another schema).
    keep_pictures: with features, the pictures too are recorded, though no policy sees them.
    """

    def __init__(
        self,
        task: TaskSpec,
        obs: str = "state",
        *,
        crops: int = 4,
        backbone_id: str = "",
        keep_pictures: bool = False,
    ) -> None:
        self._task, self._obs, self._crops, self._backbone_id = task, obs, crops, backbone_id
        self._cameras = tuple(camera.name for camera in task.cameras)
        self._kept = self._cameras if keep_pictures else ()
        self._anchor_inverse = spatial.conjugate(task.anchor.quaternion)
        self._partner = Observer(task.partner.task) if task.partner is not None else None

    @property
    def space(self) -> spaces.Dict:
        """The observation's Gymnasium space."""
        sizes = dict(STATE_SIZES)
        if self._task.gripper is not None:
            sizes["gripper"] = 2
        boxes: dict[str, spaces.Space] = {
            name: spaces.Box(-LIMIT, LIMIT, (size,), np.float32) for name, size in sizes.items()
        }
        if self._obs == "pixels" or self._kept:
            for camera in self._task.cameras:
                boxes[camera.name] = spaces.Box(0, 255, (camera.height, camera.width, 3), np.uint8)
        if self._obs == "features":
            for camera in self._task.cameras:
                shape = (self._crops, *FEATURES)
                boxes[f"{camera.name}_features"] = spaces.Box(-np.inf, np.inf, shape, np.float16)
        elif self._obs == "state":
            for name in self._task.observation.privileged:
                boxes[f"sim/{name}"] = spaces.Box(-LIMIT, LIMIT, (3,), np.float32)
        if self._partner is not None:
            boxes |= {f"{PARTNER}{name}": box for name, box in self._partner.space.items()}
        return spaces.Dict(boxes)

    def schema(self) -> Schema:
        """The schema of this task's records: every value is a multiple of a scale, which its note gives."""
        scale, action = self._task.observation, self._task.action
        notes = {
            "tool_position": f"over {scale.position} m, in the task's anchor frame",
            "tool_position_fine": f"tanh of the position over {scale.fine} m, in the task's anchor frame",
            "tool_rotation": "first two columns of the rotation in the task's anchor frame",
            "tool_rotation_fine": f"tanh of the rotation vector over {scale.rotation} rad, in the anchor frame",
            "tool_twist": f"over {scale.linear_speed} m/s and {scale.angular_speed} rad/s, in the tool frame",
            "tool_wrench": f"over {scale.force} N and {scale.torque} Nm, on the tool, in the tool frame",
            "reference_error": f"reference minus measured, over {action.translation} m and {action.rotation} rad",
            "gripper": "opening over the task's open width; 1 when something is held",
        }
        units = {name: ("1", note) for name, note in notes.items()}
        units |= {camera.name: ("", "RGB image") for camera in self._task.cameras}
        seen_by = f"of the frame, then of crops of it, by backbone {self._backbone_id or 'unknown'}"
        units |= {f"{camera.name}_features": ("1", seen_by) for camera in self._task.cameras}
        units |= {
            f"sim/{name}": ("1", f"privileged: from the simulator, {_privileged(name, scale)[1]}")
            for name in self._task.observation.privileged
        }
        axes = [*action.axes, *(["gripper"] if self._task.gripper is not None else [])]
        if self._partner is not None:
            other = self._partner.schema()
            units |= {f"{PARTNER}{item.name}": (item.unit, item.note) for item in other.observation}
            axes += [f"{PARTNER}{axis}" for axis in other.actions]
        return Schema.from_example(self._task.name, self._zeros(), axes, units)

    def example(self) -> dict[str, NDArray]:
        """What the policy sees of an observation of zeros: names, shapes and types."""
        return {name: value for name, value in self._zeros().items() if name not in self._kept}

    def _zeros(self) -> dict[str, NDArray]:
        return {name: np.zeros(box.shape, box.dtype) for name, box in self.space.items()}  # type: ignore[arg-type]

    def __call__(self, reading: Reading) -> dict[str, NDArray]:
        """The observation of `reading`."""
        values = self._measured(reading)
        if self._partner is not None:
            assert reading.partner is not None, "a cell of two arms reads both"
            values |= {f"{PARTNER}{name}": value for name, value in self._partner(reading.partner).items()}
        if self._obs == "pixels":
            images = {camera.name: reading.images[camera.name] for camera in self._task.cameras}
            return values | images
        if self._obs == "features":
            seen = {f"{name}_features": reading.features[name] for name in self._cameras}
            return values | seen | {name: reading.images[name] for name in self._kept}
        scale = self._task.observation
        hidden = {f"sim/{name}": reading.sim[name] / _privileged(name, scale)[0] for name in scale.privileged}
        return values | _clipped(hidden)

    def _measured(self, reading: Reading) -> dict[str, NDArray]:
        scale, action, arm = self._task.observation, self._task.action, reading.arm
        tool_inverse = spatial.conjugate(arm.pose.quaternion)
        position = spatial.rotate(self._anchor_inverse, arm.pose.position - self._task.anchor.position)
        rotation = spatial.multiply(self._anchor_inverse, arm.pose.quaternion)
        shift = spatial.rotate(tool_inverse, arm.reference.position - arm.pose.position)
        turn = spatial.log(spatial.multiply(tool_inverse, arm.reference.quaternion))
        values = {
            "tool_position": position / scale.position,
            "tool_position_fine": np.tanh(position / scale.fine),
            "tool_rotation": spatial.matrix(rotation)[:, :2].T.reshape(6),
            "tool_rotation_fine": np.tanh(spatial.log(rotation) / scale.rotation),
            "tool_twist": _in_frame(tool_inverse, arm.twist) / _pair(scale.linear_speed, scale.angular_speed),
            "tool_wrench": _in_frame(tool_inverse, arm.wrench) / _pair(scale.force, scale.torque),
            "reference_error": np.concatenate([shift, turn]) / _pair(action.translation, action.rotation),
        }
        if self._task.gripper is not None and reading.gripper is not None:
            opening = reading.gripper.width / self._task.gripper.open
            values["gripper"] = np.array([opening, float(reading.gripper.grasped)])
        return _clipped(values)


def _privileged(name: str, scale: ObservationSpec) -> tuple[float, str]:
    """What a `sim/*` value is divided by, and the same in words."""
    return (1.0, "a unit vector") if name.endswith(AXIS) else (scale.position, f"over {scale.position} m")


def _in_frame(inverse: NDArray, vector: NDArray) -> NDArray:
    """A twist or wrench (6,) with both halves rotated by `inverse`."""
    return np.concatenate([spatial.rotate(inverse, vector[:3]), spatial.rotate(inverse, vector[3:])])


def _pair(linear: float, angular: float) -> NDArray:
    return np.array([linear] * 3 + [angular] * 3)


def _clipped(values: Mapping[str, NDArray]) -> dict[str, NDArray]:
    return {name: np.clip(value, -LIMIT, LIMIT).astype(np.float32) for name, value in values.items()}
