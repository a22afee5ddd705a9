import numpy as np
import pytest

from robot_rl.agents import make_agent
from robot_rl.exceptions import ConfigError
from robot_rl.nets.observation import ObservationSpec
from robot_rl.spaces import describe, differences, refuse_policy
from tests.robot_rl.learning import SMALL

SPEC = ObservationSpec.of({"tool_wrench": np.zeros(6), "gap": np.zeros(1), "front": np.zeros((128, 96, 3), np.uint8)})
HERE = describe(SPEC, 4)


def test_every_field_has_its_size():
    assert HERE == {
        "gap": "1 number",
        "tool_wrench": "6 numbers",
        "camera front": "128 x 96 x 3",
        "the action": "4 numbers",
    }


def test_each_difference_is_named():
    assert differences(HERE, HERE, "the checkpoint") == ""
    there = {"gap": "1 number", "tool_wrench": "3 numbers", "sim/hole": "3 numbers", "the action": "4 numbers"}
    assert differences(HERE, there, "the checkpoint") == (
        "tool_wrench has 6 numbers here, 3 numbers in the checkpoint; "
        "camera front is missing in the checkpoint; sim/hole is missing here"
    )


def test_a_policy_is_refused_for_what_it_lacks_and_not_for_what_it_ignores():
    example = {"pose": np.zeros(3, np.float32), "gap": np.zeros(1, np.float32)}
    policy = make_agent("rlpd", SMALL, example, 2, 0).policy()
    refuse_policy(policy, example | {"wrist": np.zeros((8, 8, 3), np.uint8)}, 2, stack=1)
    with pytest.raises(ConfigError, match="pose has 6 numbers here, 3 .*; the action has 4 .*; gap is missing here"):
        refuse_policy(policy, {"pose": np.zeros(6, np.float32)}, 4, stack=1)
    with pytest.raises(ConfigError, match="gap has 2 numbers here, 1 number in the policy"):
        refuse_policy(policy, example, 2, stack=2)
