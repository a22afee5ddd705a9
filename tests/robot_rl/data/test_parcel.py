import dataclasses
import json
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robot_rl.data import parcel
from robot_rl.data.parcel import Answer, Parcel
from robot_rl.exceptions import DataError

UUIDS = st.uuids().map(str)
NAMES = st.text(min_size=1, max_size=20).filter(lambda name: name.isprintable() and _encodable(name))
COUNTS = st.integers(0, 2**53)
RUN, JOURNAL = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))


def _encodable(name):
    try:
        return bool(name.encode())
    except UnicodeEncodeError:
        return False


@given(run=UUIDS, journal=UUIDS, actor=NAMES, end=COUNTS, record=st.binary(max_size=99), finished=st.booleans())
def test_a_parcel_comes_back_as_it_went(run, journal, actor, end, record, finished):
    sent = Parcel(run, journal, actor, end, record, finished)
    data = sent.to_bytes()
    assert Parcel.from_bytes(data) == sent
    assert data[sent.offset :] == record


@given(
    run=UUIDS, journal=UUIDS, actor=NAMES, wanted=COUNTS, full=st.booleans(), received=COUNTS, refusal=st.text(),
    durable=COUNTS,
)  # fmt: skip
def test_an_answer_comes_back_as_it_went(run, journal, actor, wanted, full, received, refusal, durable):
    sent = Answer(run, journal, actor, wanted, full, received, refusal, durable)
    assert Answer.from_text(sent.to_text()) == sent


@settings(max_examples=300)
@given(data=st.binary(max_size=200))
def test_arbitrary_bytes_are_no_parcel(data):
    for message in (data, b"RRLP\x02\x00" + data):
        with pytest.raises(DataError):
            Parcel.from_bytes(message)


@settings(max_examples=300)
@given(text=st.text(max_size=200))
def test_arbitrary_text_is_no_answer(text):
    with pytest.raises(DataError):
        Answer.from_text(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=300)
@given(value=JSON)
def test_arbitrary_json_is_no_answer(value):
    with pytest.raises(DataError):
        Answer.from_text(json.dumps(value))


def signed(values):
    """An answer whose checksum is right, whatever it holds."""
    return json.dumps(values | {"checksum": parcel._checksum(values)}, sort_keys=True)


@settings(max_examples=300)
@given(name=st.sampled_from(["wanted", "received", "durable", "full", "refusal", "actor", "run"]), value=JSON)
def test_an_answer_whose_members_are_of_another_type_is_refused(name, value):
    good = dataclasses.asdict(Answer(RUN, JOURNAL, "actor0", 1))
    allowed = {int: 0, bool: True, str: ""}
    if type(value) is type(good[name]) and type(value) in allowed:
        return
    with pytest.raises(DataError, match=f"'{name}' is "):
        Answer.from_text(signed(good | {name: value}))


@pytest.mark.parametrize("number", [-1, 2**53 + 1])
def test_numbers_that_no_journal_reaches_are_refused(number):
    good = dataclasses.asdict(Answer(RUN, JOURNAL, "actor0", 1))
    with pytest.raises(DataError, match="'wanted' is "):
        Answer.from_text(signed(good | {"wanted": number}))
    with pytest.raises(DataError, match="and ends at"):
        Parcel.from_bytes(Parcel(RUN, JOURNAL, "actor0", 2**63).to_bytes())


def test_every_character_of_an_answer_is_watched_over():
    good = Answer(RUN, JOURNAL, "actor0", 11, False, 22, "").to_text()
    for index, character in enumerate(good):
        changed = good[:index] + chr(ord(character) ^ 1) + good[index + 1 :]
        with pytest.raises(DataError):
            Answer.from_text(changed)
        with pytest.raises(DataError):
            Answer.from_text(good[:index])


def test_another_version_and_a_deep_nest_are_one_sentence():
    data = bytearray(Parcel(RUN, JOURNAL, "actor0", 1).to_bytes())
    data[4] = 9
    stop = len(data) - 4
    data[stop:] = parcel.zlib.crc32(data[:stop]).to_bytes(4, "little")
    with pytest.raises(DataError, match="version 9, not 2; use one release"):
        Parcel.from_bytes(bytes(data))
    with pytest.raises(DataError, match="does not decode"):
        Answer.from_text("[" * 100_000)
