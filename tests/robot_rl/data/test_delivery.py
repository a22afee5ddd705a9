"""Delivery over a channel that loses, repeats, reorders and damages, with either side crashing at any time."""

import dataclasses
import itertools
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from robot_rl.data.delivery import LONGEST, Inbox, Outbox
from robot_rl.data.parcel import Answer, Parcel
from robot_rl.data.register import Register, journal_identity
from robot_rl.exceptions import DataError
from tests.robot_rl.data import episodes
from tests.robot_rl.data.delivering import LEFT, OTHER, RUN, Actor, FakeLearner, answer, deliver_all, records, same


class World:
    """Two actors, a learner with a checkpoint, and the messages on their way."""

    def __init__(self, folder, images):
        self.schema, self.folder = episodes.schema(images), folder
        self.actors = {name: Actor(folder, name, images) for name in ("left", "right")}
        self.checkpoint = {}
        self.begin_learner()
        self.data, self.answers = [], []

    def begin_learner(self):
        self.learner = FakeLearner(self.checkpoint)
        self.inbox = Inbox(self.schema, self.learner, Register(self.folder / "register.json"), RUN)

    def apply(self, kind, actor, choice):
        actor = self.actors[("left", "right")[actor]]
        queue = self.data if kind.startswith("data") else self.answers
        if kind == "step":
            actor.step()
        elif kind == "label":
            actor.label()
        elif kind == "send":
            actor.now += 0.4
            self.data += actor.due(actor.now)
        elif kind == "hours pass":
            actor.now += 10_000.0
        elif kind == "crash actor":
            actor.restart(b"\x05" * choice)
        elif kind == "checkpoint":
            self.checkpoint = {name: list(taken) for name, taken in self.learner.taken.items()}
        elif kind == "crash learner":
            self.begin_learner()
        elif kind == "room":
            self.learner.room = self.learner.received + choice // 8
            self.answers += [answer.to_text() for answer in self.inbox.answers()]
        elif queue:
            chosen = queue[choice % len(queue)] if "repeat" in kind else queue.pop(choice % len(queue))
            if "damage" in kind:
                self.damage(chosen, choice)
            elif "lose" not in kind:
                self.deliver(chosen)

    def damage(self, chosen, choice):
        """Flip a bit: nothing may come of it."""
        before = self.learner.received
        data = bytearray(chosen.encode() if isinstance(chosen, str) else chosen)
        data[(7919 * choice) % len(data)] ^= 1 << choice % 8
        read = self.inbox.accept if isinstance(chosen, bytes) else lambda data: Answer.from_text(data.decode("latin1"))
        with pytest.raises(DataError):
            read(bytes(data))
        assert self.learner.received == before

    def deliver(self, chosen):
        if isinstance(chosen, bytes):
            answer = self.inbox.accept(chosen)
            assert not answer.refusal
            self.answers.append(answer.to_text())
        else:
            for actor in self.actors.values():  # everybody hears every answer
                actor.outbox.take(Answer.from_text(chosen), actor.now)

    def settle(self):
        """A channel that works, in order, for 60 s at most."""
        self.learner.room = 10**9
        for _ in range(150):
            for actor in self.actors.values():
                actor.now += 0.4
                self.data += actor.due(actor.now)
            while self.data or self.answers:
                self.deliver(self.data.pop(0) if self.data else self.answers.pop(0))

    def check_order(self):
        for name, taken in self.learner.taken.items():
            assert all(map(same, taken, self.actors[name].made))


KINDS = ["step", "label", "send", "hours pass", "crash actor", "checkpoint", "crash learner", "room"] + [
    f"{queue} {fate}" for queue in ("data", "answer") for fate in ("pass", "pass", "lose", "repeat", "damage")
]
ACTIONS = st.lists(
    st.tuples(st.sampled_from([*KINDS, "step", "step", "send", "send"]), st.integers(0, 1), st.integers(0, 40)),
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


def test_the_actor_asks_first_and_the_window_bounds_what_is_on_its_way(actor):
    for _ in range(50):
        actor.step()
    [question] = map(Parcel.from_bytes, actor.due(0.0))
    assert (question.record, question.end) == (b"", 50)
    actor.outbox.take(answer(actor, 1), 0.1)
    assert len(actor.due(0.1)) == 5
    assert actor.due(0.2) == []
    actor.outbox.take(answer(actor, 4), 0.3)
    assert len(actor.due(0.3)) == 3
    assert actor.outbox.pending == 46


def test_bytes_on_their_way_are_bounded_too(actor):
    for _ in range(9):
        actor.step()
    identity, size = journal_identity(actor.folder), len(actor.journal.message(0))
    actor.outbox = Outbox(actor.journal, run=RUN, identity=identity, actor="left", size=2 * size)
    actor.due(0.0)
    actor.outbox.take(answer(actor, 0), 0.0)
    assert len(records(actor.due(0.0))) == 2
    actor.outbox.take(answer(actor, 1), 0.0)
    assert len(records(actor.due(0.0))) == 1


def test_frames_are_joined_without_going_back(tmp_path, make_inbox):
    actor = Actor(tmp_path, "left", images=True)
    learner = FakeLearner()
    inbox = make_inbox(learner, images=True)
    for _ in range(9):
        actor.step()
        for _ in range(2):
            for message in actor.due(0.0):
                actor.outbox.take(inbox.accept(message), 0.0)
    assert all(map(episodes.same, learner.taken["left"], actor.made))
    assert learner.next_sequence("left") == 9


def test_silence_makes_it_go_back_less_and_less_often(actor):
    for _ in range(3):
        actor.step()
    actor.outbox.take(answer(actor, 0), 0.0)
    first = actor.due(0.1)
    assert len(records(first)) == 3
    assert actor.due(0.9) == []
    times = [t / 10 for t in range(1, 1000) if actor.due(t / 10)]
    gaps = [round(later - sooner, 1) for sooner, later in itertools.pairwise(times)]
    assert times[0] == 1.0
    assert gaps == sorted(gaps)
    assert gaps[0] == 2.0
    assert gaps[-1] == LONGEST


def test_a_lower_answer_makes_it_go_back_at_once_and_a_higher_one_skip(actor):
    for _ in range(9):
        actor.step()
    messages = [actor.journal.message(sequence) for sequence in range(9)]
    actor.due(0.0)
    actor.outbox.take(answer(actor, 6), 0.0)
    assert records(actor.due(0.0)) == messages[6:]
    actor.outbox.take(answer(actor, 2), 0.1)
    assert records(actor.due(0.1)) == messages[2:7]
    actor.outbox.take(answer(actor, 0), 0.2)
    actor.outbox.take(answer(actor, 8), 0.2)
    assert records(actor.due(0.2)) == messages[8:]


def test_a_full_learner_is_asked_and_not_flooded(actor, make_inbox):
    for _ in range(30):
        actor.step()
    learner = FakeLearner(room=7)
    inbox = make_inbox(learner)
    sent = 0
    for tick in range(100):
        for message in actor.due(0.1 * tick):
            sent += bool(Parcel.from_bytes(message).record)
            actor.outbox.take(inbox.accept(message), 0.1 * tick)
    assert learner.next_sequence("left") == 7
    assert sent <= 12
    learner.room = 30
    [told] = inbox.answers()
    actor.outbox.take(told, 10.0)
    for _ in range(10):
        for message in actor.due(10.0):
            actor.outbox.take(inbox.accept(message), 10.0)
    assert learner.next_sequence("left") == 30


def test_a_finished_actor_serves_a_learner_that_lost_its_tail(actor, make_inbox):
    for _ in range(9):
        actor.step()
    learner = FakeLearner()
    for life in range(3):
        learner = FakeLearner({"left": learner.taken.get("left", [])[:-3]})
        inbox = make_inbox(learner)
        for tick in range(20):
            now = 20.0 * life + tick
            for message in actor.due(now):
                actor.outbox.take(inbox.accept(message), now)
        assert learner.next_sequence("left") == 9


def test_an_answer_beyond_the_journal_is_an_error(actor):
    with pytest.raises(DataError, match="the learner has 1 records of 'left', whose journal ends before 0"):
        actor.outbox.take(answer(actor, 1), 0.0)


def test_answers_to_others_are_not_heard(actor):
    actor.step()
    mine = answer(actor, 1)
    for other in ({"actor": "right"}, {"journal": LEFT}, {"run": OTHER}):
        assert not actor.outbox.take(dataclasses.replace(mine, refusal="no", **other), 0.0)
    assert not actor.outbox.answered
    assert actor.outbox.take(mine, 0.0)
    assert actor.outbox.pending == 0


def test_labels_of_a_labeller_travel_the_same_way(tmp_path, make_inbox):
    labeller, learner = Actor(tmp_path, "labeller", images=False), FakeLearner()
    for _ in range(12):
        labeller.label()
    deliver_all(labeller, make_inbox(learner))
    assert learner.taken["labeller"] == labeller.made


def test_a_finished_actor_hears_when_a_checkpoint_has_everything(actor, make_inbox):
    learner = FakeLearner()
    inbox = make_inbox(learner)
    for _ in range(4):
        actor.step()
    deliver_all(actor, inbox)
    assert actor.outbox.pending == 0 and actor.outbox.durable == 0
    assert not inbox.owes_checkpoint  # nobody waits for one
    actor.outbox.finish()
    [question] = map(Parcel.from_bytes, actor.due(10.0))  # at once, and not when the silence has lasted long enough
    assert question.finished and not question.record
    inbox.accept(question.to_bytes())
    assert inbox.owes_checkpoint
    learner.save()
    assert not inbox.owes_checkpoint
    [told] = inbox.answers()
    actor.outbox.take(told, 10.1)
    assert actor.outbox.durable == 4


def test_a_learner_owes_no_checkpoint_of_what_it_lacks_or_to_one_that_goes_on(actor, make_inbox):
    learner = FakeLearner()
    inbox = make_inbox(learner)
    for _ in range(3):
        actor.step()
    actor.outbox.finish()
    for message in actor.due(0.0):
        actor.outbox.take(inbox.accept(message), 0.0)
    assert not inbox.owes_checkpoint  # it has yet to take the three
    deliver_all(actor, inbox)
    assert inbox.owes_checkpoint
    actor.restart(b"")
    actor.step()
    deliver_all(actor, inbox)
    assert not inbox.owes_checkpoint
