"""Topics taken by hand: how a robot_rl process reads ROS without an executor between it and the data.

A tick needs the messages of one instant and nothing else. An executor would run a callback for each of the
hundreds of messages a second that nobody looks at; a `Feed` leaves them in the middleware's queue until its
owner asks. Services and timers of the same node are still served by an ordinary executor.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from builtin_interfaces.msg import Time
from rclpy.callback_groups import CallbackGroup
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

M = TypeVar("M")

SLICE = 0.1
"""Longest sleep, s, in which an interruption goes unnoticed."""


def _profile(reliable: bool, depth: int, latched: bool = False) -> QoSProfile:
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


STATE = _profile(reliable=True, depth=10)
"""Published state; also how lockstep subscribes to it."""
SENSOR = _profile(reliable=False, depth=1)
"""How real time subscribes to state: the newest, nothing older."""
TARGET = _profile(reliable=True, depth=10)
LATCHED = _profile(reliable=True, depth=1, latched=True)
WEIGHTS = _profile(reliable=True, depth=3, latched=True)
"""Deep enough that an actor which comes back finds the version it needs: the learner is at most one ahead."""
EXPERIENCE = _profile(reliable=True, depth=1000)
ACKNOWLEDGED = _profile(reliable=True, depth=100)


class Polled(CallbackGroup):
    """Subscriptions that no executor may serve."""

    def can_execute(self, entity: Any) -> bool:
        return False

    def beginning_execution(self, entity: Any) -> bool:
        return False

    def ending_execution(self, entity: Any) -> None:
        return None


class Feed(Generic[M]):
    """One subscription whose messages are taken by hand."""

    def __init__(self, node: Node, group: Polled, kind: type[M], topic: str, qos: QoSProfile) -> None:
        self.topic, self._node = topic, node
        self.subscription = node.create_subscription(kind, topic, _ignore, qos, callback_group=group)

    def take(self) -> M | None:
        """The oldest waiting message, or None."""
        taken = self.subscription.handle.take_message(self.subscription.msg_type, False)
        return None if taken is None else taken[0]

    def newest(self) -> M | None:
        """The newest waiting message, the older ones dropped, or None."""
        newest = None
        while (message := self.take()) is not None:
            newest = message
        return newest

    @property
    def contested(self) -> bool:
        """Whether more than one publisher speaks here."""
        return self.publishers > 1

    @property
    def publishers(self) -> int:
        """How many speak here."""
        return int(self._node.count_publishers(self.subscription.topic_name))

    def join(self, wait_set: Any) -> None:
        """Let `wait_set` wake on a message."""
        wait_set.add_subscription(self.subscription.handle)


class Requests:
    """One service whose requests are taken by hand: their work may call other services of the same node."""

    def __init__(self, node: Node, group: Polled, kind: type, name: str) -> None:
        self.service = node.create_service(kind, name, _ignore, callback_group=group)

    def take(self) -> tuple[Any, Any] | None:
        """(request, header) of the oldest waiting request, or None; give the header back to `answer`."""
        taken = self.service.handle.service_take_request(self.service.srv_type.Request)
        return None if taken[0] is None else taken

    def answer(self, header: Any, response: Any) -> None:
        """Answer the request that came with `header`."""
        self.service.send_response(response, header)

    def join(self, wait_set: Any) -> None:
        """Let `wait_set` wake on a request."""
        wait_set.add_service(self.service.handle)


class Listener:
    """The feeds of one node, read by one thread. `interrupted` ends every wait with KeyboardInterrupt.

    clients: the node's service clients, by service.
    """

    def __init__(self, node: Node, interrupted: threading.Event | None = None) -> None:
        self.node = node
        self.interrupted = interrupted or threading.Event()
        self.clients: dict[str, Any] = {}
        self._group = Polled()
        self._wait_set: Any = None
        self._capacity = 0

    def subscribe(self, kind: type[M], topic: str, qos: QoSProfile) -> Feed[M]:
        """A feed of `topic`, relative to the node's namespace."""
        return Feed(self.node, self._group, kind, topic, qos)

    def serve(self, kind: type, name: str) -> Requests:
        """The requests of a service, relative to the node's namespace."""
        return Requests(self.node, self._group, kind, name)

    def wait(self, feeds: Sequence[Feed[Any] | Requests], timeout: float) -> None:
        """Sleep until one of `feeds` has a message, or `timeout` s have passed."""
        end = time.monotonic() + timeout
        while True:
            self.check()
            left = min(end - time.monotonic(), SLICE)
            if left <= 0 or self._wait(feeds, left):
                return

    def sleep(self, seconds: float) -> None:
        """Sleep, unless interrupted; a loop that is late, and so never sleeps, is interrupted too."""
        self.check()
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.check()
            time.sleep(min(left, SLICE))

    def check(self) -> None:
        """Raise KeyboardInterrupt after an interruption."""
        if self.interrupted.is_set():
            raise KeyboardInterrupt

    def _wait(self, feeds: Sequence[Feed[Any] | Requests], timeout: float) -> bool:
        if self._wait_set is None or len(feeds) > self._capacity:
            self._capacity = max(len(feeds), 16)
            self._wait_set = _rclpy.WaitSet(self._capacity, 0, 0, 0, 2, 0, self.node.context.handle)
        self._wait_set.clear_entities()
        for feed in feeds:
            feed.join(self._wait_set)
        self._wait_set.wait(int(timeout * 1e9))
        return any(self._wait_set.get_ready_entities(kind) for kind in ("subscription", "service"))


def time_message(stamp: int) -> Time:
    """A ROS time of `stamp` ns."""
    return Time(sec=stamp // 1_000_000_000, nanosec=stamp % 1_000_000_000)


def nanoseconds(stamp: Time) -> int:
    """A ROS time in ns."""
    return stamp.sec * 1_000_000_000 + stamp.nanosec


def _ignore(_: Any) -> None:
    return None
