"""The learner node between a sender of its run and others."""

import uuid

import pytest

pytest.importorskip("rclpy")

from diagnostic_msgs.msg import KeyValue
from std_msgs.msg import UInt8MultiArray

from benchmarks.stand_in import Script, make_idle_learner, prepare
from controllers.arms import ros_io
from robot_rl.agents import policy_from_bytes
from robot_rl.checkpoint import checkpoint_names, read_checkpoint
from robot_rl.data.codec import encode
from robot_rl.data.parcel import Answer, Parcel
from robot_rl.metrics import MetricsWriter
from robot_rl.nodes import protocol
from robot_rl.nodes.base import bytes_message
from robot_rl.nodes.learner import LearnerNode
from robot_rl.training import BlockReport, schema_of
from tests.robot_rl.nodes.test_transport import wait_until


@pytest.fixture
def run(tmp_path):
    return prepare(tmp_path / "run")


@pytest.fixture
def served(host, background, run):
    """The node in a thread of its own, and its host."""
    made = host("learner", clock="realtime")
    made.run, made.config = run, run.config()
    with MetricsWriter(run.metrics) as metrics:
        learner = make_idle_learner(made.config, run)
        node = LearnerNode(made, learner, BlockReport(made.config, run, metrics, learner))
        background(made, node.run)
        yield made
        node._intake.close()
        learner.close()


def test_diagnostics_say_what_was_taken_what_is_missing_and_what_was_refused(host, served, run):
    schema, journal = schema_of(run.config()), str(uuid.uuid4())
    script = Script(schema, "actor0", run.identity)
    sender = host("sender", clock="realtime")
    publisher = sender.node.create_publisher(UInt8MultiArray, protocol.EXPERIENCE, ros_io.EXPERIENCE)
    weights = sender.listener.subscribe(UInt8MultiArray, protocol.WEIGHTS, ros_io.WEIGHTS)
    wait_until(publisher.get_subscription_count)

    def send(sequence, **values):
        record = encode(script.transition(sequence), schema)
        parcel = {"run": run.identity, "journal": journal, "actor": "actor0", "end": 40, "record": record} | values
        publisher.publish(bytes_message(UInt8MultiArray, Parcel(**parcel).to_bytes()))

    for sequence in range(15):
        send(sequence)
    send(0, run=str(uuid.uuid4()))
    send(0, journal=str(uuid.uuid4()))
    publisher.publish(bytes_message(UInt8MultiArray, b"rubbish"))
    expected = {"received": 15, "version": 1, "utd": 3.636, "blocks_due": 0, "behind: actor0": 25}
    refused = {"refused: run": 1, "refused: journal": 1, "refused: damaged": 1}
    wait_until(lambda: served.report == ("warn", "refused 3 parcels", expected | refused))

    messages = []
    wait_until(lambda: (message := weights.take()) is not None and not messages.append(message) and len(messages) == 2)
    assert [message.layout.dim[0].label for message in messages] == [run.identity] * 2
    assert [policy_from_bytes(message.data.tobytes())[1] for message in messages] == [0, 1]


def test_an_actor_that_has_finished_gets_a_checkpoint_of_all_that_it_made(host, served, run):
    """What is acknowledged may be in memory alone; the next checkpoint would come after 200 steps."""
    schema, journal = schema_of(run.config()), str(uuid.uuid4())
    script = Script(schema, "actor0", run.identity)
    sender = host("sender", clock="realtime")
    publisher = sender.node.create_publisher(UInt8MultiArray, protocol.EXPERIENCE, ros_io.EXPERIENCE)
    answers = sender.listener.subscribe(KeyValue, protocol.ACKNOWLEDGED, ros_io.ACKNOWLEDGED)
    wait_until(publisher.get_subscription_count)

    def send(record, finished):
        parcel = Parcel(run.identity, journal, "actor0", 15, record, finished)
        publisher.publish(bytes_message(UInt8MultiArray, parcel.to_bytes()))

    heard = []

    def has_heard(wanted, durable):
        heard.extend(Answer.from_text(message.value) for message in iter(answers.take, None))
        return any((answer.wanted, answer.durable) == (wanted, durable) for answer in heard)

    for sequence in range(15):
        send(encode(script.transition(sequence), schema), finished=False)
    wait_until(lambda: has_heard(15, 0))
    assert not checkpoint_names(run.checkpoints)
    send(b"", finished=True)
    wait_until(lambda: has_heard(15, 15))
    [name] = checkpoint_names(run.checkpoints)
    assert read_checkpoint(run.checkpoints / name).state["next_sequence"] == {"actor0": 15}
