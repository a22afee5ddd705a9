"""A cell in another process, behind the topics of `docs/architecture.md`: the same `Cell` over ROS 2.

Every message carries the stamp of its tick. In lockstep a reading is complete when all topics stand at one
stamp, so arrival order never matters; a change between two ticks (handing over, a new scene, taring) is
stamped one nanosecond later, and the service that made it answers with that stamp. In real time ticks lie on
multiples of the period of the ROS clock, the same for every process; each takes the newest at its tick.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from geometry_msgs.msg import PoseStamped
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.node import Node
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Bool, Header
from std_srvs.srv import Trigger

from controllers.arms import ros_messages as messages
from controllers.arms.ros_io import SENSOR, STATE, TARGET, Feed, Listener, nanoseconds, time_message
from controllers.cameras.base import PICTURE_AGE
from controllers.exceptions import ArmLatched, CellTimeout, CommandRejected
from controllers.interface import Array, PoseTarget, Reading

LATENCY = 0.01
"""In real time a target leaves this long, s, after its tick, or at once if that has passed: the delay from sensing
to acting is then the same at each step, however long the policy took."""
RESEND = 0.5
"""After this silence, s, a target is sent again; the arm knows it by its stamp."""
SEEN = ("/image_raw", "/features")
"""Topics that in real time come at the cameras' own times."""
COMPLIANCE = ("stiffness", "damping", "clip")
ENABLE_TOPIC = "teleop/enable"
"""std_msgs/Bool: the deadman of a person at a teleoperation device."""


def target_topics(owner: str) -> tuple[str, str]:
    """Topics of an owner's pose and gripper targets; an external client has the bare names."""
    prefix = "" if owner == "external" else f"{owner}/"
    return f"{prefix}target_pose", f"{prefix}target_gripper"


class RosCell:
    """Proxy of the arm node `arm`. The node must be spun by an executor in another thread.

    period: s. gripper, sim: whether readings hold them. cameras: names of the images that readings hold;
    features: of the cameras of which they hold features.
    owner: whom targets are sent as until `acquire` names another. timeout: s to wait before `CellTimeout`.
    """

    def __init__(
        self,
        node: Node,
        listener: Listener,
        *,
        period: float,
        clock: Literal["lockstep", "realtime"] = "lockstep",
        gripper: bool = False,
        sim: bool = False,
        cameras: Iterable[str] = (),
        features: Iterable[str] = (),
        owner: str = "policy",
        arm: str = "arm",
        timeout: float = 30.0,
    ) -> None:
        self.period, self._clock, self._timeout = period, clock, timeout
        self._node, self._listener, self._arm = node, listener, arm
        self._period_ns = round(period * 1e9)
        topics: dict[str, type] = dict(messages.ARM_TOPICS)
        if gripper:
            topics[messages.GRIPPER_TOPIC] = JointState
        if sim:
            topics[messages.SIM_TOPIC] = JointState
        topics |= {f"{camera}/image_raw": Image for camera in cameras}
        topics |= {f"{camera}/features": Image for camera in features}
        qos = STATE if clock == "lockstep" else SENSOR
        self._feeds: dict[str, Feed[Any]] = {
            topic: listener.subscribe(kind, topic, qos) for topic, kind in topics.items()
        }
        self._latest: dict[str, tuple[int, Any]] = {}
        self._floor = 0
        self._start: int | None = None
        self._reading: Reading | None = None
        self.stamp = -1
        self._gripper = gripper
        self._owner = owner
        self._sent: tuple[Any, Any] | None = None
        self._enabled = True
        self._compliance: Mapping[str, Array | None] = dict.fromkeys(COMPLIANCE)
        self._publishers: dict[str, tuple[Any, Any]] = {}
        self._deadman: Any = None

    def acquire(self, owner: str) -> None:
        self._trigger(f"acquire/{owner}")
        self._owner = owner
        self._compliance = dict.fromkeys(COMPLIANCE)

    def command(self, target: PoseTarget, gripper_width: float | None = None) -> None:
        reading = self._reading or self.read()
        if reading.safety == "latched":
            raise ArmLatched(f"the arm is latched: {reading.reason}; call {self._arm}/recover.")
        if target.twist is not None and np.any(target.twist):
            raise CommandRejected("target_pose carries no feed-forward twist; leave `twist` empty.")
        self._comply(target)
        if self._clock == "realtime":
            self._listener.sleep(LATENCY + (self.stamp - time.time_ns()) / 1e9)
        header = Header(stamp=time_message(self._command_stamp()), frame_id=target.frame)
        width = [] if gripper_width is None else [float(gripper_width)]
        gripper = JointState(header=header, name=["width"][: len(width)], position=width)
        self._sent = (messages.pose_message(target.pose, header), gripper if self._gripper else None)
        self._enabled = target.enabled
        self._send()

    def wait(self) -> Reading:
        if self._clock == "lockstep":
            return self._next_lockstep()
        return self._next_realtime()

    def read(self) -> Reading:
        self._drain()
        if self._reading is None or self._floor > self.stamp or self._clock == "realtime":
            self._collect(self._floor, self._timeout)
        elif self._standing() > self.stamp:
            self._assemble(self._standing())
        assert self._reading is not None
        return self._reading

    def reset_scene(self, seed: int) -> None:
        self._set("scene_seed", ParameterValue(type=ParameterType.PARAMETER_INTEGER, integer_value=seed))

    def tare(self) -> None:
        self._trigger("tare")

    def stop(self, reason: str = "stop requested") -> None:
        self._set("stop_reason", ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=reason))
        self._trigger("stop")

    def recover(self) -> None:
        self._trigger("recover")

    def close(self) -> None:
        for feed in self._feeds.values():
            self._node.destroy_subscription(feed.subscription)
        for publisher in (self._deadman, *(each for pair in self._publishers.values() for each in pair)):
            if publisher is not None:
                self._node.destroy_publisher(publisher)

    def follow(self) -> Reading:
        """For onlookers: the reading of the next tick; in lockstep also one that the arm says again."""
        if self._clock == "realtime":
            return self._next_realtime()
        end = time.monotonic() + self._timeout
        while (left := end - time.monotonic()) > 0:
            self._listener.wait(list(self._feeds.values()), left)
            self._drain()
            if self._standing() >= max(self.stamp, 0):
                return self._assemble(self._standing())
        raise CellTimeout(self._late(list(self._feeds.values()), self.stamp, self._timeout))

    def not_before(self, stamp: int) -> None:
        """Readings older than `stamp`, ns, are out of date: something changed at it."""
        self._floor = max(self._floor, stamp)

    # Ticks

    def _tick(self, stamp: int) -> int:
        if self._start is None:
            self._start = 0 if self._clock == "lockstep" else round(stamp / self._period_ns)
        return round(stamp / self._period_ns) - self._start

    def _command_stamp(self) -> int:
        """In lockstep the tick that the target is for; in real time now."""
        if self._clock == "realtime":
            return time.time_ns()
        return (round(self.stamp / self._period_ns) + 1) * self._period_ns

    def _next_lockstep(self) -> Reading:
        return self._collect(self._command_stamp(), self._timeout)

    def _next_realtime(self) -> Reading:
        """The next point of the schedule; missed ones are skipped."""
        now = time.time_ns()
        due = max(self._tick_stamp(self.stamp) + 1, -(-now // self._period_ns)) * self._period_ns
        if due - now > self._period_ns:
            due -= self._period_ns * ((due - now) // self._period_ns)
        self._listener.sleep((due - now) / 1e9)
        return self._collect(due, self._timeout, stamp=due)

    def _tick_stamp(self, stamp: int) -> int:
        return round(stamp / self._period_ns)

    # Collecting

    def _drain(self) -> None:
        for topic, feed in self._feeds.items():
            message = feed.newest()
            if message is not None:
                self._latest[topic] = (_stamp(message), message)

    def _standing(self) -> int:
        """The stamp that all topics stand at, or -1."""
        stamps = {stamp for stamp, _ in self._latest.values()}
        return stamps.pop() if len(self._latest) == len(self._feeds) and len(stamps) == 1 else -1

    def _missing(self, wanted: int) -> list[Feed[Any]]:
        """The feeds whose newest message is no part of a reading at `wanted` or later."""
        slack = max(self._period_ns, round(1e9 * PICTURE_AGE)) if self._clock == "realtime" else 0
        ahead = max((stamp for stamp, _ in self._latest.values()), default=0)
        if self._clock == "lockstep":
            wanted = max(wanted, ahead)
        return [
            feed
            for topic, feed in self._feeds.items()
            if self._latest.get(topic, (-1, None))[0] < wanted - slack * topic.endswith(SEEN)
        ]

    def _collect(self, wanted: int, timeout: float, stamp: int | None = None) -> Reading:
        """Wait for a complete reading at `wanted` ns or later."""
        end = time.monotonic() + timeout
        resend = time.monotonic() + RESEND
        self._drain()
        while missing := self._missing(wanted):
            now = time.monotonic()
            if now > end:
                raise CellTimeout(self._late(missing, wanted, timeout))
            if now > resend and self._sent is not None and self._clock == "lockstep":
                self._send()
                resend = now + RESEND
            self._listener.wait(missing, min(RESEND, end - now + 1e-3))
            self._drain()
        return self._assemble(stamp or max(stamp for stamp, _ in self._latest.values()))

    def _assemble(self, stamp: int) -> Reading:
        self.stamp = stamp
        tick = self._tick(stamp)
        seconds = tick * self.period if self._clock == "lockstep" else stamp / 1e9
        parts = {topic: message for topic, (_, message) in self._latest.items()}
        self._reading = messages.reading_from(parts, tick, seconds)
        return self._reading

    def _late(self, missing: Sequence[Feed[Any]], wanted: int, timeout: float) -> str:
        names = ", ".join(feed.subscription.topic_name for feed in missing)
        return (
            f"no message of {names} for the tick at {wanted / 1e9:.3f} s within {timeout:g} s: "
            "is the node that publishes it alive, in this ROS domain?"
        )

    # Sending

    def _send(self) -> None:
        if self._owner not in self._publishers:
            pose, gripper = target_topics(self._owner)
            kinds = (PoseStamped, pose), (JointState, gripper)
            pair = tuple(self._node.create_publisher(kind, topic, TARGET) for kind, topic in kinds)
            self._publishers[self._owner] = (pair[0], pair[1])
        assert self._sent is not None
        if self._owner == "teleop":
            if self._deadman is None:
                self._deadman = self._node.create_publisher(Bool, ENABLE_TOPIC, TARGET)
            self._deadman.publish(Bool(data=self._enabled))
        for publisher, message in zip(self._publishers[self._owner], self._sent, strict=True):
            if message is not None:
                publisher.publish(message)

    def _comply(self, target: PoseTarget) -> None:
        """Compliance is a setting of the arm, not part of a pose: set when it changes."""
        for name in COMPLIANCE:
            value = getattr(target, name)
            before = self._compliance[name]
            if value is before or (value is not None and before is not None and np.array_equal(value, before)):
                continue
            array = [] if value is None else [float(part) for part in value]
            value_message = ParameterValue(type=ParameterType.PARAMETER_DOUBLE_ARRAY, double_array_value=array)
            self._set(f"{self._owner}.{name}", value_message)
            self._compliance = {**self._compliance, name: value}

    # Services

    def _set(self, name: str, value: ParameterValue) -> None:
        request = SetParameters.Request(parameters=[Parameter(name=name, value=value)])
        answer = call(self._node, self._listener, SetParameters, f"{self._arm}/set_parameters", request)
        result = answer.results[0]
        if not result.successful:
            raise CommandRejected(f"the arm refused {name}: {result.reason}.")
        if result.reason:
            self.not_before(int(result.reason))

    def _trigger(self, name: str) -> None:
        answer = call(self._node, self._listener, Trigger, f"{self._arm}/{name}", Trigger.Request())
        if not answer.success:
            error = ArmLatched if "latched" in answer.message else CommandRejected
            raise error(answer.message)
        self.not_before(int(answer.message))


def call(node: Node, listener: Listener, kind: type, name: str, request: Any, timeout: float = 30.0) -> Any:
    """Call a service and wait for its answer. Raises `CellTimeout` after `timeout` s."""
    if name not in listener.clients:
        listener.clients[name] = node.create_client(kind, name)
    client = listener.clients[name]
    end = time.monotonic() + timeout
    while not client.service_is_ready():
        if time.monotonic() > end:
            raise CellTimeout(f"there is no service {name} after {timeout:g} s: is its node alive?")
        listener.sleep(0.02)
    done = threading.Event()
    future = client.call_async(request)
    future.add_done_callback(lambda _: done.set())
    while not done.wait(0.1):
        listener.check()
        if time.monotonic() > end:
            client.remove_pending_request(future)
            raise CellTimeout(f"the service {name} did not answer within {timeout:g} s: is its node alive?")
    return future.result()


def _stamp(message: Any) -> int:
    return nanoseconds(message.header.stamp)
