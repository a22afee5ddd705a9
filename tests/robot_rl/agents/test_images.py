"""The image path: what only an image shows is learnt, and the actor sends no gradient to the encoder."""

import dataclasses

import jax
import numpy as np
import pytest

from robot_rl.agents import make_agent, policy_from_bytes
from robot_rl.agents.policy import action_distribution
from robot_rl.config import LearnerConfig
from robot_rl.data.replay import Batch
from robot_rl.nets.encoder import convolve

CONFIG = LearnerConfig(critics=2, hidden=(32,), batch=16, learning_rate=1e-3)
EXAMPLE = {"front": np.zeros((32, 32, 3), np.uint8), "pose": np.zeros(2, np.float32)}


def batch(seed, slices=4, size=16):
    """A dark or a bright image; +1 or -1 for the sign of the action that matches, and the end."""
    rng = np.random.default_rng(seed)
    bright = rng.integers(0, 2, (slices, size))
    noise = rng.integers(0, 60, (slices, size, 32, 32, 3))
    observation = {
        "front": (noise + 150 * bright[..., None, None, None]).astype(np.uint8),
        "pose": np.zeros((slices, size, 2), np.float32),
    }
    action = rng.uniform(-1, 1, (slices, size, 1)).astype(np.float32)
    reward = ((2 * bright - 1) * np.sign(action[..., 0])).astype(np.float32)
    ends = np.ones((slices, size), np.float32)
    return Batch(observation, action, reward, ends, discount=0.97 * ends, next_observation=observation)


def test_policy_acts_on_what_only_the_image_shows():
    agent = make_agent("rlpd", CONFIG, EXAMPLE, 1, 0)
    start = np.array(agent.critic["convolutions"]["front"][0]["kernel"])
    losses = []
    for seed in range(30):
        agent, metrics = agent.update(batch(seed))
        losses.append(float(metrics["critic_loss"]))
    assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[:5])
    assert not np.array_equal(agent.critic["convolutions"]["front"][0]["kernel"], start)
    policy, _ = policy_from_bytes(agent.policy().to_bytes(1))
    test = batch(1000).observation["front"][0]
    actions = np.array([policy.act({"front": image, "pose": EXAMPLE["pose"]}, None)[0] for image in test])
    bright = test.mean((1, 2, 3)) > 100
    assert actions[bright].min() > actions[~bright].max() + 0.2


def test_actor_step_leaves_the_encoder_alone():
    """Two updates that differ in the actor's loss only give the same encoder."""
    agent = make_agent("rlpd", CONFIG, EXAMPLE, 1, 0)
    other = dataclasses.replace(
        jax.tree.map(np.array, agent), log_temperature=jax.numpy.float32(3.0)
    )  # the temperature enters the actor's loss only
    agent, _ = agent.update(batch(0))
    other, _ = other.update(batch(0))
    jax.tree.map(np.testing.assert_array_equal, agent.critic, other.critic)
    assert not np.array_equal(agent.actor["mlp"][0]["kernel"], other.actor["mlp"][0]["kernel"])


def test_features_have_no_gradient_from_the_policy():
    agent = make_agent("rlpd", CONFIG, EXAMPLE, 1, 0)
    observation = jax.tree.map(lambda leaf: leaf[0], batch(0).observation)

    def mean_action(convolutions):
        features = convolve(convolutions, observation)
        return action_distribution(agent.settings.spec, agent.actor, features, observation).mode().sum()

    gradient = jax.jit(jax.grad(mean_action))(agent.critic["convolutions"])
    assert all(float(abs(leaf).max()) == pytest.approx(0, abs=0) for leaf in jax.tree.leaves(gradient))
