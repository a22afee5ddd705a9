import numpy as np

from robot_rl.nets.observation import ObservationSpec
from robot_rl.spaces import describe, differences

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
