"""Experience and weights over ROS: what `robot_rl.actor` calls its sink and its source of weights."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

import jax
import numpy as np
from diagnostic_msgs.msg import KeyValue
from std_msgs.msg import MultiArrayDimension, UInt8MultiArray

from controllers.arms import ros_io
from robot_rl.agents import Policy, policy_from_bytes
from robot_rl.data.delivery import Outbox
from robot_rl.data.journal import Journal
from robot_rl.data.label import Record
from robot_rl.data.parcel import Answer
from robot_rl.data.register import journal_identity
from robot_rl.exceptions import DataError, GraphError
from robot_rl.nets.observation import ObservationSpec
from robot_rl.nodes import protocol
from robot_rl.nodes.base import Host, bytes_message
from robot_rl.nodes.worker import Worker
from robot_rl.spaces import describe, differences

POLL = 0.02
"""Longest time, s, in which the courier notices neither an answer nor a new record."""


class Courier:
    """Brings the records of a journal to the learner, in a thread of its own, whatever its owner is doing.

    refused: answers that were damaged; `stranger`: the run of a learner that answers but is not ours, else empty.
    """

    def __init__(self, host: Host, journal: Journal, actor: str) -> None:
        node = host.node
        self.outbox = Outbox(journal, run=host.run.identity, identity=journal_identity(journal.folder), actor=actor)
        self.refused = 0
        self.stranger = ""
        self._run = host.run.identity
        self._log = node.get_logger()
        self._listener = ros_io.Listener(node)  # of this thread: the host's belongs to the main one
        self._answers = self._listener.subscribe(KeyValue, protocol.ACKNOWLEDGED, ros_io.ACKNOWLEDGED)
        self._publisher = node.create_publisher(UInt8MultiArray, protocol.EXPERIENCE, ros_io.EXPERIENCE)
        self._changed = threading.Event()
        self._worker = Worker(host, "courier", self._turn)

    def wake(self) -> None:
        """There is a new record."""
        self._changed.set()

    def check(self) -> None:
        """Raise `DataError` where the learner takes nothing from this journal: why, for a person to mend."""
        self._worker.check()

    def close(self) -> None:
        """End the thread; what was not delivered is in the journal."""
        self._changed.set()
        self._worker.close()

    def _turn(self) -> None:
        self._hear()
        if not self._send():
            self._pause()

    def _send(self) -> bool:
        """Send one parcel, if one is due."""
        parcel = self.outbox.due(time.monotonic())
        if parcel is None:
            return False
        message = bytes_message(UInt8MultiArray, parcel.to_bytes())
        message.layout.data_offset = parcel.offset
        self._publisher.publish(message)
        return True

    def _pause(self) -> None:
        if self.outbox.blocked:
            self._listener.wait([self._answers], POLL)
        elif self._changed.wait(POLL):
            self._changed.clear()

    def _hear(self) -> None:
        """Take the answers that have come."""
        while (message := self._answers.take()) is not None:
            try:
                answer = Answer.from_text(message.value)
            except DataError as error:
                self.refused += 1
                self._log.warning(str(error), throttle_duration_sec=1.0)
                continue
            if self.outbox.take(answer, time.monotonic()):
                self.stranger = ""
            elif answer.run != self._run:
                self.stranger = answer.run


class Uplink:
    """An actor's steps: into the journal, and from there to the learner until it acknowledges them."""

    def __init__(self, host: Host, journal: Journal, actor: str) -> None:
        self._host, self._journal = host, journal
        self.courier = Courier(host, journal, actor)

    @property
    def steps(self) -> int:
        """Transitions in the journal."""
        return self._journal.steps

    @property
    def next_sequence(self) -> int:
        """Records in the journal."""
        return self._journal.next_sequence

    @property
    def pending(self) -> int:
        """Records that the learner has not acknowledged."""
        return self.courier.outbox.pending

    @property
    def received(self) -> int:
        """Transitions that the learner had of all actors when it last answered."""
        return self.courier.outbox.received

    def send(self, record: Record) -> None:
        """Journal a record; the courier sends it, nobody waits. Raises `DataError` if the learner refuses us."""
        self._journal.append(record)  # first: the robot has made this step, whatever the learner says
        self.courier.wake()
        self.courier.check()

    def meet(self, timeout: float) -> None:
        """Wait until the learner has answered, so that it is known to take our steps. Raises `GraphError`."""
        self._wait(lambda: self.courier.outbox.answered, timeout, "the learner does not answer")

    def flush(self, timeout: float) -> None:
        """Wait until the learner has everything. Raises `GraphError` after `timeout` s."""
        self._wait(lambda: not self.pending, timeout, "the learner has not taken the last {pending} records")

    def settle(self, timeout: float) -> bool:
        """Wait, once it is flushed, until a checkpoint of the learner has everything; False where none has in time.

        Until then it is in the learner's memory, and in our journal.
        """
        self.courier.outbox.finish()
        self.courier.wake()
        return self._comes(lambda: self.courier.outbox.durable >= self.next_sequence, timeout)

    def close(self) -> None:
        """Stop delivering."""
        self.courier.close()

    @property
    def _progress(self) -> tuple[int, int]:
        return self.pending, self.received

    def _wait(self, done: Callable[[], bool], timeout: float, trouble: str) -> None:
        if not self._comes(done, timeout):
            other = f" (a learner of run {self.courier.stranger} does)" if self.courier.stranger else ""
            raise GraphError(
                f"{trouble.format(pending=self.pending)} within {timeout:g} s{other}; what was recorded is in "
                f"{self._journal.folder}: look at the learner's log, then go on with --resume."
            )

    def _comes(self, done: Callable[[], bool], timeout: float) -> bool:
        """Whether `done()` within `timeout` s after the last sign of progress: a learner may take long to catch up."""
        end, before = time.monotonic() + timeout, self._progress
        while not done():
            self.courier.check()
            if self._progress != before:
                end, before = time.monotonic() + timeout, self._progress
            if time.monotonic() > end:
                return False
            self._host.listener.sleep(POLL)
        return True


class Downlink:
    """The learner's policies. In lockstep the version asked for, waited for; in real time the newest.

    spec, action_dim: of the policies that can act here. owed: for one of several actors, the version that the learner
    owes for what it has of all of them: that one or any newer is waited for in lockstep, not the version asked for.
    refused: messages that were not taken, by reason; each of them changed nothing else.
    """

    def __init__(
        self,
        host: Host,
        uplink: Uplink,
        spec: ObservationSpec,
        action_dim: int,
        *,
        owed: Callable[[], int] | None = None,
        timeout: float = 300.0,
    ) -> None:
        self._host, self._uplink, self._owed, self._timeout = host, uplink, owed, timeout
        self._spec, self._action_dim = spec, action_dim
        self._feed = host.listener.subscribe(UInt8MultiArray, protocol.WEIGHTS, ros_io.WEIGHTS)
        self._policies: dict[int, Policy] = {}
        self.refused: Counter[str] = Counter()
        self.version = 0

    def get(self, version: int) -> tuple[Policy, int]:
        """The policy to act with, and its version. Raises `GraphError` when it does not come.

        A learner that came back from a checkpoint past `version` has only newer ones: then the newest.
        """
        wanted = version if self._owed is None else self._owed()
        self._wait_for(wanted if self._host.lockstep else 0)
        exact = self._host.lockstep and self._owed is None and version in self._policies
        self.version = version if exact else max(self._policies)
        for old in [known for known in self._policies if known < self.version]:
            del self._policies[old]
        return self._policies[self.version], self.version

    def _wait_for(self, version: int) -> None:
        """Until a policy of `version` or later is here."""
        self._take()
        end, told = time.monotonic() + self._timeout, time.monotonic() + 10.0
        newest = max(self._policies, default=-1)
        while not self._policies or max(self._policies) < version:
            self._uplink.courier.check()
            now = time.monotonic()
            if max(self._policies, default=-1) != newest:  # it is catching up
                end, newest = now + self._timeout, max(self._policies)
            if now > end:
                raise GraphError(
                    f"the learner has not published version {version} of the weights within {self._timeout:g} s; "
                    "look at its log, then go on with --resume."
                )
            if now > told:
                self._host.node.get_logger().info(f"waiting for version {version} of the weights")
                told = now + 10.0
            self._host.listener.wait([self._feed], 0.2)
            self._take()

    def _take(self) -> None:
        while (message := self._feed.take()) is not None:
            try:
                self._accept(message)
            except DataError as error:
                self._host.node.get_logger().error(f"weights refused: {error}", throttle_duration_sec=1.0)

    def _accept(self, message: UInt8MultiArray) -> None:
        """Take a policy in. Raises `DataError`, and counts why, where it is none that can act here."""
        run = message.layout.dim[0].label if message.layout.dim else ""
        if run != self._host.run.identity:
            self.refused["run"] += 1
            raise DataError(f"they are of run {run or 'unknown'}, not {self._host.run.identity}")
        try:
            policy, version = policy_from_bytes(message.data.tobytes())
        except DataError:
            self.refused["damaged"] += 1
            raise
        here, there = describe(self._spec, self._action_dim), describe(policy.spec, policy.action_dim)
        if odd := differences(here, there, "the weights"):
            self.refused["shape"] += 1
            raise DataError(f"version {version} is for other observations or actions than this actor's: {odd}")
        if version < 0 or not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(policy)):
            self.refused["content"] += 1
            raise DataError(f"version {version} holds NaN or infinity, or no version counts from there")
        self._policies[version] = policy


def weights_message(data: bytes, run: str) -> UInt8MultiArray:
    """A policy's bytes, with the run that they are of as the label of their dimension."""
    message = bytes_message(UInt8MultiArray, data)
    message.layout.dim = [MultiArrayDimension(label=run, size=len(data), stride=len(data))]
    return message
