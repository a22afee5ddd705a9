"""The topics and services of an arm under ROS controllers, as crisp_controllers name them."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped, TwistStamped, WrenchStamped
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray, Header, String
from std_srvs.srv import Trigger

from controllers.arms import ros_messages as messages
from controllers.arms.ros import call
from controllers.arms.ros_io import LATCHED, SENSOR, TARGET, Feed, Listener, time_message
from controllers.exceptions import CellTimeout, ControllersError
from controllers.interface import Array, Pose

if TYPE_CHECKING:
    from controllers.arms.crisp_config import CrispConfig
    from tasks.spec import Gains

AXES = ("pos_x", "pos_y", "pos_z", "rot_x", "rot_y", "rot_z")
NEEDED = ("current_pose", "current_twist", "joint_states")
"""Topics without which there is no state of the arm."""
PATIENCE = 5.0
"""s to wait for a service."""
LOOK = 0.5
"""s between two looks for rivals."""


@dataclass(frozen=True)
class Measured:
    """The newest of each topic; units and frames as in `ArmState`. width: m, None where no gripper says its own.

    latched: why the robot itself is latched, or an empty text.
    """

    q: Array
    dq: Array
    tau: Array
    pose: Pose
    twist: Array
    wrench: Array
    stamp: float
    width: float | None = None
    grasped: bool = False
    latched: str = ""


class CrispLink:
    """A node of its own in the robot's ROS domain. All methods but `report` are one thread's at a time."""

    def __init__(self, config: CrispConfig, joints: Sequence[str]) -> None:
        self._config, self._joints = config, tuple(joints)
        self._context = Context()
        rclpy.init(context=self._context, domain_id=config.domain, signal_handler_options=SignalHandlerOptions.NO)
        self._node = Node("robot_rl_driver", context=self._context, namespace=config.namespace)
        self._listener = Listener(self._node)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._spin, name="crisp link", daemon=True)
        self._thread.start()
        kinds = {
            "current_pose": PoseStamped,
            "current_twist": TwistStamped,
            "joint_states": JointState,
            "wrench": WrenchStamped,
            "gripper_state": JointState,
            "safety": DiagnosticArray,
        }
        self._feeds: dict[str, Feed[Any]] = {
            name: self._listener.subscribe(kind, topic, SENSOR)
            for name, kind in kinds.items()
            if (topic := getattr(config, name))
        }
        self._arrived: dict[str, float] = {}
        self._gaps: deque[float] = deque(maxlen=500)
        self._targets = self._node.create_publisher(PoseStamped, config.target_pose, TARGET)
        self._gripper = (
            self._node.create_publisher(Float64MultiArray, config.gripper_command, TARGET)
            if config.gripper_command
            else None
        )
        self._looked, self._rivals = 0.0, ""

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            return

    # State

    def first(self, timeout: float) -> Measured:
        """The first complete state. Raises `ControllersError` naming what does not arrive, or is in another frame."""
        zeros = np.zeros(len(self._joints))
        empty = Measured(zeros, zeros, zeros, Pose(np.zeros(3), np.zeros(4)), np.zeros(6), np.zeros(6), 0.0)
        end = time.monotonic() + timeout
        now = empty
        while missing := [name for name in NEEDED if name not in self._arrived]:
            if time.monotonic() > end:
                topics = ", ".join(self._feeds[name].subscription.topic_name for name in missing)
                raise ControllersError(
                    f"nothing on {topics} in ROS domain {self._config.domain} within {timeout:g} s: are the robot's "
                    f"controllers running there, with joints {', '.join(self._joints)}?"
                )
            self._listener.wait(list(self._feeds.values()), 0.1)
            now = self.newest(now)
        return now

    def newest(self, before: Measured) -> Measured:
        """`before` with all that has arrived since."""
        now = before
        for name, feed in self._feeds.items():
            message = feed.newest()
            if message is not None and (taken := self._take(name, message, now)) is not None:
                now = taken
                arrived = time.monotonic()
                if name == "current_pose" and name in self._arrived:
                    self._gaps.append(arrived - self._arrived[name])
                self._arrived[name] = arrived
        return now

    def _take(self, name: str, message: Any, now: Measured) -> Measured | None:
        """`now` with one message in it, or None for one that is not of this arm."""
        if name == "current_pose":
            if message.header.frame_id != self._config.base_frame:
                topic, frame = self._feeds[name].subscription.topic_name, message.header.frame_id
                raise ControllersError(
                    f"{topic} is in frame '{frame}', the cell says '{self._config.base_frame}': set its base_frame."
                )
            return replace(now, pose=messages.pose_from(message.pose), stamp=time.time())
        if name == "current_twist":
            return replace(now, twist=messages.six(message.twist.linear, message.twist.angular))
        if name == "wrench":
            return replace(now, wrench=messages.six(message.wrench.force, message.wrench.torque))
        if name == "safety":
            if not message.status:
                return None
            status = message.status[0]
            reason = status.values[0].value if status.values else "it does not say why"
            return replace(now, latched=reason if status.message == "latched" else "")
        if name == "gripper_state":
            if not message.position:
                return None
            closed, opened = self._config.gripper_values
            share = (message.position[0] - closed) / (opened - closed)
            grasped = bool(message.effort and message.effort[0] > 0.5)
            return replace(now, width=float(share) * self._config.gripper_width, grasped=grasped)
        return self._joint_state(message, now)

    def _joint_state(self, message: JointState, now: Measured) -> Measured | None:
        if not set(self._joints) <= set(message.name):
            return None  # a gripper's, on the same topic
        order = [message.name.index(name) for name in self._joints]
        parts = (message.position, message.velocity, message.effort)
        if len(message.position) < len(message.name):
            return None
        q, dq, tau = (
            np.array(part)[order] if len(part) >= len(message.name) else np.zeros(len(order)) for part in parts
        )
        return replace(now, q=q, dq=dq, tau=tau)

    def stale(self, after: float) -> str:
        """Which topic has been silent for longer than `after` s, and for how long; an empty text for none."""
        name = min(NEEDED, key=lambda each: self._arrived.get(each, 0.0))
        age = time.monotonic() - self._arrived.get(name, 0.0)
        if age <= after:
            return ""
        topic = self._feeds[name].subscription.topic_name
        return f"no message on {topic} for more than {after:g} s: is the robot's controller alive?"

    def heard(self, name: str) -> float:
        """When the newest message of a topic arrived, on the monotonic clock, s; 0 before the first."""
        return self._arrived.get(name, 0.0)

    def rivals(self) -> str:
        """Who else sends to, or in the place of, the robot, looked for now and then; an empty text for nobody."""
        if time.monotonic() - self._looked > LOOK:
            self._looked, self._rivals = time.monotonic(), ""
            for topic in (self._targets.topic_name, self._feeds["current_pose"].subscription.topic_name):
                if self._node.count_publishers(topic) > 1:
                    self._rivals = f"two publishers on {topic}: end one of the nodes, or give it another namespace."
        return self._rivals

    def report(self) -> dict[str, object]:
        """`rate` (Hz) and `jitter` (ms, p99) of the robot's poses, and `staleness` (ms) of the newest."""
        gaps = np.array(self._gaps)
        if len(gaps) < 2:
            return {}
        mean = float(gaps.mean())
        return {
            "rate": round(1.0 / mean, 1),
            "jitter": round(1e3 * float(np.percentile(np.abs(gaps - mean), 99)), 3),
            "staleness": round(1e3 * (time.monotonic() - self._arrived["current_pose"]), 3),
        }

    def robot_description(self) -> str:
        """The robot's URDF where somebody latches it, or an empty text."""
        feed = self._listener.subscribe(String, "robot_description", LATCHED)
        self._listener.wait([feed], 1.0)
        message = feed.newest()
        self._node.destroy_subscription(feed.subscription)
        return "" if message is None else str(message.data)

    # Commands

    def send(self, pose: Pose) -> None:
        """One target."""
        header = Header(stamp=time_message(time.time_ns()), frame_id=self._config.base_frame)
        self._targets.publish(messages.pose_message(pose, header))

    def move_gripper(self, width: float) -> None:
        """Send an opening, m, within what the gripper can do; nothing where there is none."""
        if self._gripper is not None:
            closed, opened = self._config.gripper_values
            share = min(max(width / self._config.gripper_width, 0.0), 1.0)
            self._gripper.publish(Float64MultiArray(data=[closed + share * (opened - closed)]))

    def set_gains(self, gains: Gains) -> None:
        """Give the controller the task's stiffness and damping. Raises `ControllersError` where it refuses."""
        if not self._config.parameters:
            return
        values = {f"task.k_{axis}": value for axis, value in zip(AXES, gains.stiffness, strict=True)}
        values |= {f"task.d_{axis}": value for axis, value in zip(AXES, gains.damping, strict=True)}
        request = SetParameters.Request(
            parameters=[
                Parameter(
                    name=name, value=ParameterValue(type=ParameterType.PARAMETER_DOUBLE, double_value=float(value))
                )
                for name, value in values.items()
            ]
        )
        answer = self._call(SetParameters, f"{self._config.parameters}/set_parameters", request)
        refused = [
            f"{name} ({result.reason})"
            for name, result in zip(values, answer.results, strict=True)
            if not result.successful
        ]
        if refused:
            raise ControllersError(
                f"{self._config.parameters} does not take {', '.join(refused)}: leave parameters empty."
            )

    def activate(self) -> None:
        """Switch to the configured controller; all that hold the arm's joints give way. Raises `ControllersError`."""
        wanted = self._config.controller
        if not wanted:
            return
        try:
            from controller_manager_msgs.srv import ListControllers, SwitchController
        except ImportError as error:
            raise ControllersError(
                f"{error}: source the workspace that has it, or leave the cell's `controller` empty and switch by hand."
            ) from error
        listed = self._call(ListControllers, "controller_manager/list_controllers", ListControllers.Request())
        states = {each.name: each.state for each in listed.controller}
        if wanted not in states:
            known = ", ".join(states) or "none"
            raise ControllersError(f"the robot has no controller '{wanted}'; it has {known}.")
        if states[wanted] == "active":
            return
        active = [name for name, state in states.items() if state == "active" and not name.endswith("broadcaster")]
        request = SwitchController.Request(
            activate_controllers=[wanted],
            deactivate_controllers=active,
            strictness=SwitchController.Request.STRICT,
        )
        answer = self._call(SwitchController, "controller_manager/switch_controller", request)
        if not answer.ok:
            raise ControllersError(f"the robot does not switch to '{wanted}': {answer.message or 'it says no reason'}.")

    def trigger(self, service: str) -> None:
        """Call a Trigger service, if one is named. Raises `ControllersError` where it refuses."""
        if not service:
            return
        answer = self._call(Trigger, service, Trigger.Request())
        if not answer.success:
            raise ControllersError(f"{service} of the robot refuses: {answer.message}")

    def _call(self, kind: type, name: str, request: Any) -> Any:
        try:
            return call(self._node, self._listener, kind, name, request, PATIENCE)
        except CellTimeout as error:
            raise ControllersError(f"{error} (ROS domain {self._config.domain})") from error

    def close(self) -> None:
        """Leave the domain."""
        self._executor.shutdown(timeout_sec=2.0)
        self._thread.join(timeout=2.0)
        self._node.destroy_node()
        self._context.try_shutdown()
