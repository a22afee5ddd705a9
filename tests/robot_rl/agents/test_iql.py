import dataclasses

import jax
import numpy as np
import pytest

from robot_rl.agents import make_agent
from robot_rl.agents.iql import unnormalised
from robot_rl.config import LearnerConfig
from robot_rl.data.replay import Batch
from robot_rl.exceptions import ConfigError
from robot_rl.learner import Learner
from robot_rl.nets.mlp import apply_ensemble, apply_mlp, init_ensemble, init_mlp
from tests.robot_rl.learning import SMALL, run_config, transition

CONFIG = LearnerConfig(
    critics=2, hidden=(32, 32), batch=64, learning_rate=3e-3, discount=0.5, tau=0.05, offline_steps=2000, beta=10.0,
    layer_norm=False,
)  # fmt: skip
EXAMPLE = {"pose": np.zeros(1, np.float32)}


def batches(rng, draw, slices=20, size=64):
    """Of (state, action, reward, terminated, next state), each (n,)."""
    state, action, reward, terminated, after = draw(rng, slices * size)
    shape = (slices, size)
    return Batch(
        {"pose": state.reshape(*shape, 1).astype(np.float32)},
        action.reshape(*shape, 1).astype(np.float32),
        reward.reshape(shape).astype(np.float32),
        terminated.reshape(shape).astype(np.float32),
        np.full(shape, CONFIG.discount, np.float32),
        {"pose": after.reshape(*shape, 1).astype(np.float32)},
    )


def trained(config, draw, calls=60, seed=0):
    agent, rng, metrics = make_agent("iql", config, EXAMPLE, 1, seed), np.random.default_rng(seed), {}
    for _ in range(calls):
        agent, metrics = agent.update(batches(rng, draw))
    return agent, {name: float(value) for name, value in metrics.items()}


def bandit(rng, count):
    """One step: the nearer the action is to half the state, the better. Actions are drawn without any thought."""
    state, action = rng.uniform(-1, 1, count), rng.uniform(-1, 1, count)
    return state, action, -4 * np.abs(action - state / 2), np.ones(count), np.zeros(count)


def chain(rng, count):
    """State 0 pays nothing and leads to state 1, which pays 1 and is the end; actions change nothing."""
    state = rng.integers(2, size=count).astype(float)
    return state, rng.uniform(-1, 1, count), state, state, np.ones(count)


def values(agent, state):
    layers = agent.value["mlp"]
    return float(apply_mlp(layers, (np.array([[state]], np.float32) - agent.mean) / agent.deviation)[0, 0])


def test_it_takes_the_better_of_actions_that_were_taken_at_random():
    agent, metrics = trained(dataclasses.replace(CONFIG, expectile=0.9), bandit)
    policy = agent.policy()
    acted = [policy.act({"pose": np.array([s], np.float32)}, None)[0] for s in (-0.8, 0.0, 0.8)]
    np.testing.assert_allclose(acted, [-0.4, 0.0, 0.4], atol=0.12)
    assert metrics["refused"] == 0


def test_without_any_weight_on_advantage_it_clones_the_mean():
    agent, _ = trained(dataclasses.replace(CONFIG, beta=0.0), bandit)
    acted = [agent.policy().act({"pose": np.array([s], np.float32)}, None)[0] for s in (-0.8, 0.8)]
    np.testing.assert_allclose(acted, 0, atol=0.12)


def test_values_are_discounted_along_what_followed_and_stop_at_the_end():
    agent, metrics = trained(dataclasses.replace(CONFIG, expectile=0.5), chain)
    assert values(agent, 1.0) == pytest.approx(1.0, abs=0.05)
    assert values(agent, 0.0) == pytest.approx(CONFIG.discount, abs=0.05)
    assert metrics["q"] == pytest.approx(0.75, abs=0.05)


def test_a_higher_expectile_expects_more_of_the_same_experience():
    low, high = (trained(dataclasses.replace(CONFIG, expectile=e), bandit)[0] for e in (0.5, 0.95))
    assert values(low, 0.0) == pytest.approx(-2.0, abs=0.3)  # the mean of -4 |a|
    assert values(high, 0.0) > values(low, 0.0) + 0.8


@pytest.mark.parametrize("robust", [{"huber": 0.5}, {"quantile": 0.25, "critics": 5}])
def test_the_robust_parts_learn_the_chain_too(robust):
    agent, _ = trained(dataclasses.replace(CONFIG, expectile=0.5, **robust), chain)
    assert values(agent, 0.0) == pytest.approx(CONFIG.discount, abs=0.07)


def test_a_huber_loss_is_not_carried_away_by_a_few_wrong_rewards():
    def spoilt(rng, count):
        state, action, reward, terminated, after = chain(rng, count)
        return state, action, np.where(rng.random(count) < 0.1, 100.0, reward), terminated, after

    plain, robust = (
        trained(dataclasses.replace(CONFIG, expectile=0.5, huber=huber), spoilt)[0] for huber in (0.0, 0.1)
    )
    assert values(plain, 1.0) > 5
    assert values(robust, 1.0) < 2.5


def test_a_normalising_agent_hands_out_a_policy_that_sees_observations_as_they_are():
    config = dataclasses.replace(SMALL, normalise=True)
    rng = np.random.default_rng(0)
    mean, deviation = rng.normal(size=5).astype(np.float32), rng.uniform(0.1, 3, 5).astype(np.float32)
    plain = make_agent("iql", config, transition().observation, 2, 0)
    normal = plain.normalised(mean, deviation)
    seen = transition(3).observation
    joined = np.concatenate([seen["pose"], seen["twist"]])
    moved = (joined - mean) / deviation
    expected = plain.policy().act({"pose": moved[:3], "twist": moved[3:]}, None)
    np.testing.assert_allclose(normal.policy().act(seen, None), expected, atol=1e-5)


@pytest.mark.parametrize("ensemble", [False, True])
def test_a_first_layer_takes_the_normalisation_in(ensemble):
    rng = np.random.default_rng(1)
    x, mean = rng.normal(size=(4, 6)).astype(np.float32), rng.normal(size=3).astype(np.float32)
    deviation = np.array([0.5, 2.0, 1.0], np.float32)
    key = jax.random.PRNGKey(0)
    layers = init_ensemble(key, 3, (6, 8, 1)) if ensemble else init_mlp(key, (6, 8, 1))
    apply = apply_ensemble if ensemble else apply_mlp
    normal = np.concatenate([(x[:, :3] - mean) / deviation, x[:, 3:]], axis=1)
    plain = [unnormalised(layers[0], mean, deviation), *layers[1:]]
    np.testing.assert_allclose(apply(plain, x), apply(layers, normal), atol=1e-5)


def test_the_learner_does_all_blocks_without_a_step_of_its_own():
    demos = [transition(i) for i in range(40)]
    config = run_config("iql", learner=dataclasses.replace(SMALL, offline_steps=1500, normalise=True))
    learner = Learner(config, demos[0].observation, 2, demos)
    seen = []
    while learner.ready():
        learner.update_block()
        seen.append(learner.learnt)
    assert seen == [(760, 0), (1520, 760)]
    assert learner.progress == learner.updates == 1520 and learner.received == 0 and learner.pacing == {}
    assert np.abs(np.asarray(learner.agent.mean)).max() > 0


def test_without_anything_to_learn_from_it_says_what_to_do():
    learner = Learner(run_config("iql"), transition().observation, 2)
    with pytest.raises(ConfigError, match="agent iql learns from demonstrations and got none"):
        learner.update_block()
