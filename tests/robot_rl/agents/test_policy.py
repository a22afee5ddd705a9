import json

import jax
import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from robot_rl.agents import make_agent, policy_from_bytes
from robot_rl.agents.policy import _digest
from robot_rl.exceptions import DataError
from tests.robot_rl.learning import SMALL, transition

OBSERVATION = transition().observation
POLICY = make_agent("rlpd", SMALL, OBSERVATION, 2, 0).policy()
MESSAGE = POLICY.to_bytes(7)


def test_message_brings_the_same_policy_and_its_version():
    policy, version = policy_from_bytes(MESSAGE)
    assert version == 7
    np.testing.assert_array_equal(policy.act(OBSERVATION, None), POLICY.act(OBSERVATION, None))
    key = jax.random.PRNGKey(3)
    np.testing.assert_array_equal(policy.act(OBSERVATION, key), POLICY.act(OBSERVATION, key))
    assert policy.to_bytes(7) == MESSAGE


def test_actions_are_float32_writable_within_one_and_random_only_with_a_key():
    action = POLICY.act(OBSERVATION, None)
    assert action.dtype == np.float32 and action.shape == (2,) and action.flags.writeable
    np.testing.assert_array_equal(POLICY.act(OBSERVATION, None), action)
    draws = [POLICY.act(OBSERVATION, key) for key in jax.random.split(jax.random.PRNGKey(0), 20)]
    assert np.abs(draws).max() <= 1 and len({draw.tobytes() for draw in draws}) == 20


def test_further_arrays_are_ignored_and_missing_ones_named():
    np.testing.assert_array_equal(
        POLICY.act({"sim/truth": np.ones(9), **OBSERVATION}, None), POLICY.act(OBSERVATION, None)
    )
    with pytest.raises(DataError, match="lacks 'pose'"):
        POLICY.act({"twist": OBSERVATION["twist"]}, None)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(MESSAGE) - 1), st.integers(0, 7))
def test_any_flipped_byte_is_noticed(position, bit):
    damaged = bytearray(MESSAGE)
    damaged[position] ^= 0x80 | 1 << bit
    with pytest.raises(DataError):
        policy_from_bytes(bytes(damaged))


@pytest.mark.parametrize("message", [b"", b"policy", MESSAGE[:-1], MESSAGE + b"\0", MESSAGE[:100]])
def test_any_other_length_is_noticed(message):
    with pytest.raises(DataError):
        policy_from_bytes(message)


@pytest.mark.parametrize(
    "change",
    [
        {"hidden": [16, 17]},
        {"action_dim": 3},
        {"observation": {"vectors": [["pose", 4], ["twist", 2]], "images": []}},
        {"hidden": "many"},
        {"observation": None},
        {"version": None},
    ],
)
def test_a_message_with_a_good_checksum_must_still_make_sense(change):
    arrays = safetensors.numpy.load(MESSAGE)
    header = json.loads(MESSAGE[8 : 8 + int.from_bytes(MESSAGE[:8], "little")])
    facts = json.loads(header["__metadata__"]["policy"]) | change
    facts["sha256"] = _digest({name: value for name, value in facts.items() if name != "sha256"}, arrays)
    message = safetensors.numpy.save(arrays, {"policy": json.dumps(facts)})
    with pytest.raises(DataError):
        policy_from_bytes(message)


FEATURES = {"pose": np.zeros(3, np.float32), "front_features": np.ones((2, 4, 4, 8), np.float16)}


def test_a_policy_from_features_travels_and_acts_on_the_plain_frame():
    policy, _ = policy_from_bytes(make_agent("rlpd", SMALL, FEATURES, 2, 0).policy().to_bytes(1))
    action = policy.act(FEATURES, None)
    seen = {name: value.copy() for name, value in FEATURES.items()}
    seen["front_features"][1] = 7
    np.testing.assert_array_equal(policy.act(seen, None), action)
    seen["front_features"][0, 0] = 7
    assert not np.array_equal(policy.act(seen, None), action)
    with pytest.raises(DataError, match="made for float16"):
        policy.act(FEATURES | {"front_features": np.ones((1, 4, 4, 8), np.float16)}, None)


def test_a_message_from_before_features_is_read():
    arrays = safetensors.numpy.load(MESSAGE)
    header = json.loads(MESSAGE[8 : 8 + int.from_bytes(MESSAGE[:8], "little")])
    facts = json.loads(header["__metadata__"]["policy"])
    del facts["sha256"], facts["observation"]["features"]
    old = safetensors.numpy.save(arrays, {"policy": json.dumps(facts | {"sha256": _digest(facts, arrays)})})
    policy, version = policy_from_bytes(old)
    assert version == 7 and policy.spec == POLICY.spec
    np.testing.assert_array_equal(policy.act(OBSERVATION, None), POLICY.act(OBSERVATION, None))
