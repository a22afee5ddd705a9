import numpy as np
import pytest

import tasks
from controllers import spatial
from controllers.interface import Pose
from tasks.expert import Noise, steer

ACTION = tasks.load("peg_insert").action
DOWN = np.array([1.0, 0.0, 0.0, 0.0])
HERE = Pose(np.array([0.5, 0.0, 0.2]), DOWN)


def test_noise_is_as_large_at_the_first_step_as_later_and_correlated():
    noise, episodes = Noise(scale=0.1, decay=0.7), []
    for seed in range(2000):
        noise.reset(np.random.default_rng(seed))
        episodes.append([noise.add(np.zeros(1))[0] for _ in range(6)])
    values = np.array(episodes)
    np.testing.assert_allclose(values.std(axis=0), 0.1, rtol=0.06)
    assert np.corrcoef(values[:, 0], values[:, 1])[0, 1] == pytest.approx(0.7, abs=0.05)


def test_noise_leaves_no_action_beyond_its_bounds():
    noise = Noise(scale=5.0)
    noise.reset(np.random.default_rng(0))
    assert max(np.abs(noise.add(np.ones(4))).max() for _ in range(20)) == 1.0


def test_steering_goes_straight_and_stops_at_the_goal():
    goal = Pose(HERE.position + np.array([0.02, -0.04, 0.0]), DOWN)
    # the tool looks down, turned about x: its y is minus the base's
    np.testing.assert_allclose(steer(ACTION, HERE, goal), [0.5, 1.0, 0.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(steer(ACTION, HERE, HERE), 0.0, atol=1e-12)
    near = Pose(
        HERE.position + np.array([0.0, 0.0, 0.004]), spatial.multiply(DOWN, spatial.exp(np.array([0, 0, 0.03])))
    )
    np.testing.assert_allclose(steer(ACTION, HERE, near), [0.0, 0.0, -0.4, 0.5], atol=1e-9)
