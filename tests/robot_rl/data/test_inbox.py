"""What the learner's side refuses, and how it says so."""

import dataclasses
import tempfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robot_rl.data.codec import encode
from robot_rl.data.delivery import Inbox
from robot_rl.data.parcel import Parcel
from robot_rl.data.register import Register
from robot_rl.exceptions import DataError, DiskError
from tests.robot_rl.data import episodes
from tests.robot_rl.data.delivering import LEFT, OTHER, RUN, Actor, FakeLearner, deliver_all


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
            inbox.accept(b"RRLP\x02\x00" + data if start else data)
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
