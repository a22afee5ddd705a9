import numpy as np
import pytest

import tasks
from robot_rl.config import effective
from robot_rl.data.replay import Replay
from robot_rl.exceptions import ConfigError
from robot_rl.nets.observation import ObservationSpec
from robot_rl.rewards.likeness.reward import LikenessReward

NAMES = ("wrist_features",)


def maps(*directions):
    """Of each moment, features of one direction (4,) at every place of both crops, the second of another."""
    found = np.zeros((len(directions), 2, 3, 3, 4), np.float16)
    for index, direction in enumerate(directions):
        found[index, 0], found[index, 1] = direction, (9, 9, 9, 9)
    return {"wrist_features": found}


def test_a_step_is_worth_the_cosine_to_the_goal():
    reward = LikenessReward(NAMES, maps((1, 0, 0, 0), (3, 0, 0, 0)))
    worth = reward.reward(maps((5, 0, 0, 0), (1, 1, 0, 0), (0, 2, 0, 0), (-1, 0, 0, 0)))
    assert np.allclose(worth, [1, np.sqrt(0.5), 0, -1], atol=1e-3)


def test_there_is_nothing_to_learn_or_keep():
    reward = LikenessReward(NAMES, maps((1, 0, 0, 0)))
    assert reward.learn(Replay(ObservationSpec.of({"x": np.zeros(1, np.float32)}), 1, 5)) == (False, {})
    before = reward.reward(maps((1, 2, 3, 4)))
    reward.restore(*reward.save())
    assert np.array_equal(reward.reward(maps((1, 2, 3, 4))), before)


@pytest.mark.parametrize(
    "layer, text", [({"obs": "state"}, "compares features"), ({"obs": "features", "demos": "0"}, "give --goals SET")]
)
def test_a_run_that_cannot_have_it_is_refused(layer, text):
    with pytest.raises(ConfigError, match=text):
        effective(tasks.load("reach"), {"reward": "likeness"} | layer)
