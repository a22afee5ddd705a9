"""The update rule against known answers, and learning of a small sparse task from demonstrations."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from robot_rl.agents import make_agent, policy_from_bytes
from robot_rl.agents.sac import _update_actor, _update_critic
from robot_rl.config import LearnerConfig, RunConfig
from robot_rl.data.replay import Batch
from robot_rl.learner import Learner
from tests.robot_rl.learning import transition

CONFIG = LearnerConfig(critics=3, critic_subset=3, hidden=(16, 16), discount=0.5, tau=0.1, learning_rate=3e-3)
EXAMPLE = {"pose": np.zeros(3, np.float32)}


def batch(slices=4, size=32, seed=0, **constants):
    rng = np.random.default_rng(seed)
    values = {
        "observation": {"pose": rng.normal(size=(slices, size, 3)).astype(np.float32)},
        "action": rng.uniform(-1, 1, (slices, size, 2)).astype(np.float32),
        "reward": rng.normal(size=(slices, size)).astype(np.float32),
        "terminated": np.zeros((slices, size), np.float32),
        "discount": np.full((slices, size), CONFIG.discount, np.float32),
        "next_observation": {"pose": rng.normal(size=(slices, size, 3)).astype(np.float32)},
    }
    for name, value in constants.items():
        values[name] = np.full((slices, size), value, np.float32)
    return Batch(**values)


def agent(**changes):
    return make_agent("rlpd", dataclasses.replace(CONFIG, **changes), EXAMPLE, 2, seed=0)


def kept(tree):
    """A copy that outlives the update, which reuses the memory."""
    return jax.tree.map(np.array, tree)


@pytest.mark.parametrize("terminated, expected", [(0, 1 / (1 - 0.5)), (1, 1.0)])
def test_bootstrapping_stops_at_terminated_only(terminated, expected):
    """Reward 1 for ever is worth 1 / (1 - discount); reward 1 and the end is worth 1."""
    learner = agent()
    for seed in range(100):
        learner, metrics = learner.update(batch(seed=seed, reward=1, terminated=terminated))
    assert float(metrics["q"]) == pytest.approx(expected, rel=0.05)


def test_truncated_transitions_bootstrap():
    """`truncated` is no part of a batch: a time limit looks like any other step."""
    config = RunConfig("t", agent="sac", learner=dataclasses.replace(CONFIG, start=20, block=1, utd=4, batch=32))
    learner = Learner(config, EXAMPLE, 2)
    pose = {"pose": np.ones(3, np.float32)}
    ends = [transition(i, observation=pose, following=pose, reward=1.0, truncated=True) for i in range(170)]
    learner.receive(ends)
    while learner.ready():
        metrics = learner.update_block()
    assert metrics["q"] == pytest.approx(2, rel=0.05)


def test_target_follows_the_critic_by_tau():
    before = agent()
    old = kept(before.target)
    after, _ = before.update(batch(slices=1))
    new = kept({name: after.critic[name] for name in old})
    expected = jax.tree.map(lambda o, n: 0.9 * o + 0.1 * n, old, new)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), kept(after.target), expected)


def test_one_actor_step_for_a_block_of_critic_steps():
    after, _ = agent().update(batch(slices=4))
    count = {name: int(getattr(after, f"{name}_optimiser")[0].count) for name in ("actor", "critic", "temperature")}
    assert count == {"actor": 1, "critic": 4, "temperature": 1}


def with_deviation(learner, log_std, zero_mean=False):
    """The agent with the same deviation everywhere."""
    last = learner.actor["mlp"][-1]
    kernel = jnp.zeros_like(last["kernel"]) if zero_mean else last["kernel"].at[:, 2:].set(0)
    last = {"kernel": kernel, "bias": last["bias"].at[2:].set(log_std)}
    return dataclasses.replace(learner, actor=learner.actor | {"mlp": [*learner.actor["mlp"][:-1], last]})


def q_by_hand(ensemble, member, pose, action):
    x = np.concatenate([pose, action], -1)
    for layer in ensemble[:-1]:
        x = x @ layer["kernel"][member] + layer["bias"][member]
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
        x = np.maximum(x * layer["scale"][member] + layer["shift"][member], 0)
    return (x @ ensemble[-1]["kernel"][member] + ensemble[-1]["bias"][member])[..., 0]


def test_first_losses_by_hand():
    """With all members in the minimum and a policy without noise, both losses are closed formulas.

    The critic's: squared errors to the minimum of a target that is not the critic. The actor's: the mean of all
    critics, on the last slice.
    """
    learner = with_deviation(agent(learning_rate=0.0, initial_temperature=0.0, tau=0.0), -20.0)
    learner = dataclasses.replace(learner, target=jax.tree.map(lambda leaf: 0.7 * leaf, learner.target))
    policy, critic, target = learner.policy(), kept(learner.critic["ensemble"]), kept(learner.target["ensemble"])

    def actions(poses):
        return np.stack([policy.act({"pose": pose}, None) for pose in poses])

    data = batch(slices=2, terminated=0)
    poses, following = (np.concatenate(side["pose"]) for side in (data.observation, data.next_observation))
    next_q = np.min([q_by_hand(target, m, following, actions(following)) for m in range(3)], 0)
    wanted = data.reward.ravel() + 0.5 * next_q
    errors = [q_by_hand(critic, m, poses, np.concatenate(data.action)) - wanted for m in range(3)]
    last = data.observation["pose"][-1]
    values = [q_by_hand(critic, m, last, actions(last)) for m in range(3)]
    _, metrics = learner.update(data)
    assert float(metrics["critic_loss"]) == pytest.approx(np.mean(np.square(errors)), rel=1e-4)
    assert float(metrics["actor_loss"]) == pytest.approx(-np.mean(values), rel=1e-4)


def test_the_target_is_the_minimum_over_members_drawn_anew_each_step():
    """Critics worth 0, targets worth 2, 4 and 6, reward 0: the loss is the square of half the smaller of two."""
    learner = agent(critic_subset=2, learning_rate=0.0, tau=0.0)

    def worth(tree, values):
        bias = jnp.array(values)[:, None]
        last = {"kernel": jnp.zeros_like(tree["ensemble"][-1]["kernel"]), "bias": bias}
        return tree | {"ensemble": [*tree["ensemble"][:-1], last]}

    learner = dataclasses.replace(
        learner, critic=worth(learner.critic, [0.0, 0.0, 0.0]), target=worth(learner.target, [2.0, 4.0, 6.0])
    )
    losses = []
    for _ in range(30):
        learner, metrics = learner.update(batch(slices=1, reward=0))
        losses.append(float(metrics["critic_loss"]))
    assert set(losses) == {1.0, 4.0}


def test_layer_norm_is_the_critics_alone_and_can_be_left_out():
    assert all("scale" in layer for layer in agent().critic["ensemble"][:-1])
    assert not any("scale" in layer for layer in agent(layer_norm=False).critic["ensemble"])
    assert not any("scale" in layer for layer in agent().actor["mlp"])


def test_every_step_draws_with_a_key_of_its_own():
    first = np.array(agent().key)
    after = [np.array(agent().update(batch(slices=count))[0].key) for count in (1, 4)]
    assert len({key.tobytes() for key in (first, *after)}) == 3


@pytest.mark.parametrize("log_std, sign", [(-3.0, 1), (-2.1, 1), (-1.8, -1), (-0.3, -1)])
def test_temperature_rises_when_entropy_is_too_low_and_falls_when_too_high(log_std, sign):
    learner = with_deviation(agent(), log_std, zero_mean=True)
    before = float(learner.log_temperature)
    after, metrics = learner.update(batch())
    assert np.sign(float(after.log_temperature) - before) == sign
    assert np.sign(-1 - float(metrics["entropy"])) == sign  # the target is minus half the actions


def test_entropy_backup_raises_the_value_of_an_uncertain_future():
    plain, backed = agent(initial_temperature=1.0), agent(initial_temperature=1.0, entropy_backup=True)
    for seed in range(40):
        data = batch(seed=seed, reward=0)
        plain, metrics = plain.update(data)
        backed, backed_metrics = backed.update(data)
    assert float(backed_metrics["entropy"]) > 0.3
    assert float(backed_metrics["q"]) > float(metrics["q"]) + 0.1


def test_policy_keeps_its_weights_when_the_agent_learns_on():
    learner = agent()
    policy = learner.policy()
    before = policy.act(EXAMPLE, None)
    learner, _ = learner.update(batch())
    np.testing.assert_array_equal(policy.act(EXAMPLE, None), before)
    assert not np.array_equal(learner.policy().act(EXAMPLE, None), before)


class Point:
    """A point in the unit square that must come within 0.1 of the goal; reward 1 there, else 0."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def reset(self):
        self.point, self.goal = self.rng.uniform(-1, 1, (2, 2))
        return self.observation()

    def observation(self):
        return {"goal": self.goal.astype(np.float32), "point": self.point.astype(np.float32)}

    def step(self, action):
        self.point = np.clip(self.point + 0.15 * action, -1, 1)
        reached = bool(np.linalg.norm(self.point - self.goal) < 0.1)
        return self.observation(), float(reached), reached


def episodes(world, act, sequence, limit=25):
    """Endless transitions of `act(observation, sequence)`."""
    while True:
        observation = world.reset()
        for step in range(limit):
            action = act(observation, sequence)
            following, reward, reached = world.step(action)
            fields = {"reward": reward, "terminated": reached, "truncated": not reached and step == limit - 1}
            yield transition(sequence, observation=observation, following=following, action=action, **fields)
            sequence, observation = sequence + 1, following
            if reached:
                break


def success_rate(policy, count=50):
    world, wins = Point(99), 0
    for _ in range(count):
        observation, reached = world.reset(), False
        for _ in range(25):
            observation, _, reached = world.step(policy.act(observation, None))
            wins += reached
            if reached:
                break
    return wins / count


@pytest.mark.long
def test_sparse_reaching_is_learnt_from_a_few_demonstrations():
    rng = np.random.default_rng(1)

    def expert(observation, _):
        action = (observation["goal"] - observation["point"]) / 0.15 + rng.normal(0, 0.3, 2)
        return action.clip(-1, 1).astype(np.float32)

    steps = episodes(Point(1), expert, 0)
    demos = [next(steps) for _ in range(300)]
    config = LearnerConfig(critics=2, hidden=(64, 64), batch=64, start=100, discount=0.9, tau=0.02, learning_rate=1e-3)
    learner = Learner(RunConfig("point", learner=config), demos[0].observation, 2, demos)
    policy, _ = policy_from_bytes(learner.policy_bytes())
    assert success_rate(policy) < 0.5
    key = jax.random.PRNGKey(0)

    def explore(observation, sequence):
        return policy.act(observation, jax.random.fold_in(key, sequence))

    stream = episodes(Point(2), explore, 0)
    for _ in range(1500):
        learner.receive([next(stream)])
        if learner.ready():
            learner.update_block()
            policy, _ = policy_from_bytes(learner.policy_bytes())
    assert success_rate(policy) >= 0.9


def adam_by_hand(gradient, state, params, rate):
    """Kingma and Ba (2015), algorithm 1. state: (steps, first moments, second moments)."""
    steps, first, second = state[0] + 1, *state[1:]
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradient)
    second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g**2, second, gradient)
    step = lambda p, m, v: p - rate * (m / (1 - 0.9**steps)) / (jnp.sqrt(v / (1 - 0.999**steps)) + 1e-8)  # noqa: E731
    return jax.tree.map(step, params, first, second), (steps, first, second)


def q_of_each(ensemble, pose, action):
    """(members, batch): one network after another."""

    def q(member):
        x = jnp.concatenate([pose, action], -1)
        for layer in ensemble[:-1]:
            x = x @ layer["kernel"][member] + layer["bias"][member]
            x = (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-6)
            x = jax.nn.relu(x * layer["scale"][member] + layer["shift"][member])
        return (x @ ensemble[-1]["kernel"][member] + ensemble[-1]["bias"][member])[..., 0]

    return jnp.stack([q(member) for member in range(len(ensemble[0]["bias"]))])


def act_by_hand(actor, pose, key):
    """Actions and their log-probabilities."""
    x = pose
    for layer in actor[:-1]:
        x = jax.nn.relu(x @ layer["kernel"] + layer["bias"])
    output = x @ actor[-1]["kernel"] + actor[-1]["bias"]
    mean, log_std = output[:, :2], jnp.clip(output[:, 2:], -20, 2)
    noise = jax.random.normal(key, mean.shape)
    action = jnp.tanh(mean + jnp.exp(log_std) * noise)
    normal = -0.5 * noise**2 - log_std - 0.5 * jnp.log(2 * jnp.pi)
    return action, (normal - jnp.log(1 - action**2)).sum(-1)


@jax.jit
def critic_step_by_hand(critic, target, adam, actor, temperature, key, data, subset, rate, tau):
    """One slice. subset: which members the minimum is over."""
    next_action, log_prob = act_by_hand(actor, data.next_observation["pose"], key)
    worst = q_of_each(target, data.next_observation["pose"], next_action)[subset].min(0) - temperature * log_prob
    wanted = data.reward + data.discount * (1 - data.terminated) * worst

    def loss(critic):
        return ((q_of_each(critic, data.observation["pose"], data.action) - wanted) ** 2).mean()

    critic, adam = adam_by_hand(jax.grad(loss)(critic), adam, critic, rate)
    return critic, jax.tree.map(lambda old, new: (1 - tau) * old + tau * new, target, critic), adam


@jax.jit
def actor_step_by_hand(actor, adam, critic, temperature, key, pose, rate):
    def loss(actor):
        action, log_prob = act_by_hand(actor, pose, key)
        return (temperature * log_prob - q_of_each(critic, pose, action).mean(0)).mean()

    return adam_by_hand(jax.grad(loss)(actor), adam, actor, rate)


def update_by_hand(learner, data, rate, tau):
    """What an update should be: one slice and one network after another, plain automatic differentiation."""
    actor, key, temperature = learner.actor["mlp"], learner.key, jnp.exp(learner.log_temperature)
    critic, target = learner.critic["ensemble"], learner.target["ensemble"]
    actor_adam, critic_adam = (
        (state.count, state.mu[part], state.nu[part])
        for state, part in ((learner.actor_optimiser[0], "mlp"), (learner.critic_optimiser[0], "ensemble"))
    )
    for i in range(len(data.reward)):
        key, sample_key, subset_key, *_ = jax.random.split(key, 5)
        subset = jax.random.choice(subset_key, CONFIG.critics, (learner.settings.critic_subset,), replace=False)
        one = jax.tree.map(lambda leaf, i=i: leaf[i], data)
        critic, target, critic_adam = critic_step_by_hand(
            critic, target, critic_adam, actor, temperature, sample_key, one, subset, rate, tau
        )
    _, sample_key, _ = jax.random.split(key, 3)
    actor, _ = actor_step_by_hand(actor, actor_adam, critic, temperature, sample_key, one.observation["pose"], rate)
    return {"critic": critic, "target": target, "actor": actor}


def test_an_update_is_what_is_written_out_by_hand():
    """Two updates of three slices, momentum included; the members of the minimum are drawn, entropy is backed up."""
    learner = agent(critic_subset=2, entropy_backup=True, initial_temperature=0.3)
    for seed in range(2):
        data = batch(slices=3, seed=seed, terminated=seed)
        expected = kept(update_by_hand(learner, data, CONFIG.learning_rate, CONFIG.tau))
        learner, _ = learner.update(data)
        found = {"critic": learner.critic["ensemble"], "target": learner.target["ensemble"]}
        found = kept(found | {"actor": learner.actor["mlp"]})
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-5), found, expected)


def test_no_momentum_moves_what_a_step_does_not_train():
    """After an update every optimiser has momentum, yet a critic step leaves the actor alone to the bit, and back."""
    learner, _ = agent().update(batch())
    assert np.abs(learner.actor_optimiser[0].mu["mlp"][0]["kernel"]).max() > 0
    one = jax.tree.map(lambda leaf: leaf[0], batch())
    parts = {
        _update_critic: ("actor", "actor_optimiser", "log_temperature", "temperature_optimiser"),
        _update_actor: ("critic", "critic_optimiser", "target"),
    }
    for step, frozen in parts.items():
        after, _ = jax.jit(step)(learner, one)
        for name in frozen:
            jax.tree.map(np.testing.assert_array_equal, kept(getattr(after, name)), kept(getattr(learner, name)))
        trained = "critic" if "actor" in frozen else "actor"
        assert jax.tree.leaves(kept(getattr(after, trained)))[0] != pytest.approx(
            jax.tree.leaves(kept(getattr(learner, trained)))[0], abs=1e-9
        )


def test_bfloat16_products_hardly_change_an_update():
    """Parameters and losses stay float32; the critic's loss agrees to the precision of bfloat16."""
    losses = {}
    for precision in ("float32", "bfloat16"):
        learner, metrics = agent(precision=precision).update(batch())
        floats = {leaf.dtype for leaf in jax.tree.leaves(learner) if jnp.issubdtype(leaf.dtype, jnp.floating)}
        assert floats == {jnp.dtype("float32")}
        losses[precision] = float(metrics["critic_loss"])
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.02)
    assert losses["bfloat16"] != losses["float32"]
