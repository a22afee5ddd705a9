import dataclasses

import numpy as np
import pytest

from robot_rl.agents import Agent, make_agent
from robot_rl.exceptions import ConfigError
from tests.robot_rl.learning import SMALL, transition


@pytest.mark.parametrize("name", ["rlpd", "sac", "bc", "dagger", "hg_dagger", "iql"])
def test_every_agent_is_an_agent(name):
    assert isinstance(make_agent(name, SMALL, transition().observation, 2, 0), Agent)


def test_an_unknown_name_lists_the_choices():
    with pytest.raises(ConfigError, match="'ppo'; choose one of bc, dagger, hg_dagger, iql, rlpd, sac"):
        make_agent("ppo", SMALL, transition().observation, 2, 0)


def test_a_subset_larger_than_the_ensemble_is_refused():
    with pytest.raises(ConfigError, match="critic_subset is 4"):
        make_agent("rlpd", dataclasses.replace(SMALL, critic_subset=4), transition().observation, 2, 0)


@pytest.mark.parametrize("name", ["rlpd", "bc"])
def test_any_seed_will_do_and_each_gives_other_weights(name):
    observation = transition().observation
    actions = [make_agent(name, SMALL, observation, 2, seed).policy().act(observation, None) for seed in (0, 1, 2**63)]
    assert not np.array_equal(actions[0], actions[1])
    assert np.isfinite(actions[2]).all()
