import dataclasses
import json

import numpy as np

from robot_rl.data.stack import stack, unstack
from robot_rl.nets.observation import ObservationSpec
from tests.robot_rl.learning import transition

SPEC = ObservationSpec.of(transition(image=(4, 4, 3)).observation)


def test_round_trip_through_json_is_exact():
    queue = [transition(i, image=(4, 4, 3), reward=np.float32(0.1), truncated=np.bool_(i == 2)) for i in range(3)]
    arrays, table = stack(queue, SPEC)
    back = unstack(arrays, json.loads(json.dumps(table)), SPEC)
    for before, after in zip(queue, back, strict=True):
        for field in dataclasses.fields(before):
            np.testing.assert_equal(getattr(after, field.name), getattr(before, field.name))


def test_an_empty_queue():
    assert unstack(*stack([], SPEC), SPEC) == []
