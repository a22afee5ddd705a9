import dataclasses

import numpy as np
import pytest

from robot_rl.demonstrate import ATTEMPTS, record_demos
from robot_rl.envs import make
from robot_rl.exceptions import DataError


class Expert:
    """The task's expert, with every action `scale` times as large."""

    def __init__(self, task, scale):
        self._expert, self._scale = task.expert(task), scale

    def reset(self, rng):
        self._expert.reset(rng)

    def act(self, reading):
        return self._scale * self._expert.act(reading)


@pytest.fixture
def env():
    env = make("reach")
    yield env
    env.close()


def scaled(env, scale):
    expert = env.task.expert
    env.task = dataclasses.replace(
        env.task, expert=lambda task: Expert(dataclasses.replace(task, expert=expert), scale)
    )
    return env


def test_only_successes_are_kept_and_they_are_numbered_without_holes(env):
    told = []
    kept = record_demos(env, 2, seed=0, on_episode=lambda count, success: told.append((count, success)))
    steps = [step for episode in kept for step in episode]
    assert [step.sequence for step in steps] == list(range(len(steps)))
    assert len({step.episode for step in steps}) == 2
    assert all(episode[-1].success and episode[-1].terminated for episode in kept)
    assert [count for count, success in told if success] == [1, 2]
    again = [step for episode in record_demos(env, 2, seed=0) for step in episode]
    np.testing.assert_array_equal([step.action for step in steps], [step.action for step in again])


def test_the_action_that_is_kept_is_the_one_that_was_executed(env):
    episode = record_demos(scaled(env, 3.0), 1, seed=0)[0]
    actions = np.array([step.action for step in episode])
    assert np.abs(actions).max() == 1.0


def test_an_expert_that_fails_is_named_with_the_mend(env):
    with pytest.raises(DataError, match=f"expert of reach succeeded in 0 of {ATTEMPTS}.*--demos"):
        record_demos(scaled(env, 0.0), 1, seed=0)
