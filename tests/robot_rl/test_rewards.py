import dataclasses

import numpy as np
import pytest

import tasks
from robot_rl.cells import open_env, reward_of
from robot_rl.config import RunConfig, effective
from robot_rl.exceptions import ConfigError
from robot_rl.rewards import HumanReward, TaskReward
from tests.robot_rl.test_cells import franka


def test_a_run_has_the_reward_that_it_asks_for():
    assert isinstance(reward_of(RunConfig("reach")), TaskReward)
    assert isinstance(reward_of(RunConfig("reach", reward="intervention")), TaskReward)  # it tells when one is done
    assert isinstance(reward_of(RunConfig("reach", reward="human")), HumanReward)


def test_an_operator_alone_judges_nothing_by_itself():
    assert (HumanReward()(None).value, HumanReward()(None).success) == (0.0, False)


def test_what_no_robot_measures_is_refused_unless_a_person_judges(tmp_path):
    lab = franka(tmp_path, cameras={name: {} for name in ("wrist", "front")})
    config = effective(tasks.load("pick_cube"), {"cell": lab, "obs": "pixels"})
    with pytest.raises(ConfigError, match="train with --reward human or intervention"):
        reward_of(config)
    for reward in ("human", "intervention"):
        assert isinstance(reward_of(dataclasses.replace(config, reward=reward)), HumanReward)


def test_an_episode_that_nobody_judges_lasts_its_time(tmp_path):
    """The expert reaches its goal, and the environment says nothing of it."""
    judged = open_env(RunConfig("reach"))
    alone = open_env(RunConfig("reach", reward="human"), training=True)
    expert = judged.task.expert(judged.task)
    ends = []
    for env in (judged, alone):
        expert.reset(np.random.default_rng(0))
        env.reset(seed=3)
        while True:
            _, reward, terminated, truncated, _ = env.step(np.clip(expert.act(env.reading), -1, 1).astype(np.float32))
            if terminated or truncated:
                break
        ends.append((reward, terminated, truncated))
        env.close()
    assert ends == [(1.0, True, False), (0.0, False, True)]
