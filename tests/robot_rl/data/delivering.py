"""The two ends of a delivery without ROS: a learner that takes what comes next, and an actor's journal and outbox."""

import dataclasses
import uuid

from robot_rl.data.delivery import Outbox
from robot_rl.data.journal import Journal
from robot_rl.data.label import Label
from robot_rl.data.parcel import Answer, Parcel
from robot_rl.data.register import journal_identity
from tests.robot_rl.data import episodes

RUN, OTHER = (str(uuid.UUID(int=number)) for number in (1, 2))
LEFT, RIGHT = (str(uuid.UUID(int=number)) for number in (3, 4))


class FakeLearner:
    """Takes what is next in sequence, as the learner does, while it has room."""

    def __init__(self, taken=(), room=10**9):
        self.taken = {actor: list(records) for actor, records in dict(taken).items()}
        self.saved = {actor: len(records) for actor, records in self.taken.items()}  # in a checkpoint
        self.room = room

    @property
    def received(self):
        return sum(map(len, self.taken.values()))

    @property
    def full(self):
        return self.received >= self.room

    def next_sequence(self, actor):
        return len(self.taken.get(actor, ()))

    def durable(self, actor):
        return self.saved.get(actor, 0)

    def save(self):
        self.saved = {actor: len(records) for actor, records in self.taken.items()}

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


def answer(actor, wanted, **values):
    return Answer(RUN, journal_identity(actor.folder), actor.name, wanted, **values)


def records(messages):
    return [parcel.record for parcel in map(Parcel.from_bytes, messages) if parcel.record]


def deliver_all(actor, inbox, now=0.0):
    for _ in range(20):
        now += 0.5
        for message in actor.due(now):
            actor.outbox.take(inbox.accept(message), now)
