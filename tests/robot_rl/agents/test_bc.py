import dataclasses

import numpy as np
import pytest

from robot_rl.agents import policy_from_bytes
from robot_rl.exceptions import ConfigError
from robot_rl.learner import Learner
from tests.robot_rl.learning import SMALL, observe, run_config, transition


def demonstrations(count=300):
    """The action is a smooth function of what is seen."""
    rng = np.random.default_rng(0)
    for i in range(count):
        observation = observe(rng)
        yield transition(i, observation=observation, action=np.tanh(observation["pose"][:2]).astype(np.float32))


def test_bc_imitates_after_its_one_block():
    demos = list(demonstrations())
    config = run_config("bc", learner=dataclasses.replace(SMALL, bc_steps=1000, batch=64, learning_rate=3e-3))
    learner = Learner(config, demos[0].observation, 2, demos)
    assert learner.ready()
    metrics = learner.update_block()
    assert learner.version == 1 and learner.updates == 1000
    assert not learner.ready()
    assert metrics["action_error"] > 0
    policy, version = policy_from_bytes(learner.policy_bytes())
    fresh = observe(np.random.default_rng(7))
    assert version == 1
    np.testing.assert_allclose(policy.act(fresh, None), np.tanh(fresh["pose"][:2]), atol=0.15)


def test_more_experience_makes_no_further_block_due():
    demos = list(demonstrations(30))
    learner = Learner(run_config("bc"), demos[0].observation, 2, demos)
    learner.update_block()
    learner.receive(transition(i) for i in range(50))
    assert learner.received == 50 and not learner.ready()


def test_bc_without_demonstrations_says_what_to_do():
    learner = Learner(run_config("bc"), transition().observation, 2)
    with pytest.raises(ConfigError, match="--demos"):
        learner.update_block()
