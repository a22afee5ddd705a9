"""The learner node: takes experience in, acknowledges it, learns in blocks, latches the weights."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path

from diagnostic_msgs.msg import KeyValue
from std_msgs.msg import UInt8MultiArray

from controllers.arms import ros_io
from robot_rl.actors import register_file
from robot_rl.data.delivery import Inbox
from robot_rl.data.parcel import Answer
from robot_rl.data.register import Register
from robot_rl.exceptions import DataError, DiskError
from robot_rl.learner import Learner
from robot_rl.metrics import MetricsWriter
from robot_rl.nets.compile import enable_compile_cache
from robot_rl.nodes import protocol
from robot_rl.nodes.base import PATIENT, Host, hosting, settle_memory
from robot_rl.nodes.transport import weights_message
from robot_rl.nodes.worker import Worker
from robot_rl.training import BlockReport, make_learner, schema_of


class Intake:
    """Takes parcels in and answers them, in a thread of its own: a learner at work keeps nobody waiting.

    came: set when something has come.
    """

    def __init__(self, host: Host, inbox: Inbox) -> None:
        self.inbox = inbox
        self.came = threading.Event()
        self._log = host.node.get_logger()
        self._listener = ros_io.Listener(host.node)
        self._feed = self._listener.subscribe(UInt8MultiArray, protocol.EXPERIENCE, ros_io.EXPERIENCE)
        self._answers = host.node.create_publisher(KeyValue, protocol.ACKNOWLEDGED, ros_io.ACKNOWLEDGED)
        self._worker = Worker(host, "intake", self._turn)

    def check(self) -> None:
        """Raise what ended the thread, for a person to mend."""
        self._worker.check()

    def finish(self) -> None:
        """End the thread, once what has come was taken in."""
        self.close()
        self._take_in()

    def close(self) -> None:
        """End the thread."""
        self._worker.close()

    def answer(self) -> None:
        """Tell every actor that was heard what is wanted now: there is room again, or a checkpoint."""
        self._publish(self.inbox.answers())

    def _turn(self) -> None:
        self._listener.wait([self._feed], 0.1)
        self._take_in()

    def _take_in(self) -> None:
        """Take what has come; each sender gets one answer for all of it."""
        answers: dict[tuple[str, str], Answer] = {}
        while (message := self._feed.take()) is not None:
            try:
                answer = self.inbox.accept(message.data.tobytes())
            except DiskError:
                raise
            except DataError as error:
                self._log.error(str(error), throttle_duration_sec=1.0)
                continue
            if answer.refusal:
                self._log.error(answer.refusal, throttle_duration_sec=1.0)
            answers[answer.actor, answer.journal] = answer
        self._publish(answers.values())
        if answers:
            self.came.set()

    def _publish(self, answers: Iterable[Answer]) -> None:
        for answer in answers:
            self._answers.publish(KeyValue(key=answer.actor, value=answer.to_text()))


class LearnerNode:
    """A learner behind its topics."""

    def __init__(self, host: Host, learner: Learner, report: BlockReport) -> None:
        self._host, self._learner, self._report = host, learner, report
        identity = host.run.identity
        self._inbox = Inbox(schema_of(host.config), learner, Register(register_file(host.run)), identity)
        self._weights = host.node.create_publisher(UInt8MultiArray, protocol.WEIGHTS, ros_io.WEIGHTS)
        self._publish()
        self._intake = Intake(host, self._inbox)

    def run(self) -> None:
        """Serve until interrupted."""
        while True:
            self._host.listener.check()
            self._intake.check()
            if self._learner.ready():
                self._learn_block()
            elif self._inbox.owes_checkpoint:
                self._report.save(self._learner)
                self._intake.answer()
            elif self._intake.came.wait(0.1):
                self._intake.came.clear()
            self._tell()

    def finish(self) -> None:
        """Learn what is due: a lockstep run ends with the same weights whenever the end was noticed."""
        self._intake.finish()
        # an offline agent's blocks are the whole of it
        while (self._host.lockstep or self._learner.offline) and self._learner.ready():
            self._learn_block()

    def close(self) -> None:
        """Take nothing more: what is behind the topics may go."""
        self._intake.close()

    def _learn_block(self) -> None:
        metrics = self._learner.update_block()
        self._publish()
        self._intake.answer()
        self._report(self._learner, metrics)

    def _publish(self) -> None:
        self._weights.publish(weights_message(self._learner.policy_bytes(), self._host.run.identity))

    def _tell(self) -> None:
        """What diagnostics say: versions and pace, what every actor has yet to bring, what was refused and why."""
        refused, updates = dict(self._inbox.refused), self._learner.refusals.total
        bad = [f"refused {sum(refused.values())} parcels"] if refused else []
        bad += [f"refused {updates} updates, whose numbers were not finite"] if updates else []
        forgotten = self._learner.experience.online.labels_dropped
        self._host.status(
            "warn" if bad else "ok",
            " and ".join(bad) or "learning",
            received=self._learner.received,
            version=self._learner.version,
            **self._learner.pacing,
            **{f"behind: {actor}": count for actor, count in self._inbox.behind().items()},
            **{f"refused: {reason}": count for reason, count in refused.items()},
            **({"refused: updates": updates} if updates else {}),
            **({"labels of no episode": forgotten} if forgotten else {}),
        )


def main(run: Path, ros_args: list[str]) -> None:
    """Learn until interrupted, then finish what is due and save."""
    enable_compile_cache()
    with hosting("learner", run, ros_args, priority=PATIENT) as host, MetricsWriter(host.run.metrics) as metrics:
        learner = make_learner(host.config, host.run, metrics, host.listener.interrupted.is_set)
        report = BlockReport(host.config, host.run, metrics, learner)
        node = LearnerNode(host, learner, report)
        serve(node, learner, report)


def serve(node: LearnerNode, learner: Learner, report: BlockReport) -> None:
    """Learn until interrupted; then finish what is due, and save."""
    try:
        learner.warm_up()
        settle_memory()
        node.run()
    except KeyboardInterrupt:
        node.finish()
        report.finish(learner)
        raise
    finally:
        node.close()
        learner.close()
