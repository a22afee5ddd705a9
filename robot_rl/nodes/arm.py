"""The arm node: owns the cell, and stands between it and everybody who wants to move it.

In lockstep it publishes the state of a tick and advances by one period when the holder's target for the next
tick has arrived; silent for half a second, it says the state again, so that a node that comes late, or back,
finds it. In real time it advances and publishes at `RATE`, whatever arrives.
"""

from __future__ import annotations

import dataclasses
import functools
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rcl_interfaces.msg import SetParametersResult
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock
from std_msgs.msg import String
from std_srvs.srv import Trigger

from controllers.arms import ros_messages as messages
from controllers.arms.ros import COMPLIANCE
from controllers.arms.ros_io import LATCHED, STATE, time_message
from controllers.exceptions import ArmLatched, CommandRejected, ControllersError
from controllers.interface import OWNERS, Array, Pose, PoseTarget, Reading
from controllers.twin import TwinCell
from robot_rl.nodes.base import OWNS_ARM, Host, hosting, settle_memory
from robot_rl.nodes.targets import Request, Targets

RATE = 100
"""State messages a second in real time."""
REPEAT = 0.5
"""Silence, s, after which lockstep says its state again."""
CLOSE, STILL = 0.003, 0.01
"""Distance, m, and speed, m/s, at which the arm counts as home."""


class ArmNode:
    """The cell, its mux and its services. `lock` guards the cell: services run in another thread."""

    def __init__(self, host: Host, cell: TwinCell) -> None:
        self._host, self._cell = host, cell
        self._lock = threading.Lock()
        self._targets = Targets(host.listener, gripper=host.task.gripper is not None)
        self._period = round(cell.period * 1e9)
        self._tick, self._revision, self._stamp = 0, 0, 0
        self._owner = ""
        self._compliance: dict[str, Array | None] = dict.fromkeys(COMPLIANCE)
        self._homing: Pose | None = None
        self._stop_reason = "stop requested"
        self._said_safety: str | None = None
        node = host.node
        self._publishers: dict[str, Any] = {}
        self._safety = node.create_publisher(String, "safety_state", LATCHED)
        self._clock = node.create_publisher(Clock, "/clock", STATE) if host.lockstep else None
        self._tf = _tf_publisher(host)
        description = node.create_publisher(String, "robot_description", LATCHED)
        description.publish(String(data=cell.robot_description))
        self._offer_services()
        self._declare_parameters()
        node.create_timer(0.5, self._watch)

    def run_lockstep(self) -> None:
        """Serve until interrupted."""
        self._publish()
        said = time.monotonic()
        while True:
            if self._homing is None:
                self._targets.wait(REPEAT)
            with self._lock:
                self._targets.collect(self._owner)
                request = self._targets.take(self._owner, (self._tick + 1) * self._period)
                if request is not None or self._homing is not None:
                    self._command(request)
                    self._cell.wait()
                    self._tick, self._revision = self._tick + 1, 0
                elif time.monotonic() - said < REPEAT:
                    continue
                self._publish()
            said = time.monotonic()

    def run_realtime(self) -> None:
        """Serve until interrupted, on multiples of the period; missed ones are skipped, not made up for."""
        due = -(-time.time_ns() // self._period) * self._period
        while True:
            self._host.listener.sleep((due - time.time_ns()) / 1e9)
            with self._lock:
                self._targets.collect(self._owner)
                self._command(self._targets.take(self._owner))
                self._cell.wait()
                self._stamp = due
                self._publish()
            due = max(due + self._period, time.time_ns() // self._period * self._period)

    # Targets

    def _command(self, request: Request | None) -> None:
        """Hand a target to the filter. Refused or latched: time passes all the same, the reference stays."""
        try:
            if self._homing is not None:
                self._step_home()
            elif request is not None:
                self._cell.command(self._target(request), request.width)
        except CommandRejected as error:
            self._targets.refused["filter"] += 1
            self._host.node.get_logger().warning(str(error), throttle_duration_sec=1.0)
        except ArmLatched:
            self._homing = None
            self._targets.refused["latched"] += 1

    def _target(self, request: Request) -> PoseTarget:
        return PoseTarget(
            messages.pose_from(request.pose.pose),
            request.stamp or time.time_ns(),
            frame=request.pose.header.frame_id,
            stiffness=self._compliance["stiffness"],
            damping=self._compliance["damping"],
            clip=self._compliance["clip"],
        )

    def _step_home(self) -> None:
        goal = self._homing
        assert goal is not None
        arm = self._cell.read().arm
        if np.linalg.norm(arm.pose.position - goal.position) < CLOSE and np.linalg.norm(arm.twist[:3]) < STILL:
            self._homing = None
        self._cell.command(PoseTarget(goal, time.time_ns()))

    # Services

    def _offer_services(self) -> None:
        for owner in OWNERS:
            self._service(f"acquire/{owner}", functools.partial(self._acquire, owner))
        self._service("stop", lambda: self._cell.stop(self._stop_reason))
        self._service("recover", self._cell.recover)
        self._service("tare", self._cell.tare)
        self._service("home", self._go_home)

    def _service(self, name: str, act: Callable[[], None]) -> None:
        """A Trigger service `~/NAME`; its answer is the stamp, ns, from which its effect is to be seen."""

        def serve(_: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
            with self._lock:
                try:
                    act()
                except ControllersError as error:
                    response.success, response.message = False, str(error)
                    return response
                response.success, response.message = True, str(self._changed())
            return response

        self._host.node.create_service(Trigger, f"~/{name}", serve)

    def _acquire(self, owner: str) -> None:
        self._homing = None
        self._cell.acquire(owner)
        self._owner = owner
        self._compliance = dict.fromkeys(COMPLIANCE)

    def _go_home(self) -> None:
        """To the task's start pose, within clip and speed limits; `reset` holds the arm meanwhile."""
        self._acquire("reset")
        self._homing = self._host.task.start

    def _declare_parameters(self) -> None:
        node = self._host.node
        node.declare_parameter("scene_seed", -1)
        node.declare_parameter("stop_reason", self._stop_reason)
        for name in COMPLIANCE:
            node.declare_parameter(name, Parameter.Type.DOUBLE_ARRAY)
        node.add_on_set_parameters_callback(self._set)

    def _set(self, parameters: list[Parameter]) -> SetParametersResult:
        """`reason` of a success is the stamp from which a new scene is to be seen."""
        for parameter in parameters:
            if parameter.name == "scene_seed":
                with self._lock:
                    self._cell.reset_scene(int(parameter.value))
                    return SetParametersResult(successful=True, reason=str(self._changed()))
            if parameter.name == "stop_reason":
                self._stop_reason = str(parameter.value)
            if parameter.name in COMPLIANCE:
                with self._lock:
                    self._compliance[parameter.name] = np.array(parameter.value) if parameter.value else None
        return SetParametersResult(successful=True)

    # Publishing

    def _changed(self) -> int:
        """Something changed between two ticks: say so with a stamp of its own, which is returned."""
        if not self._host.lockstep:
            return time.time_ns()
        self._revision += 1
        self._publish()
        return self._stamp

    def _publish(self) -> None:
        reading = self._cell.read()
        if self._host.lockstep:
            self._stamp = self._tick * self._period + self._revision
        outgoing = messages.arm_messages(reading, self._stamp, self._cell.joint_names)
        outgoing[messages.STATE_TOPIC] = messages.vector_message(self._cell.state_vector(), self._stamp)
        for topic, message in outgoing.items():
            if topic not in self._publishers:
                self._publishers[topic] = self._host.node.create_publisher(type(message), topic, STATE)
            self._publishers[topic].publish(message)
        if self._clock is not None:
            self._clock.publish(Clock(clock=time_message(self._stamp)))
        if self._tf is not None:
            self._tf(reading, outgoing["current_pose"])
        self._say_safety(reading)

    def _say_safety(self, reading: Reading) -> None:
        """Latched, and on change only: for people and monitors; `safety` is for every tick."""
        said = f"{reading.safety}: {reading.reason}" if reading.reason else reading.safety
        if said != self._said_safety:
            self._said_safety = said
            self._safety.publish(String(data=said))

    def _watch(self) -> None:
        """Twice a second: rivals on a target topic, and what diagnostics say."""
        known = self._targets.contested
        contested = self._targets.look_for_rivals()
        if contested - known:
            self._host.node.get_logger().error(
                f"two publishers on the target topic of {', '.join(sorted(contested))}: both are refused until "
                "one is gone; end one of the nodes."
            )
        level = "error" if contested or (self._said_safety or "").startswith("latched") else "ok"
        refused = {f"refused: {rule}": count for rule, count in self._targets.refused.items()}
        self._host.status(level, self._said_safety or "", owner=self._owner or "nobody", **refused)


def _tf_publisher(host: Host) -> Callable[[Reading, Any], None] | None:
    """Publishes base -> tool on /tf, where tf2_msgs is installed (it is not on PyPI)."""
    try:
        from tf2_msgs.msg import TFMessage
    except ImportError:
        return None
    from geometry_msgs.msg import TransformStamped

    publisher = host.node.create_publisher(TFMessage, "/tf", STATE)

    def publish(_: Reading, pose: Any) -> None:
        transform = TransformStamped(header=pose.header, child_frame_id="tool")
        point = pose.pose.position
        origin = transform.transform.translation
        origin.x, origin.y, origin.z = point.x, point.y, point.z
        transform.transform.rotation = pose.pose.orientation
        publisher.publish(TFMessage(transforms=[transform]))

    return publish


def main(run: Path, ros_args: list[str]) -> None:
    """Run the node until interrupted."""
    with hosting("arm", run, ros_args, priority=OWNS_ARM) as host:
        task = host.task
        if not host.lockstep:
            task = dataclasses.replace(task, period=1.0 / RATE)
        node = ArmNode(host, TwinCell(task, seed=host.config.seed))
        settle_memory()
        if host.lockstep:
            node.run_lockstep()
        else:
            node.run_realtime()
