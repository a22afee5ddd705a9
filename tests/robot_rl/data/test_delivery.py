"""Delivery over a channel that loses, repeats, reorders and damages, with either side crashing at any time."""

import dataclasses
import itertools
import tempfile
import uuid
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from robot_rl.data.codec import encode
from robot_rl.data.delivery import LONGEST, Inbox, Outbox
from robot_rl.data.journal import Journal
from robot_rl.data.label import Label
from robot_rl.data.parcel import Answer, Parcel
from robot_rl.data.register import Register, journal_identity
from robot_rl.exceptions import DataError, DiskError
from tests.robot_rl.data import episodes

RUN, OTHER = (str(uuid.UUID(int=number)) for number in (1, 2))
LEFT, RIGHT = (str(uuid.UUID(int=number)) for number in (3, 4))


class FakeLearner:
    """Takes what is next in sequence, as the learner does, while it has room."""

    def __init__(self, taken=(), room=10**9):
        self.taken = {actor: list(records) for actor, records in dict(taken).items()}
        self.room = room

    @property
    def received(self):
        return sum(map(len, self.taken.values()))

    @property
    def full(self):
        return self.received >= self.room

    def next_sequence(self, actor):
        return len(self.taken.get(actor, ()))

    def receive(self, records):
        for record in records:
            assert not self.full
            assert record.sequence == self.next_sequence(record.actor), "the inbox let a wrong one pass"
            self.taken.setdefault(record.actor, []).append(record)
        return len(records)


class Actor:
    """A journal, its outbox and the records that went in."""

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
        identity = journal_identity(self.folder)
        self.outbox = Outbox(self.journal, run=RUN, identity=identity, actor=self.name, window=5)
        self.source = episodes.stream(10_000, self.images, self.lives, 3, self.name)

    def step(self):
        """A step, numbered on behind the labels."""
        transition = next(self.source)
        self.keep(dataclasses.replace(transition, sequence=self.journal.next_sequence))

    def label(self):
        number = self.journal.next_sequence
        self.keep(Label(self.name, number, 1.0, "some episode", number, "human", number, "reward", 0.5))

    def keep(self, record):
        self.journal.append(record)
        self.made.append(record)

    def due(self, now):
        """Everything that is due now, as messages."""
        parcels = []
        while (parcel := self.outbox.due(now)) is not None:
            parcels.append(parcel.to_bytes())
        return parcels


def same(one, other):
    return one == other if isinstance(one, Label) else episodes.same(one, other)


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


@pytest.fixture
def actor(tmp_path):
    return Actor(tmp_path, "left", images=False)


@pytest.fixture
def make_inbox(tmp_path):
    """make_inbox(learner, images=..., task=...): an inbox that remembers whose journal is whose."""

    def make(learner, images=False, task="reach", run=RUN):
        return Inbox(episodes.schema(images, task), learner, Register(tmp_path / "register.json"), run)

    return make


def answer(actor, wanted, **values):
    return Answer(RUN, journal_identity(actor.folder), actor.name, wanted, **values)


def records(messages):
    return [parcel.record for parcel in map(Parcel.from_bytes, messages) if parcel.record]


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


def test_damaged_and_foreign_messages_change_nothing(make_inbox):
    learner = FakeLearner()
    inbox = make_inbox(learner)
    transition = next(episodes.stream(1))

    def parcel(schema, **values):
        record = encode(dataclasses.replace(transition, **values), schema)
        return Parcel(RUN, LEFT, "actor0", 9, record).to_bytes()

    good = parcel(episodes.schema())
    for message in (b"", good[:-1], good + b"x", good[:40] + b"\xff" + good[41:], good[:-9] + b"\xff" + good[-8:]):
        with pytest.raises(DataError):
            inbox.accept(message)
    assert inbox.refused == {"damaged": 5}
    assert "schema" in inbox.accept(parcel(episodes.schema(task="other"))).refusal
    assert inbox.refused == {"damaged": 5, "schema": 1}
    assert learner.taken == {}
    assert inbox.accept(parcel(episodes.schema(), sequence=2)).wanted == 0
    assert inbox.accept(good).wanted == 1
    assert inbox.accept(good).wanted == 1
    assert learner.received == 1


def test_a_record_in_another_name_or_one_that_the_learner_cannot_take_is_refused_with_a_sentence(make_inbox):
    class Picky(FakeLearner):
        def receive(self, records):
            raise DataError("its action is odd")

    message = encode(next(episodes.stream(1)), episodes.schema())
    inbox = make_inbox(Picky())
    assert "delivers a record of 'actor0'" in inbox.accept(Parcel(RUN, LEFT, "other", 9, message).to_bytes()).refusal
    refused = inbox.accept(Parcel(RUN, LEFT, "actor0", 9, message).to_bytes())
    assert refused.refusal == "the learner cannot take record 0 of 'actor0': its action is odd"
    assert inbox.refused == {"content": 2}


def test_a_learner_whose_disk_is_full_does_not_blame_the_sender(make_inbox):
    class Full(FakeLearner):
        def receive(self, records):
            raise DiskError("no room")

    inbox = make_inbox(Full())
    record = encode(next(episodes.stream(1)), episodes.schema())
    with pytest.raises(DiskError, match="no room"):
        inbox.accept(Parcel(RUN, LEFT, "actor0", 1, record).to_bytes())
    assert inbox.refused == {}


def test_a_parcel_that_is_overtaken_is_no_sign_of_a_shorter_journal(actor, make_inbox):
    learner = FakeLearner({"left": list(episodes.stream(4, actor="left"))})
    inbox = make_inbox(learner)
    for end in (4, 9, 2):
        assert not inbox.accept(Parcel(RUN, LEFT, "left", end).to_bytes()).refusal
    assert inbox.behind() == {"left": 5}


def test_an_actor_of_another_run_is_told_so(actor, make_inbox):
    actor.step()
    learner = FakeLearner()
    [question] = actor.due(0.0)
    refused = make_inbox(learner, run=OTHER).accept(question)
    assert refused.refusal.startswith(f"the learner is of run {OTHER}, and 'left' of run {RUN}")
    assert refused.run == OTHER  # so that its own learner's actor does not take it for a verdict
    assert not actor.outbox.take(refused, 0.0)
    assert learner.taken == {}


def deliver_all(actor, inbox, now=0.0):
    for _ in range(20):
        now += 0.5
        for message in actor.due(now):
            actor.outbox.take(inbox.accept(message), now)


def test_a_lost_journal_is_refused_with_a_sentence_even_when_it_has_grown_again(tmp_path, make_inbox):
    """agentlace drops as many records as were sent before, without a word."""
    learner = FakeLearner()
    first = Actor(tmp_path / "whole", "left", images=False)
    for _ in range(5):
        first.step()
    deliver_all(first, make_inbox(learner))
    assert learner.received == 5
    again = Actor(tmp_path / "lost", "left", images=False)
    for grown in (0, 9):
        for _ in range(grown):
            again.step()
        for life in (learner, FakeLearner()):  # also a learner that came back with nothing
            again.restart(b"")
            with pytest.raises(DataError, match=r"of 'left' from journal .*bring the other one back from a copy"):
                deliver_all(again, make_inbox(life))
            assert len(life.taken.get("left", ())) == (5 if life is learner else 0)
    deliver_all(first, make_inbox(learner))  # the true one goes on
    assert first.outbox.pending == 0


def test_a_journal_that_lost_its_end_is_refused(actor, make_inbox):
    learner = FakeLearner({"left": list(episodes.stream(4, actor="left"))})
    actor.step()
    with pytest.raises(DataError, match="the learner has 4 records of 'left', whose journal ends before 1"):
        deliver_all(actor, make_inbox(learner))


def test_labels_of_a_labeller_travel_the_same_way(tmp_path, make_inbox):
    labeller, learner = Actor(tmp_path, "labeller", images=False), FakeLearner()
    for _ in range(12):
        labeller.label()
    deliver_all(labeller, make_inbox(learner))
    assert learner.taken["labeller"] == labeller.made


def test_messages_with_any_byte_changed_are_refused(make_inbox):
    """Every byte of a parcel, one after the other; and pieces of it."""
    learner = FakeLearner()
    inbox = make_inbox(learner)
    good = Parcel(RUN, LEFT, "actor0", 9, encode(next(episodes.stream(1)), episodes.schema())).to_bytes()
    for index in range(len(good)):
        for mask in (0x01, 0x80, 0xFF):
            with pytest.raises(DataError):
                inbox.accept(good[:index] + bytes([good[index] ^ mask]) + good[index + 1 :])
        with pytest.raises(DataError):
            inbox.accept(good[:index])
    assert learner.received == 0
    assert inbox.refused.total() == 4 * len(good)


@settings(max_examples=500, deadline=None)
@given(data=st.binary(max_size=400), start=st.booleans())
def test_arbitrary_bytes_do_no_harm_to_an_inbox(data, start):
    with tempfile.TemporaryDirectory() as folder:
        learner = FakeLearner()
        inbox = Inbox(episodes.schema(), learner, Register(Path(folder) / "register.json"), RUN)
        with pytest.raises(DataError):
            inbox.accept(b"RRLP\x01\x00" + data if start else data)
        assert learner.received == 0


@settings(max_examples=500, deadline=None)
@given(record=st.binary(min_size=1, max_size=200), end=st.integers(0, 2**53), actor=st.text(max_size=9))
def test_hostile_senders_do_no_harm_to_an_inbox(record, end, actor):
    """Well-formed parcels with anything inside, its checksum included."""
    with tempfile.TemporaryDirectory() as folder:
        learner = FakeLearner()
        inbox = Inbox(episodes.schema(), learner, Register(Path(folder) / "register.json"), RUN)
        body = b"\x00\x01\x00\x00" + episodes.schema().hash.to_bytes(8, "little") + record
        body += zlib.crc32(body).to_bytes(4, "little")
        try:
            message = Parcel(RUN, LEFT, actor, end, body).to_bytes()
        except UnicodeEncodeError:
            return
        try:
            assert inbox.accept(message).refusal
        except DataError:
            assert not actor or not actor.isprintable()
        assert learner.received == 0
