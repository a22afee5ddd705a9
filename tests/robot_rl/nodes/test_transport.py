"""Experience and weights between nodes in this process."""

import threading
import time
import uuid

import jax
import numpy as np
import pytest

pytest.importorskip("rclpy")

from diagnostic_msgs.msg import KeyValue
from std_msgs.msg import UInt8MultiArray

from controllers.arms import ros_io
from robot_rl.agents.policy import Policy, init_actor
from robot_rl.data.delivery import Inbox
from robot_rl.data.journal import Journal
from robot_rl.data.label import Label
from robot_rl.data.register import Register
from robot_rl.exceptions import DataError, GraphError
from robot_rl.nets.observation import ObservationSpec
from robot_rl.nodes import protocol
from robot_rl.nodes.base import bytes_message
from robot_rl.nodes.learner import Intake
from robot_rl.nodes.transport import Courier, Downlink, Uplink, weights_message
from tests.robot_rl.data import episodes
from tests.robot_rl.data.delivering import FakeLearner, same

SPEC = ObservationSpec((("tool_position", 3),))


def wait_until(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def graph(host, tmp_path, monkeypatch):
    """Both sides of a run: graph.intake(learner), graph.uplink(name), graph.journal(name)."""
    run = str(uuid.uuid4())
    (tmp_path / "identity").write_text(run)

    class Graph:
        identity = run

        def __init__(self):
            self.closing = []

        def host(self, name, **values):
            return host(name, **values)

        def intake(self, learner, images=True):
            made = host("learner", clock="realtime")
            inbox = Inbox(episodes.schema(images), learner, Register(tmp_path / "actors.json"), run)
            intake = Intake(made, inbox)
            self.closing.append(intake.close)
            return intake

        def journal(self, folder, images=True):
            journal = Journal(tmp_path / folder, episodes.schema(images), sync=False)
            self.closing.append(journal.close)
            return journal

        def uplink(self, name, journal):
            uplink = Uplink(host(name, clock="realtime"), journal, name)
            self.closing.insert(0, uplink.close)
            return uplink

    made = Graph()
    yield made
    for close in made.closing:
        close()


def test_several_actors_deliver_to_one_learner_and_labels_travel_the_same_way(graph):
    learner = FakeLearner()
    graph.intake(learner)
    made = {}
    for name in ("actor0", "actor1", "labeller"):
        uplink = graph.uplink(name, graph.journal(name))
        if name == "labeller":
            made[name] = [Label(name, k, 1.0, "e", k, "human", 1, "reward", 1.0) for k in range(30)]
        else:
            made[name] = list(episodes.stream(30, images=True, actor=name))
        for record in made[name]:
            uplink.send(record)
        uplink.flush(60.0)
        assert uplink.pending == 0
    assert set(learner.taken) == set(made)
    for name, records in made.items():
        assert len(learner.taken[name]) == 30
        assert all(map(same, learner.taken[name], records))


def test_an_actor_does_not_wait_for_a_learner_that_is_not_there_and_it_comes_late(graph):
    uplink = graph.uplink("actor0", graph.journal("actor0"))
    made = list(episodes.stream(300, images=True))
    longest = 0.0
    for transition in made:
        began = time.monotonic()
        uplink.send(transition)
        longest = max(longest, time.monotonic() - began)
    assert uplink.pending == 300
    assert longest < 2.0  # a loaded machine; waiting would last as long as the learner is away
    with pytest.raises(GraphError, match=r"has not taken the last 300 records within 0.1 s; .*go on with --resume"):
        uplink.flush(0.1)
    learner = FakeLearner()
    graph.intake(learner)
    uplink.flush(60.0)
    assert all(map(episodes.same, learner.taken["actor0"], made))


def test_an_actor_at_its_end_waits_for_a_checkpoint_and_says_where_none_comes(graph):
    learner = FakeLearner()
    intake = graph.intake(learner)
    uplink = graph.uplink("actor0", graph.journal("actor0"))
    for transition in episodes.stream(5, images=True):
        uplink.send(transition)
    uplink.flush(60.0)
    assert not intake.inbox.owes_checkpoint
    assert not uplink.settle(0.3)
    wait_until(lambda: intake.inbox.owes_checkpoint)
    learner.save()
    intake.answer()
    assert uplink.settle(60.0)


def test_a_lost_journal_is_refused_where_the_owner_hears_it(graph):
    learner = FakeLearner()
    intake = graph.intake(learner)
    first = graph.uplink("actor0", graph.journal("first"))
    for transition in episodes.stream(5, images=True):
        first.send(transition)
    first.flush(60.0)
    first.close()
    second = graph.uplink("actor0", graph.journal("second"))
    with pytest.raises(DataError, match=r"5 records of 'actor0' from journal .*bring the other one back from a copy"):
        second.meet(60.0)
    with pytest.raises(DataError, match="journal"):
        second.send(next(episodes.stream(1, images=True)))
    assert intake.inbox.refused["journal"] >= 1
    assert learner.received == 5


def test_a_learner_of_another_run_is_named_and_takes_nothing(graph, tmp_path):
    learner = FakeLearner()
    graph.intake(learner)
    ours = str(uuid.uuid4())
    (tmp_path / "identity").write_text(ours)
    uplink = graph.uplink("actor0", graph.journal("actor0"))
    wait_until(lambda: uplink.courier.stranger == graph.identity)
    with pytest.raises(GraphError, match=f"does not answer within 0.1 s .a learner of run {graph.identity} does"):
        uplink.meet(0.1)
    assert learner.taken == {}


def test_a_full_learner_holds_the_actor_back_until_it_has_room(graph):
    learner = FakeLearner(room=10)
    intake = graph.intake(learner)
    uplink = graph.uplink("actor0", graph.journal("actor0"))
    for transition in episodes.stream(40, images=True):
        uplink.send(transition)
    wait_until(lambda: learner.received == 10)
    time.sleep(0.3)
    assert learner.received == 10
    learner.room = 100
    intake.answer()
    uplink.flush(60.0)
    assert learner.received == 40


def test_rubbish_on_the_topics_is_counted_and_changes_nothing(graph):
    learner = FakeLearner()
    intake = graph.intake(learner)
    uplink = graph.uplink("actor0", graph.journal("actor0"))
    enemy = graph.host("enemy").node
    experience = enemy.create_publisher(UInt8MultiArray, protocol.EXPERIENCE, ros_io.EXPERIENCE)
    answers = enemy.create_publisher(KeyValue, protocol.ACKNOWLEDGED, ros_io.ACKNOWLEDGED)
    wait_until(lambda: experience.get_subscription_count() and answers.get_subscription_count())
    rng = np.random.default_rng(0)
    for size in (0, 1, 56, 3000):
        experience.publish(bytes_message(UInt8MultiArray, b"RRLP" + rng.bytes(size)))
        answers.publish(KeyValue(key="actor0", value=rng.bytes(size).decode("latin1").replace("\0", "")))
    wait_until(lambda: intake.inbox.refused["damaged"] == 4 and uplink.courier.refused == 4)
    for transition in episodes.stream(5, images=True):
        uplink.send(transition)
    uplink.flush(60.0)
    assert learner.received == 5


def test_a_fault_in_the_thread_ends_the_process(graph):
    class Broken(FakeLearner):
        def receive(self, records):
            raise ZeroDivisionError("a bug")

    intake = graph.intake(Broken())
    host = intake._worker._host
    raised = []
    hook, threading.excepthook = threading.excepthook, lambda arguments: raised.append(arguments.exc_type)
    try:
        uplink = graph.uplink("actor0", graph.journal("actor0"))
        uplink.send(next(episodes.stream(1, images=True)))
        with pytest.raises(KeyboardInterrupt):
            host.listener.sleep(30.0)
        intake._worker._thread.join(10.0)
    finally:
        threading.excepthook = hook
    assert raised == [ZeroDivisionError]
    assert isinstance(host.fault, ZeroDivisionError)


def policy_bytes(version, spec=SPEC, action_dim=2):
    actor = init_actor(jax.random.key(abs(version)), spec, action_dim, (8,))
    return Policy({}, actor, spec, action_dim, (8,)).to_bytes(version)


def test_weights_of_another_run_shape_or_that_are_damaged_are_refused_and_the_old_ones_stay(graph):
    uplink = graph.uplink("actor0", graph.journal("actor0"))
    downlink = Downlink(graph.host("taker", clock="realtime"), uplink, SPEC, 2, timeout=30.0)
    publisher = graph.host("giver").node.create_publisher(UInt8MultiArray, protocol.WEIGHTS, ros_io.WEIGHTS)
    publisher.publish(weights_message(policy_bytes(3), graph.identity))
    assert downlink.get(0)[1] == 3
    good = bytearray(policy_bytes(9))
    good[-1] ^= 1
    broken = Policy(
        {}, jax.tree.map(lambda leaf: np.nan * leaf, init_actor(jax.random.key(0), SPEC, 2, (8,))), SPEC, 2, (8,)
    )
    other = ObservationSpec((("tool_position", 4),))
    refused = (
        weights_message(policy_bytes(7), str(uuid.uuid4())),
        bytes_message(UInt8MultiArray, policy_bytes(8)),
        weights_message(bytes(good), graph.identity),
        weights_message(policy_bytes(10, other), graph.identity),
        weights_message(policy_bytes(11, action_dim=3), graph.identity),
        weights_message(broken.to_bytes(12), graph.identity),
        weights_message(policy_bytes(-1), graph.identity),
    )
    for message in refused:  # one by one: the topic keeps the last three
        before = downlink.refused.total()
        publisher.publish(message)
        wait_until(lambda before=before: downlink.get(0)[1] == 3 and downlink.refused.total() > before)
    assert downlink.refused == {"run": 2, "damaged": 1, "shape": 2, "content": 2}
    publisher.publish(weights_message(policy_bytes(13), graph.identity))
    wait_until(lambda: downlink.get(0)[1] == 13)


def test_one_of_several_actors_waits_in_lockstep_for_what_the_learner_owes(graph):
    owed = [2]
    uplink = graph.uplink("actor0", graph.journal("actor0"))
    downlink = Downlink(graph.host("taker"), uplink, SPEC, 2, owed=lambda: owed[0], timeout=1.0)
    publisher = graph.host("giver").node.create_publisher(UInt8MultiArray, protocol.WEIGHTS, ros_io.WEIGHTS)
    for version in (2, 3):
        publisher.publish(weights_message(policy_bytes(version), graph.identity))
    wait_until(lambda: downlink.get(0)[1] == 3)
    owed[0] = 4
    with pytest.raises(GraphError, match="has not published version 4 of the weights within 1 s"):
        downlink.get(0)


def test_a_courier_of_any_journal_can_be_closed_at_once(graph):
    courier = Courier(graph.host("labels"), graph.journal("labels"), "labels")
    courier.close()
    courier.check()
    assert courier.outbox.pending == 0
