"""What a cell's topics carry: a `Reading` as standard ROS messages, and back.

Named numbers without a message of their own (simulator values, labels) travel as JointState: `name` holds
`depth` for a scalar and `socket[0]`, `socket[1]` ... for a vector, `position` the values in SI units.
"""

from __future__ import annotations

import array
import functools
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import PoseStamped, TwistStamped, WrenchStamped
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, JointState
from sensor_msgs.msg import Image as ImageMessage
from std_msgs.msg import Header

from controllers.arms.ros_io import time_message
from controllers.interface import ArmState, Array, GripperState, Image, Pose, Reading

ARM_TOPICS: dict[str, type] = {
    "current_pose": PoseStamped,
    "current_twist": TwistStamped,
    "joint_states": JointState,
    "external_wrench": WrenchStamped,
    "reference_pose": PoseStamped,
    "safety": DiagnosticArray,
}
GRIPPER_TOPIC = "gripper/state"
SIM_TOPIC = "twin/sim"
STATE_TOPIC = "twin/state"

Features = NDArray[np.float16]

_LEVELS = {"latched": DiagnosticStatus.ERROR, "frozen": DiagnosticStatus.WARN, "ramp": DiagnosticStatus.WARN}


def arm_messages(reading: Reading, stamp: int, joints: tuple[str, ...]) -> dict[str, Any]:
    """The messages of one tick, topic to message; `stamp` in ns, `joints` the names of `ArmState.q`."""
    header = Header(stamp=time_message(stamp), frame_id="base")
    arm = reading.arm
    messages: dict[str, Any] = {
        "current_pose": pose_message(arm.pose, header),
        "current_twist": _twist(arm.twist, header),
        "joint_states": _joints(header, joints, arm.q, arm.dq, arm.tau),
        "external_wrench": _wrench(arm.wrench, header),
        "reference_pose": pose_message(arm.reference, header),
        "safety": _safety(reading, header),
    }
    if reading.gripper is not None:
        width, grasped = reading.gripper.width, float(reading.gripper.grasped)
        messages[GRIPPER_TOPIC] = _joints(header, ("width",), np.array([width]), None, np.array([grasped]))
    if reading.sim:
        messages[SIM_TOPIC] = named_message(reading.sim, stamp)
    return messages


def reading_from(messages: Mapping[str, Any], tick: int, stamp: float) -> Reading:
    """The reading that `messages` (topic to message, those of `arm_messages`, images and features) make up."""
    joints, safety = messages["joint_states"], messages["safety"].status[0]
    arm = ArmState(
        q=np.array(joints.position),
        dq=np.array(joints.velocity),
        tau=np.array(joints.effort),
        pose=pose_from(messages["current_pose"].pose),
        twist=six(messages["current_twist"].twist.linear, messages["current_twist"].twist.angular),
        wrench=six(messages["external_wrench"].wrench.force, messages["external_wrench"].wrench.torque),
        reference=pose_from(messages["reference_pose"].pose),
        stamp=stamp,
    )
    gripper = messages.get(GRIPPER_TOPIC)
    return Reading(
        tick=tick,
        stamp=stamp,
        arm=arm,
        gripper=None if gripper is None else GripperState(gripper.position[0], bool(gripper.effort[0])),
        images={
            topic.removesuffix("/image_raw"): image_from(message)
            for topic, message in messages.items()
            if topic.endswith("/image_raw")
        },
        features={
            topic.removesuffix("/features"): features_from(message)
            for topic, message in messages.items()
            if topic.endswith("/features")
        },
        sim=named_values(messages[SIM_TOPIC]) if SIM_TOPIC in messages else {},
        safety=safety.message,
        reason=safety.values[0].value,
    )


def pose_message(pose: Pose, header: Header) -> PoseStamped:
    """A pose with its header."""
    message = PoseStamped(header=header)
    point, turn = message.pose.position, message.pose.orientation
    point.x, point.y, point.z = pose.position.tolist()
    turn.x, turn.y, turn.z, turn.w = pose.quaternion.tolist()
    return message


def pose_from(pose: Any) -> Pose:
    """A pose from geometry_msgs/Pose; nothing is normalised or checked here."""
    point, turn = pose.position, pose.orientation
    return Pose(np.array([point.x, point.y, point.z]), np.array([turn.x, turn.y, turn.z, turn.w]))


def named_message(values: Mapping[str, NDArray | float], stamp: int) -> JointState:
    """Named scalars and vectors as one stamped message."""
    names: list[str] = []
    numbers = array.array("d")
    for name, value in values.items():
        flat = np.asarray(value, np.float64)
        names += [name] if flat.ndim == 0 else [f"{name}[{i}]" for i in range(flat.size)]
        numbers.frombytes(flat.tobytes())
    return JointState(header=Header(stamp=time_message(stamp)), name=names, position=numbers)


def named_values(message: JointState) -> dict[str, Array]:
    """The values of `named_message`: scalars as shape (), vectors as (n,)."""
    numbers = np.array(message.position)
    return {name: numbers[where] for name, where in _layout(tuple(message.name))}


@functools.lru_cache(maxsize=64)
def _layout(names: tuple[str, ...]) -> tuple[tuple[str, int | slice], ...]:
    """Where each name's values lie."""
    places: dict[str, int | slice] = {}
    for index, name in enumerate(names):
        vector = re.fullmatch(r"(.+)\[(\d+)\]", name)
        if vector is None:
            places[name] = index
        else:
            begin = index - int(vector[2])
            places[vector[1]] = slice(begin, index + 1)
    return tuple(places.items())


def vector_message(values: Array, stamp: int) -> JointState:
    """Numbers without names (the twin's state vector)."""
    return JointState(header=Header(stamp=time_message(stamp)), position=array.array("d", values.tobytes()))


def image_message(image: Image, name: str, stamp: int) -> ImageMessage:
    """rgb8 image of camera `name`; its frame is `NAME_optical_frame`."""
    message = ImageMessage(header=Header(stamp=time_message(stamp), frame_id=f"{name}_optical_frame"))
    message.height, message.width = image.shape[:2]
    message.encoding, message.step = "rgb8", 3 * image.shape[1]
    data = array.array("B")
    data.frombytes(np.ascontiguousarray(image).data)
    message.data = data
    return message


def image_from(message: ImageMessage) -> Image:
    """An (h, w, 3) view of an rgb8 image's data."""
    return np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, 3)


def features_message(features: Features, header: Header) -> ImageMessage:
    """Maps (k, n, n, c) of the picture with that header, above one another: float16 bits as `16UCc`."""
    maps, rows, columns, channels = features.shape
    message = ImageMessage(header=header, height=maps * rows, width=columns, encoding=f"16UC{channels}")
    message.step = 2 * columns * channels
    data = array.array("B")
    data.frombytes(np.ascontiguousarray(features, "<f2").data.cast("B"))
    message.data = data
    return message


def features_from(message: ImageMessage) -> Features:
    """A (k, n, n, c) view of square maps."""
    side, channels = message.width, message.step // (2 * message.width)
    return np.frombuffer(message.data, "<f2").reshape(message.height // side, side, side, channels)


def camera_info(name: str, width: int, height: int, vertical_angle: float, stamp: int) -> CameraInfo:
    """Intrinsics of an ideal pinhole camera with the vertical opening angle, rad."""
    focal = 0.5 * height / float(np.tan(0.5 * vertical_angle))
    centre = (0.5 * width, 0.5 * height)
    info = CameraInfo(header=Header(stamp=time_message(stamp), frame_id=f"{name}_optical_frame"))
    info.width, info.height, info.distortion_model = width, height, "plumb_bob"
    info.d = [0.0] * 5
    info.k = [focal, 0.0, centre[0], 0.0, focal, centre[1], 0.0, 0.0, 1.0]
    info.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    info.p = [focal, 0.0, centre[0], 0.0, 0.0, focal, centre[1], 0.0, 0.0, 0.0, 1.0, 0.0]
    return info


def _twist(twist: Array, header: Header) -> TwistStamped:
    message = TwistStamped(header=header)
    linear, angular = message.twist.linear, message.twist.angular
    linear.x, linear.y, linear.z, angular.x, angular.y, angular.z = twist.tolist()
    return message


def _wrench(wrench: Array, header: Header) -> WrenchStamped:
    message = WrenchStamped(header=header)
    force, torque = message.wrench.force, message.wrench.torque
    force.x, force.y, force.z, torque.x, torque.y, torque.z = wrench.tolist()
    return message


def _joints(
    header: Header, names: tuple[str, ...], position: Array, velocity: Array | None, effort: Array
) -> JointState:
    message = JointState(header=header, name=list(names))
    message.position = array.array("d", position.tobytes())
    if velocity is not None:
        message.velocity = array.array("d", velocity.tobytes())
    message.effort = array.array("d", effort.tobytes())
    return message


def _safety(reading: Reading, header: Header) -> DiagnosticArray:
    level = _LEVELS.get(reading.safety, DiagnosticStatus.OK)
    reason = KeyValue(key="reason", value=reading.reason)
    status = DiagnosticStatus(level=level, name="safety", message=reading.safety, values=[reason])
    return DiagnosticArray(header=header, status=[status])


def six(first: Any, second: Any) -> Array:
    """Two geometry_msgs/Vector3 as (6,)."""
    return np.array([first.x, first.y, first.z, second.x, second.y, second.z])
