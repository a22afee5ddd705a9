"""Delivery over a channel that loses, repeats and reorders, with either side crashing at any time."""

import dataclasses
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from robot_rl.data.codec import encode
from robot_rl.data.delivery import Inbox, Outbox
from robot_rl.data.journal import Journal
from robot_rl.exceptions import DataError
from tests.robot_rl.data import episodes


class FakeLearner:
    """Takes what is next in sequence, as the learner does, and keeps it."""

    def __init__(self, taken=()):
        self.taken = {actor: list(transitions) for actor, transitions in dict(taken).items()}

    def next_sequence(self, actor):
        return len(self.taken.get(actor, ()))

    def receive(self, transitions):
        for transition in transitions:
            assert transition.sequence == self.next_sequence(transition.actor), "the inbox let a wrong one pass"
            self.taken.setdefault(transition.actor, []).append(transition)
        return len(transitions)


class Actor:
    """A journal, its outbox and the transitions that went in."""

    def __init__(self, folder, name, images):
        self.folder, self.name, self.images = folder / name, name, images
        self.made, self.lives, self.now = [], 0, 0.0
        self.journal = None
        self.restart(b"")

    def restart(self, torn):
        if self.journal is not None:
            newest = self.folder / f"{self.lives - 1:05d}.mcap"
            self.journal.close()
            with newest.open("ab") as stream:
                stream.write(torn)
        self.journal = Journal(self.folder, episodes.schema(self.images), sync=False)
        self.lives += 1
        self.outbox = Outbox(self.journal, window=5)
        self.source = episodes.stream(10_000, self.images, self.lives, 3, self.name, self.journal.next_sequence)

    def step(self):
        transition = next(self.source)
        self.journal.append(transition)
        self.made.append(transition)


class World:
    """Two actors, a learner with a checkpoint, and the messages on their way."""

    def __init__(self, folder, images):
        self.schema = episodes.schema(images)
        self.actors = {name: Actor(folder, name, images) for name in ("left", "right")}
        self.checkpoint, self.learner = {}, FakeLearner()
        self.inbox = Inbox(self.schema, self.learner)
        self.data, self.answers = [], []

    def apply(self, kind, actor, choice):
        actor = self.actors[("left", "right")[actor]]
        queue = self.data if kind.startswith("data") else self.answers
        if kind == "step":
            actor.step()
        elif kind == "send":
            actor.now += 0.4
            self.data += actor.outbox.due(actor.now)
        elif kind == "crash actor":
            actor.restart(b"\x05" * choice)
        elif kind == "checkpoint":
            self.checkpoint = {name: list(taken) for name, taken in self.learner.taken.items()}
        elif kind == "crash learner":
            self.learner = FakeLearner(self.checkpoint)
            self.inbox = Inbox(self.schema, self.learner)
        elif queue:
            chosen = queue[choice % len(queue)] if "repeat" in kind else queue.pop(choice % len(queue))
            if "lose" not in kind:
                self.deliver(chosen)

    def deliver(self, chosen):
        if isinstance(chosen, bytes):
            self.answers.append(self.inbox.accept(chosen))
        else:
            name, wanted = chosen
            self.actors[name].outbox.acknowledge(wanted, self.actors[name].now)

    def settle(self):
        """A channel that works, in order, for 30 s at most."""
        for _ in range(75):
            for actor in self.actors.values():
                actor.now += 0.4
                self.data += actor.outbox.due(actor.now)
            while self.data or self.answers:
                self.deliver(self.data.pop(0) if self.data else self.answers.pop(0))

    def check_order(self):
        for name, taken in self.learner.taken.items():
            assert all(map(episodes.same, taken, self.actors[name].made))


KINDS = ["step", "send", "crash actor", "checkpoint", "crash learner"] + [
    f"{queue} {fate}" for queue in ("data", "answer") for fate in ("pass", "pass", "lose", "repeat")
]
ACTIONS = st.lists(
    st.tuples(st.sampled_from([*KINDS, "step", "send", "send"]), st.integers(0, 1), st.integers(0, 40)),
    min_size=20,
    max_size=120,
)


@pytest.mark.parametrize("images", [False, True])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(actions=ACTIONS)
def test_nothing_is_lost_doubled_or_out_of_order(images, actions):
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), images)
        for action in actions:
            world.apply(*action)
            world.check_order()
        world.settle()
        world.check_order()
        for name, actor in world.actors.items():
            assert world.learner.next_sequence(name) == len(actor.made)
            assert actor.outbox.pending == 0


@pytest.fixture
def actor(tmp_path):
    return Actor(tmp_path, "left", images=False)


def test_the_actor_does_not_wait_and_the_window_bounds_what_is_on_its_way(actor):
    for _ in range(50):
        actor.step()
    outbox = actor.outbox
    assert len(outbox.due(0.0)) == 1  # asks first
    outbox.acknowledge(1, 0.1)
    assert len(outbox.due(0.1)) == 5
    assert outbox.due(0.2) == []
    outbox.acknowledge(4, 0.3)
    assert len(outbox.due(0.3)) == 3
    assert outbox.pending == 46


def test_frames_are_joined_without_going_back(tmp_path):
    actor = Actor(tmp_path, "left", images=True)
    learner = FakeLearner()
    inbox = Inbox(episodes.schema(images=True), learner)
    for _ in range(9):
        actor.step()
        for message in actor.outbox.due(0.0):
            actor.outbox.acknowledge(inbox.accept(message)[1], 0.0)
    assert all(map(episodes.same, learner.taken["left"], actor.made))
    assert learner.next_sequence("left") == 9


def test_silence_makes_it_go_back(actor):
    for _ in range(3):
        actor.step()
    actor.outbox.due(0.0)
    actor.outbox.acknowledge(0, 0.0)
    first = actor.outbox.due(0.1)
    assert len(first) == 3
    assert actor.outbox.due(0.9) == []
    assert actor.outbox.due(1.1) == first


def test_a_lower_answer_makes_it_go_back_at_once_and_a_higher_one_skip(actor):
    for _ in range(9):
        actor.step()
    actor.outbox.acknowledge(6, 0.0)
    messages = [actor.journal.message(sequence) for sequence in range(9)]
    assert actor.outbox.due(0.0) == messages[6:]
    actor.outbox.acknowledge(2, 0.1)
    assert actor.outbox.due(0.1) == messages[2:7]
    actor.outbox.acknowledge(0, 0.2)
    actor.outbox.acknowledge(8, 0.2)
    assert actor.outbox.due(0.2) == messages[8:]


def test_a_finished_actor_serves_a_learner_that_lost_its_tail(actor):
    for _ in range(9):
        actor.step()
    learner = FakeLearner()
    for life in range(3):
        learner = FakeLearner({"left": learner.taken.get("left", [])[:-3]})
        inbox = Inbox(episodes.schema(), learner)
        for tick in range(20):
            now = 20.0 * life + tick
            for message in actor.outbox.due(now):
                _, wanted = inbox.accept(message)
                actor.outbox.acknowledge(wanted, now)
        assert learner.next_sequence("left") == 9


def test_an_answer_beyond_the_journal_is_an_error(actor):
    with pytest.raises(DataError, match="same run"):
        actor.outbox.acknowledge(1, 0.0)


def test_damaged_and_foreign_messages_change_nothing():
    learner = FakeLearner()
    inbox = Inbox(episodes.schema(), learner)
    transition = next(episodes.stream(1))
    good = encode(transition, episodes.schema())
    other = encode(transition, episodes.schema(task="other"))
    for message in (b"", good[:-1], good[:40] + b"\xff" + good[41:], other):
        with pytest.raises(DataError):
            inbox.accept(message)
    assert learner.taken == {}
    ahead = encode(dataclasses.replace(transition, sequence=2), episodes.schema())
    assert inbox.accept(ahead) == ("actor0", 0)
    assert inbox.accept(good) == ("actor0", 1)
    assert inbox.accept(good) == ("actor0", 1)
