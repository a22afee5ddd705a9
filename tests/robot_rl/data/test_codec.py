import dataclasses
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcap_ros2._dynamic import generate_dynamic

from robot_rl.data import codec
from robot_rl.data.codec import NotJoined, decode, encode, peek
from robot_rl.data.label import Label
from robot_rl.data.schema import MESSAGE_TYPE, Field, Schema
from robot_rl.data.transition import Transition
from robot_rl.exceptions import DataError
from tests.robot_rl.data import episodes

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=20)


@given(
    actor=TEXT, episode=TEXT, stamp=FLOATS, reward=FLOATS,
    sequence=st.integers(0, 2**64 - 1), step=st.integers(0, 2**32 - 1), version=st.integers(-(2**63), 2**63 - 1),
    flags=st.tuples(*[st.booleans()] * 4), images=st.booleans(), features=st.booleans(), seed=st.integers(0, 99),
)  # fmt: skip
def test_every_transition_comes_back_to_the_bit(
    actor, episode, stamp, reward, sequence, step, version, flags, images, features, seed
):
    intervened, terminated, truncated, success = flags
    transition = dataclasses.replace(
        next(episodes.stream(1, images, seed, features=features)),
        actor=actor, episode=episode, stamp=stamp, reward=reward, sequence=sequence, step=step,
        policy_version=version, intervened=intervened, terminated=terminated, truncated=truncated, success=success,
    )  # fmt: skip
    schema = episodes.schema(images, features=features)
    data = encode(transition, schema)
    assert episodes.same(decode(data, schema), transition)
    assert peek(data, schema) == (actor, sequence)


@pytest.mark.parametrize("dtype", ["float64", "float16", "int32", "int64", "uint8", "bool"])
def test_every_dtype_keeps_its_alignment(dtype):
    observation = {"a": np.ones(3, dtype), "b": np.ones((), np.float32), "c": np.arange(2, dtype=np.int64)}
    schema = Schema.from_example("reach", observation, ("x",))
    action = np.zeros(1, np.float32)
    transition = Transition(
        "a", 1, "e", 0, 0.0, 0.1, observation, observation, action, action, False, 0.5, False, False, True, 3
    )
    data = encode(transition, schema)
    assert episodes.same(decode(data, schema), transition)
    assert _by_the_definition(data, schema).observation_c == [0, 1]


def _by_the_definition(data: bytes, schema: Schema):
    """The message as a program reads it that knows nothing but its definition."""
    return generate_dynamic(MESSAGE_TYPE, schema.message_definition())[MESSAGE_TYPE](data)


@pytest.mark.parametrize("images", [False, True])
def test_a_ros_decoder_that_knows_only_the_definition_reads_it(images):
    schema, transition = episodes.schema(images), next(episodes.stream(1, images))
    message = _by_the_definition(encode(transition, schema), schema)
    assert message.actor == transition.actor
    assert message.reward == transition.reward
    assert message.next_stamp == transition.next_stamp
    assert np.array_equal(np.float32(message.action), transition.action)
    cube = np.float32(message.next_observation_sim_cube).reshape(2, 3)
    assert np.array_equal(cube, transition.next_observation["sim/cube"])
    assert message.schema_hash == schema.hash


def test_a_ros_decoder_reads_the_bits_of_features():
    schema, transition = episodes.schema(features=True), next(episodes.stream(1, features=True))
    message = _by_the_definition(encode(transition, schema), schema)
    bits = np.array(message.next_observation_wrist_features, np.uint16)
    assert bits.tobytes() == transition.next_observation["wrist_features"].tobytes()


def test_a_frame_is_sent_once_and_joined_again():
    schema = episodes.schema(images=True)
    first, second, third = episodes.stream(3, images=True)
    whole, part = encode(second, schema), encode(second, schema, whole=False)
    assert len(whole) - len(part) > 90
    assert episodes.same(decode(part, schema, first), second)
    with pytest.raises(NotJoined):
        decode(part, schema)
    for change in ({"sequence": 7}, {"actor": "other"}, {"episode": "other"}, {"step": 3}):
        with pytest.raises(NotJoined):
            decode(part, schema, dataclasses.replace(first, **change))
    with pytest.raises(NotJoined):
        decode(encode(third, schema, whole=False), schema, first)


@pytest.mark.parametrize("images", [False, True])
def test_every_cut_and_every_flipped_bit_is_a_data_error(images):
    schema = episodes.schema(images)
    data = encode(next(episodes.stream(1, images)), schema)
    for size in range(len(data)):
        with pytest.raises(DataError):
            decode(data[:size], schema)
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DataError):
            decode(bytes(damaged), schema)
    with pytest.raises(DataError):
        decode(data + b"\0", schema)


@given(st.data())
def test_damage_with_a_right_checksum_raises_nothing_but_data_error(data):
    schema = episodes.schema(images=True)
    message = bytearray(encode(next(episodes.stream(1, images=True)), schema))
    for _ in range(data.draw(st.integers(1, 8))):
        message[data.draw(st.integers(0, len(message) - 5))] = data.draw(st.integers(0, 255))
    message = message[: data.draw(st.integers(0, len(message) - 4))]
    message += codec.zlib.crc32(message).to_bytes(4, "little")
    try:
        transition = decode(bytes(message), schema)
    except DataError:
        return
    assert transition.next_observation["wrist"].shape == (6, 5, 3)


def test_another_schema_is_refused():
    data = encode(next(episodes.stream(1)), episodes.schema())
    with pytest.raises(DataError, match="schema"):
        decode(data, episodes.schema(task="other"))
    other = Schema("reach", (Field("q", (7,)),), ("x",))
    with pytest.raises(DataError):
        decode(data, other)


@pytest.mark.parametrize(
    "change", [{"sequence": -1}, {"step": 2**32}, {"actor": "a\0b"}, {"episode": "\ud800"}, {"policy_version": "x"}]
)
def test_values_that_do_not_fit_the_message_are_refused(change):
    with pytest.raises(DataError, match=next(iter(change))):
        encode(dataclasses.replace(next(episodes.stream(1)), **change), episodes.schema())


def test_a_state_record_takes_less_than_150_us():
    schema, transition = episodes.schema(), next(episodes.stream(1))
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(100):
            decode(encode(transition, schema), schema)
        best = min(best, (time.perf_counter() - began) / 100)
    assert best < 300e-6  # both directions


@given(
    actor=TEXT, episode=TEXT, source=TEXT, stamp=FLOATS, value=FLOATS, sequence=st.integers(0, 2**64 - 1),
    step=st.integers(-1, 2**32), version=st.integers(-(2**63), 2**63 - 1), images=st.booleans(),
)  # fmt: skip
def test_every_label_comes_back(actor, episode, source, stamp, value, sequence, step, version, images):
    schema = episodes.schema(images)
    label = Label(actor, sequence, stamp, episode, step, source, version, "reward", value)
    data = encode(label, schema)
    assert decode(data, schema) == label
    assert peek(data, schema) == (actor, sequence)
    assert not codec.begins_episode(data, schema)
    with pytest.raises(DataError, match="schema"):
        decode(data, episodes.schema(images, task="other"))


@pytest.mark.parametrize(("change", "words"), [({"version": 2**63}, "'version'"), ({"source": "a\nb"}, "source")])
def test_a_label_that_does_not_fit_is_refused_by_name(change, words):
    label = Label("a", 0, 0.0, "e", 0, "human", 0, "undo", 0.0)
    with pytest.raises(DataError, match=words):
        encode(dataclasses.replace(label, **change), episodes.schema())
