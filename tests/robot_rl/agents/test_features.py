"""A frozen backbone's features: what only they show is learnt by every agent, and they themselves stay as given."""

import jax
import numpy as np
import pytest

from robot_rl.agents import make_agent, policy_from_bytes
from robot_rl.config import LearnerConfig
from robot_rl.data.replay import Batch

CONFIG = LearnerConfig(critics=2, hidden=(32,), batch=16, learning_rate=1e-3)
SHAPE = (2, 4, 4, 8)
EXAMPLE = {"front_features": np.zeros(SHAPE, np.float16), "pose": np.zeros(2, np.float32)}


def batch(seed, slices=4, size=16):
    """One place of the map says the sign of the right action; the two crops are the same but for noise."""
    rng = np.random.default_rng(seed)
    sign = 2.0 * rng.integers(0, 2, (slices, size)) - 1
    maps = 0.3 * rng.normal(size=(slices, size, *SHAPE))
    maps[..., 1, 2, 5] += 2 * sign[..., None]
    observation = {"front_features": maps.astype(np.float16), "pose": np.zeros((slices, size, 2), np.float32)}
    action = rng.uniform(-1, 1, (slices, size, 1)).astype(np.float32)
    reward = (sign * np.sign(action[..., 0])).astype(np.float32)
    ends = np.ones((slices, size), np.float32)
    return Batch(observation, action, reward, ends, discount=0.97 * ends, next_observation=observation), sign


def expert(seed):
    given, sign = batch(seed)
    return given._replace(action=(0.7 * sign[..., None]).astype(np.float32))


@pytest.mark.parametrize(("agent_name", "batches"), [("rlpd", 40), ("bc", 20)])
def test_what_only_the_features_show_is_learnt(agent_name, batches):
    agent = make_agent(agent_name, CONFIG, EXAMPLE, 1, 0)
    for seed in range(batches):
        agent, metrics = agent.update(expert(seed) if agent_name == "bc" else batch(seed)[0])
    assert metrics["refused"] == 0
    policy, _ = policy_from_bytes(agent.policy().to_bytes(1))
    assert jax.tree.leaves(policy.convolutions) == []
    test, sign = batch(1000)
    seen = test.observation["front_features"][0]
    actions = np.array([policy.act({"front_features": maps, "pose": EXAMPLE["pose"]}, None)[0] for maps in seen])
    assert actions[sign[0] > 0].min() > actions[sign[0] < 0].max() + 0.2


def test_critic_and_actor_read_the_maps_through_heads_of_their_own():
    agent = make_agent("rlpd", CONFIG, EXAMPLE, 1, 0)
    heads = [np.array(part["projection"]["front_features"]["embedding"]) for part in (agent.critic, agent.actor)]
    assert not np.array_equal(*heads)
    agent, _ = agent.update(batch(0)[0])
    for old, part in zip(heads, (agent.critic, agent.actor), strict=True):
        assert not np.array_equal(old, part["projection"]["front_features"]["embedding"])
