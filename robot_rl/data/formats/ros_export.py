"""Steps as a plain ROS 2 bag (MCAP) of standard messages, which Foxglove and `ros2 bag` show.

Pictures, the tool's pose, twist and wrench in SI units where the schema says their scale, joints; the rest as arrays.
An observation is recorded at its own stamp, a step's outcome (reward, flags) at the next one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot_rl.data.formats.whole import Progress, Written, whole
from robot_rl.data.png import encode_png
from robot_rl.data.schema import Field, Schema
from robot_rl.data.transition import Observation, Transition
from robot_rl.exceptions import DataError

ANCHOR, TOOL = "task", "tool"
"""Frames: of the task, and of the tool."""

_NUMBER = r"([0-9.eE+-]+)"
_PAIR = re.compile(rf"over {_NUMBER} (?:m/s|N) and {_NUMBER} (?:rad/s|Nm)\b")
_LENGTH = re.compile(rf"over {_NUMBER} m\b")
OUTCOMES = {
    "reward": "std_msgs/msg/Float64",
    "terminated": "std_msgs/msg/Bool",
    "truncated": "std_msgs/msg/Bool",
    "success": "std_msgs/msg/Bool",
    "intervened": "std_msgs/msg/Bool",
}

Make = Callable[[Observation, Any], Any]
"""A message of an observation and a header."""


def export_bag(schema: Schema, steps: Iterable[Transition], folder: Path, progress: Progress | None = None) -> Written:
    """Write DIR as a rosbag2 folder of MCAP; as a whole or not at all. Raises `DataError`."""
    try:
        from rosbags.rosbag2 import StoragePlugin, Writer
    except ImportError as error:
        raise DataError("bags need rosbags: pip install 'robot_rl[datasets]'") from error
    count, episodes = 0, 0
    last: Transition | None = None
    with whole(folder) as part:
        inside = part / folder.name  # the writer makes its folder itself, and names its file after it
        with Writer(inside, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
            topics = _Topics(schema, writer)
            for step in steps:
                begins = last is None or last.episode != step.episode
                if begins and last is not None:
                    topics.observe(last.next_observation, last.next_stamp)
                episodes += begins
                topics.step(step, begins)
                last = step
                count += 1
                if progress is not None:
                    progress(count)
            if last is None:
                raise DataError(f"there is no step to write to {folder}")
            topics.observe(last.next_observation, last.next_stamp)
        for file in inside.iterdir():
            file.rename(part / file.name)
        inside.rmdir()
    return Written(count, episodes, 0)


class _Topics:
    """The bag's topics, and what is written to each."""

    def __init__(self, schema: Schema, writer: Any) -> None:
        from rosbags.typesys import Stores, get_typestore

        self._store, self._writer = get_typestore(Stores.ROS2_JAZZY), writer
        self._make = dict(_observed(schema, self._store.types))
        self._actions = schema.actions
        kinds = {topic: make[0] for topic, make in self._make.items()}
        kinds |= dict.fromkeys(("/action", "/policy_action"), "std_msgs/msg/Float32MultiArray")
        kinds |= {f"/{name}": kind for name, kind in OUTCOMES.items()} | {"/episode": "std_msgs/msg/String"}
        self._kinds = kinds
        self._open = {
            topic: writer.add_connection(topic, kind, typestore=self._store) for topic, kind in sorted(kinds.items())
        }

    def step(self, step: Transition, begins: bool) -> None:
        """One step; its next observation is the following step's, or `observe`d apart."""
        if begins:
            self._put("/episode", step.stamp, self._store.types["std_msgs/msg/String"](step.episode))
        self.observe(step.observation, step.stamp)
        for name in ("action", "policy_action"):
            values: NDArray = getattr(step, name)
            self._put(f"/{name}", step.stamp, _array(self._store.types, values, ", ".join(self._actions)))
        for name, kind in OUTCOMES.items():
            self._put(f"/{name}", step.next_stamp, self._store.types[kind](getattr(step, name)))

    def observe(self, observation: Observation, stamp: float) -> None:
        """What was seen at a time."""
        seconds, rest = divmod(_ns(stamp), 10**9)
        time = self._store.types["builtin_interfaces/msg/Time"](int(seconds), int(rest))
        for topic, (_, frame, make) in self._make.items():
            self._put(topic, stamp, make(observation, self._store.types["std_msgs/msg/Header"](time, frame)))

    def _put(self, topic: str, stamp: float, message: Any) -> None:
        self._writer.write(self._open[topic], _ns(stamp), self._store.serialize_cdr(message, self._kinds[topic]))


def _ns(stamp: float) -> int:
    if not 0 <= stamp < 2**31:
        raise DataError(f"a stamp of {stamp} s cannot stand in a bag; it must be from 0 to 2^31")
    return round(stamp * 1e9)


def _observed(schema: Schema, types: dict[str, Any]) -> Iterator[tuple[str, tuple[str, str, Make]]]:
    """Topic, message type, frame and maker of what is observed."""
    fields = {field.name: field for field in schema.observation}
    left = dict(fields)
    position, rotation = fields.get("tool_position"), fields.get("tool_rotation")
    if position is not None and rotation is not None and (position.shape, rotation.shape) == ((3,), (6,)):
        length = _LENGTH.search(position.note)
        if length:
            yield "/tool_pose", ("geometry_msgs/msg/PoseStamped", ANCHOR, _pose(types, float(length[1])))
    for name, kind in (("tool_twist", "Twist"), ("tool_wrench", "Wrench")):
        scale = _PAIR.search(fields[name].note) if name in fields and fields[name].shape == (6,) else None
        if scale:
            left.pop(name)
            make = _screw(types, name, kind, (float(scale[1]), float(scale[2])))
            yield f"/{name}", (f"geometry_msgs/msg/{kind}Stamped", TOOL, make)
    for name, field in left.items():
        topic = f"/{field.message_name}" if field.is_image else f"/observation/{field.message_name}"
        if field.is_image:
            yield f"{topic}/compressed", ("sensor_msgs/msg/CompressedImage", field.message_name, _image(types, name))
        elif re.search(r"joint_?(pos|position|positions)$", name) and len(field.shape) == 1:
            yield topic, ("sensor_msgs/msg/JointState", "", _joints(types, field))
        else:
            yield topic, ("std_msgs/msg/Float32MultiArray", "", _plain(types, field))


def _pose(types: dict[str, Any], length: float) -> Make:
    """Position in m; the rotation's first two columns as a quaternion."""

    def make(observation: Observation, header: Any) -> Any:
        place = observation["tool_position"].astype(float) * length
        turn = quaternion(observation["tool_rotation"].astype(float))
        pose = types["geometry_msgs/msg/Pose"](
            types["geometry_msgs/msg/Point"](*map(float, place)),
            types["geometry_msgs/msg/Quaternion"](*map(float, turn)),
        )
        return types["geometry_msgs/msg/PoseStamped"](header, pose)

    return make


def quaternion(columns: NDArray) -> NDArray:
    """The quaternion (x, y, z, w) of a rotation's first two columns (6,), which need not be quite orthonormal."""
    x = columns[:3] / max(float(np.linalg.norm(columns[:3])), 1e-9)
    y = columns[3:] - x * (x @ columns[3:])
    y /= max(float(np.linalg.norm(y)), 1e-9)
    matrix = np.stack([x, y, np.cross(x, y)], axis=1)
    # the symmetric matrix whose largest eigenvector is the quaternion: no case is special (Bar-Itzhack 2000)
    (a, b, c), (d, e, f), (g, h, i) = matrix
    form = [
        [a - e - i, b + d, c + g, h - f],
        [0, e - a - i, f + h, c - g],
        [0, 0, i - a - e, d - b],
        [0, 0, 0, a + e + i],
    ]
    found: NDArray = np.linalg.eigh(np.array(form), UPLO="U")[1][:, -1]
    return found if found[3] >= 0 else -found


def _screw(types: dict[str, Any], name: str, kind: str, scale: tuple[float, float]) -> Make:
    """A twist or wrench in SI units."""

    def make(observation: Observation, header: Any) -> Any:
        values = observation[name].astype(float) * np.repeat(scale, 3)
        vector = types["geometry_msgs/msg/Vector3"]
        halves = vector(*map(float, values[:3])), vector(*map(float, values[3:]))
        return types[f"geometry_msgs/msg/{kind}Stamped"](header, types[f"geometry_msgs/msg/{kind}"](*halves))

    return make


def _joints(types: dict[str, Any], field: Field) -> Make:
    def make(observation: Observation, header: Any) -> Any:
        values = observation[field.name].astype(np.float64)
        names = [f"joint_{index}" for index in range(1, len(values) + 1)]
        return types["sensor_msgs/msg/JointState"](header, names, values, np.zeros(0), np.zeros(0))

    return make


def _image(types: dict[str, Any], name: str) -> Make:
    def make(observation: Observation, header: Any) -> Any:
        data = np.frombuffer(encode_png(observation[name]), np.uint8)
        return types["sensor_msgs/msg/CompressedImage"](header, "png", data)

    return make


def _plain(types: dict[str, Any], field: Field) -> Make:
    def make(observation: Observation, header: Any) -> Any:
        return _array(types, observation[field.name], field.note or field.name)

    return make


def _array(types: dict[str, Any], values: NDArray, label: str) -> Any:
    """Numbers with their shape; the first dimension's label says what they are."""
    sizes = values.shape or (1,)
    dimension = types["std_msgs/msg/MultiArrayDimension"]
    strides = [int(np.prod(sizes[index:])) for index in range(len(sizes))]
    labels = [label, *["" for _ in sizes[1:]]]
    dims = [dimension(text, size, stride) for text, size, stride in zip(labels, sizes, strides, strict=True)]
    layout = types["std_msgs/msg/MultiArrayLayout"](dims, 0)
    return types["std_msgs/msg/Float32MultiArray"](layout, np.asarray(values, np.float32).reshape(-1))
