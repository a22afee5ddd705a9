"""Experience and weights over ROS: what `robot_rl.actor` calls its sink and its source of weights."""

from __future__ import annotations

import time

from diagnostic_msgs.msg import KeyValue
from std_msgs.msg import UInt8MultiArray

from controllers.arms import ros_io
from robot_rl.agents import Policy, policy_from_bytes
from robot_rl.data.delivery import Outbox
from robot_rl.data.journal import Journal
from robot_rl.data.transition import Transition
from robot_rl.exceptions import GraphError
from robot_rl.nodes import protocol
from robot_rl.nodes.base import Host, bytes_message


class Uplink:
    """An actor's steps: into the journal first, then to the learner until it acknowledges them."""

    def __init__(self, host: Host, journal: Journal, actor: str) -> None:
        self._host, self._journal, self._actor = host, journal, actor
        self._outbox = Outbox(journal)
        self._experience = host.node.create_publisher(UInt8MultiArray, protocol.EXPERIENCE, ros_io.EXPERIENCE)
        self.answers = host.listener.subscribe(KeyValue, protocol.ACKNOWLEDGED, ros_io.STATE)

    @property
    def next_sequence(self) -> int:
        """Steps in the journal."""
        return self._journal.next_sequence

    @property
    def pending(self) -> int:
        """Steps that the learner has not acknowledged."""
        return self._outbox.pending

    def send(self, transition: Transition) -> None:
        """Journal a step, and send what is due. Never waits for the learner."""
        self._journal.append(transition)
        self.pump()

    def pump(self) -> None:
        """Take acknowledgements, send what is due."""
        now = time.monotonic()
        while (answer := self.answers.take()) is not None:
            if answer.key == self._actor:
                self._outbox.acknowledge(int(answer.value), now)
        for data in self._outbox.due(now):
            self._experience.publish(bytes_message(UInt8MultiArray, data))

    def flush(self, timeout: float) -> None:
        """Wait until the learner has everything. Raises `GraphError` after `timeout` s."""
        end = time.monotonic() + timeout
        self.pump()
        while self.pending:
            if time.monotonic() > end:
                raise GraphError(
                    f"the learner has not taken the last {self.pending} steps within {timeout:g} s; they are in "
                    "the journal: go on with --resume."
                )
            self._host.listener.wait([self.answers], 0.2)
            self.pump()


class Downlink:
    """The learner's policies. In lockstep the version asked for, waited for; in real time the newest."""

    def __init__(self, host: Host, uplink: Uplink, timeout: float = 300.0) -> None:
        self._host, self._uplink, self._timeout = host, uplink, timeout
        self._feed = host.listener.subscribe(UInt8MultiArray, protocol.WEIGHTS, ros_io.WEIGHTS)
        self._policies: dict[int, Policy] = {}
        self.version = 0

    def any(self) -> Policy:
        """Some policy, as soon as there is one: to compile it ahead of time."""
        self._wait_for(0)
        return self._policies[max(self._policies)]

    def get(self, version: int) -> tuple[Policy, int]:
        """The policy to act with, and its version. Raises `GraphError` when it does not come.

        A learner that came back from a checkpoint past `version` has only newer ones: then the newest.
        """
        self._wait_for(version if self._host.lockstep else 0)
        exact = self._host.lockstep and version in self._policies
        self.version = version if exact else max(self._policies)
        for old in [known for known in self._policies if known < self.version]:
            del self._policies[old]
        return self._policies[self.version], self.version

    def _wait_for(self, version: int) -> None:
        """Until a policy of `version` or later is here."""
        self._take()
        end, told = time.monotonic() + self._timeout, time.monotonic() + 10.0
        while not self._policies or max(self._policies) < version:
            now = time.monotonic()
            if now > end:
                raise GraphError(
                    f"the learner has not published version {version} of the weights within {self._timeout:g} s; "
                    "look at its log, then go on with --resume."
                )
            if now > told:
                self._host.node.get_logger().info(f"waiting for version {version} of the weights")
                told = now + 10.0
            self._host.listener.wait([self._feed, self._uplink.answers], 0.2)
            self._uplink.pump()
            self._take()

    def _take(self) -> None:
        while (message := self._feed.take()) is not None:
            policy, version = policy_from_bytes(message.data.tobytes())
            self._policies[version] = policy
