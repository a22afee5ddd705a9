"""The learner node: takes experience in, acknowledges it, learns in blocks, latches the weights."""

from __future__ import annotations

from pathlib import Path

from diagnostic_msgs.msg import KeyValue
from std_msgs.msg import UInt8MultiArray

from controllers.arms import ros_io
from robot_rl.data.delivery import Inbox
from robot_rl.exceptions import DataError
from robot_rl.learner import Learner
from robot_rl.metrics import MetricsWriter
from robot_rl.nets.compile import enable_compile_cache
from robot_rl.nodes import protocol
from robot_rl.nodes.base import PATIENT, Host, bytes_message, hosting, settle_memory
from robot_rl.training import BlockReport, make_learner, schema_of


class LearnerNode:
    """A learner behind its topics."""

    def __init__(self, host: Host, learner: Learner, report: BlockReport) -> None:
        self._host, self._learner, self._report = host, learner, report
        self._inbox = Inbox(schema_of(host.config), learner)
        self._feed = host.listener.subscribe(UInt8MultiArray, protocol.EXPERIENCE, ros_io.EXPERIENCE)
        self._answers = host.node.create_publisher(KeyValue, protocol.ACKNOWLEDGED, ros_io.STATE)
        self._weights = host.node.create_publisher(UInt8MultiArray, protocol.WEIGHTS, ros_io.WEIGHTS)
        self._refused = 0
        self._publish()

    def run(self) -> None:
        """Serve until interrupted."""
        while True:
            if not self._learner.ready():
                self._host.listener.wait([self._feed], 0.5)
            self._host.listener.check()
            self._take_in()
            self._learn_block()

    def finish(self) -> None:
        """Learn what is due: a lockstep run ends with the same weights whenever the end was noticed."""
        self._take_in()
        cloning = self._host.config.agent == "bc"  # its one block is the whole of it
        while (self._host.lockstep or cloning) and self._learner.ready():
            self._learn_block()

    def _take_in(self) -> None:
        wanted: dict[str, int] = {}
        while (message := self._feed.take()) is not None:
            try:
                actor, following = self._inbox.accept(message.data.tobytes())
            except DataError as error:
                self._refused += 1
                self._host.node.get_logger().error(str(error), throttle_duration_sec=1.0)
                continue
            wanted[actor] = following
        for actor, following in wanted.items():
            self._answers.publish(KeyValue(key=actor, value=str(following)))
        if wanted:
            self._host.status(
                "warn" if self._refused else "ok", "learning", received=self._learner.received,
                version=self._learner.version, refused=self._refused,
            )  # fmt: skip

    def _learn_block(self) -> None:
        if self._learner.ready():
            metrics = self._learner.update_block()
            self._publish()
            self._report(self._learner, metrics)

    def _publish(self) -> None:
        self._weights.publish(bytes_message(UInt8MultiArray, self._learner.policy_bytes()))


def main(run: Path, ros_args: list[str]) -> None:
    """Learn until interrupted, then finish what is due and save."""
    enable_compile_cache()
    with hosting("learner", run, ros_args, priority=PATIENT) as host, MetricsWriter(host.run.metrics) as metrics:
        learner = make_learner(host.config, host.run, metrics)
        report = BlockReport(host.config, host.run, metrics, learner)
        node = LearnerNode(host, learner, report)
        try:
            learner.warm_up()
            settle_memory()
            node.run()
        except KeyboardInterrupt:
            node.finish()
            report.save(learner)
            raise
