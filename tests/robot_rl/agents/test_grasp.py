"""The gripper's choice: against known answers, beside an arm that does not notice."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from robot_rl.agents import make_agent, policy_from_bytes
from robot_rl.agents.gripper import CLOSE, EPSILON, OPEN, STAY, as_action, as_choice, changes, choose, equivalents
from robot_rl.agents.policy import _digest
from robot_rl.data.replay import Batch
from robot_rl.exceptions import ConfigError
from robot_rl.learner_config import LearnerConfig, validate_learner
from tasks.spec import GripperSpec
from tests.robot_rl.agents.test_sac import kept

GRIPPER = GripperSpec(closed=0.0, open=0.08, threshold=0.3)
CONFIG = LearnerConfig(
    critics=2, hidden=(32,), discount=0.5, tau=0.1, learning_rate=3e-3, grasp_critic=True, grasp_penalty=0.5
)
IS_OPEN, IS_CLOSED, HOLDS = ([1.0, 0.0], [0.0, 0.0], [0.95, 1.0])
EXAMPLE = {"gripper": np.array(IS_OPEN, np.float32), "pose": np.zeros(3, np.float32)}


def agent(example=EXAMPLE, **changes):
    return make_agent("rlpd", dataclasses.replace(CONFIG, **changes), example, 3, 0, gripper=GRIPPER)


def batch(slices=2, size=64, seed=0, gripper=IS_OPEN, bonus=0.0, terminated=1.0):
    """Actions of which a third each open, stay and close, analogue; closing earns `bonus`."""
    rng = np.random.default_rng(seed)
    shape = (slices, size)
    action = rng.uniform(-1, 1, (*shape, 3)).astype(np.float32)
    action[..., -1] = rng.choice([-0.8, -0.2, 0.0, 0.4, 1.0], shape)

    def observation():
        seen = np.broadcast_to(np.array(gripper, np.float32), (*shape, 2)).copy()
        return {"gripper": seen, "pose": rng.normal(size=(*shape, 3)).astype(np.float32)}

    return Batch(
        observation(),
        action,
        np.where(action[..., -1] > GRIPPER.threshold, bonus, 0).astype(np.float32),
        np.full(shape, terminated, np.float32),
        np.full(shape, CONFIG.discount, np.float32),
        observation(),
    )


def trained(learner, steps=120, **changes):
    for seed in range(steps):
        learner, metrics = learner.update(batch(seed=seed, **changes))
    return learner, metrics


def test_analogue_actions_are_choices_by_the_tasks_threshold():
    assert as_choice(np.array([-1, -0.31, -0.3, 0, 0.3, 0.31, 1]), 0.3).tolist() == [0, 0, 1, 1, 1, 2, 2]
    assert as_choice(as_action(jnp.array([OPEN, STAY, CLOSE])), 0.3).tolist() == [OPEN, STAY, CLOSE]


@pytest.mark.parametrize("gripper, changing", [(IS_OPEN, CLOSE), (IS_CLOSED, OPEN), (HOLDS, OPEN), ([0.5, 0.0], OPEN)])
def test_what_changes_the_gripper(gripper, changing):
    changed = changes(jnp.array([OPEN, STAY, CLOSE]), jnp.array([gripper] * 3), 0.9)
    assert np.flatnonzero(changed).tolist() == [changing]
    stacked = jnp.array([[0.5, 0.5, *gripper]] * 3)  # the newest of two is the last
    np.testing.assert_array_equal(changes(jnp.array([OPEN, STAY, CLOSE]), stacked, 0.9), changed)


@pytest.mark.parametrize(
    "gripper, sets",
    [
        (IS_OPEN, [{OPEN, STAY}, {OPEN, STAY}, {CLOSE}]),
        (HOLDS, [{OPEN}, {STAY, CLOSE}, {STAY, CLOSE}]),
        ([0.5, 0.0], [{OPEN}, {STAY}, {CLOSE}]),
        (IS_CLOSED, [{OPEN}, {STAY}, {CLOSE}]),
    ],
)
def test_choices_that_do_the_same_learn_the_same(gripper, sets):
    same = equivalents(jnp.array([OPEN, STAY, CLOSE]), jnp.array([gripper] * 3), 0.9)
    assert [set(np.flatnonzero(row).tolist()) for row in same] == sets


@pytest.mark.long
def test_the_penalty_alone_changes_the_learnt_choice():
    """Closing earns 0.1 and changes an open gripper, which costs 0 here and 0.5 there; the data are the same."""
    free, costly = (trained(agent(grasp_penalty=penalty), bonus=0.1)[0] for penalty in (0.0, 0.5))
    assert free.policy().act(EXAMPLE, None)[-1] == 1
    assert costly.policy().act(EXAMPLE, None)[-1] != 1
    closed = EXAMPLE | {"gripper": np.array(IS_CLOSED, np.float32)}
    to_close = trained(agent(), bonus=0.1, gripper=IS_CLOSED)[0]  # closing what is closed costs nothing
    assert to_close.policy().act(closed, None)[-1] == 1


def test_the_arm_learns_as_without_a_gripper_and_does_not_see_the_penalty():
    data = [batch(seed=seed, bonus=1.0, terminated=0.0) for seed in range(3)]
    plain = make_agent("rlpd", dataclasses.replace(CONFIG, grasp_critic=False), EXAMPLE, 2, 0)
    learners = [agent(grasp_penalty=0.0), agent(grasp_penalty=0.5)]
    for b in data:
        plain, _ = plain.update(b._replace(action=b.action[..., :-1]))
        learners = [learner.update(b)[0] for learner in learners]
    for learner in learners:
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), learner.arm.actor, plain.actor)
    assert any(jax.tree.leaves(jax.tree.map(lambda a, b: (a != b).any(), learners[0].grasp, learners[1].grasp)))


def test_first_loss_by_hand():
    """Online values (0, 2, 1) choose to stay, whose target is worth 4: 0.5 * 4, less the penalty where it closes.

    The gripper is open: to open it and to stay are alike.
    """

    def worth(tree, values):
        last = {"kernel": jnp.zeros_like(tree["mlp"][-1]["kernel"]), "bias": jnp.array(values)}
        return tree | {"mlp": [*tree["mlp"][:-1], last]}

    learner = agent(learning_rate=0.0)
    learner = dataclasses.replace(
        learner, grasp=worth(learner.grasp, [0.0, 2.0, 1.0]), target=worth(learner.target, [8.0, 4.0, 6.0])
    )
    data = batch(slices=1, terminated=0.0)
    data.reward[...] = np.random.default_rng(3).normal(size=data.reward.shape)
    choice = np.array(as_choice(data.action[..., -1], GRIPPER.threshold))
    wanted = data.reward + 0.5 * 4 - 0.5 * (choice == CLOSE)
    errors = np.square(np.array([0.0, 2.0, 1.0]) - wanted[..., None])
    expected = np.where(choice == CLOSE, errors[..., CLOSE], errors[..., OPEN] + errors[..., STAY]).mean()
    _, metrics = learner.update(data)
    assert float(metrics["grasp_loss"]) == pytest.approx(expected, rel=1e-5)
    assert float(metrics["grasp_changes"]) == pytest.approx(np.mean(choice == CLOSE))


def test_a_step_for_each_slice_in_one_call():
    learner, metrics = agent().update(batch(slices=2))
    assert int(learner.optimiser[0].count) == 2
    assert {"critic_loss", "actor_loss", "grasp_loss", "grasp_q", "refused"} <= set(metrics)


def test_a_bad_number_that_only_the_grasp_critic_sees_refuses_the_whole_step():
    before = agent()
    before = dataclasses.replace(before, grasp=jax.tree.map(lambda leaf: leaf.at[:].set(jnp.nan), before.grasp))
    arm = kept(before.arm)
    after, metrics = before.update(batch())
    assert metrics["refused"] == 1
    jax.tree.map(np.testing.assert_array_equal, kept(after.arm), arm)


def test_exploration_is_rare_and_follows_the_key():
    values = jnp.tile(jnp.array([0.0, 0.0, 1.0]), (20_000, 1))
    assert (choose(values, None) == CLOSE).all()
    drawn = choose(values, jax.random.key(0))
    np.testing.assert_array_equal(drawn, choose(values, jax.random.key(0)))
    counts = np.bincount(drawn, minlength=3) / len(drawn)
    assert counts[OPEN] == pytest.approx(EPSILON / 3, rel=0.3) and counts[STAY] == pytest.approx(EPSILON / 3, rel=0.3)


def test_the_policys_message_brings_the_choice():
    policy = agent().policy()
    copy, version = policy_from_bytes(policy.to_bytes(5))
    assert version == 5 and copy.action_dim == 3
    for key in (None, jax.random.key(1)):
        action = copy.act(EXAMPLE, key)
        assert action.shape == (3,) and action[-1] in (-1, 0, 1)
        np.testing.assert_array_equal(action, policy.act(EXAMPLE, key))


def test_a_message_from_before_there_were_choices_is_read():
    policy = make_agent("rlpd", dataclasses.replace(CONFIG, grasp_critic=False), EXAMPLE, 3, 0).policy()
    message = policy.to_bytes(5)
    arrays = safetensors.numpy.load(message)
    length = int.from_bytes(message[:8], "little")
    facts = json.loads(json.loads(message[8 : 8 + length])["__metadata__"]["policy"])
    del facts["grasp"], facts["sha256"]
    old = safetensors.numpy.save(arrays, {"policy": json.dumps(facts | {"sha256": _digest(facts, arrays)})})
    np.testing.assert_array_equal(policy_from_bytes(old)[0].act(EXAMPLE, None), policy.act(EXAMPLE, None))


@pytest.mark.long
def test_from_pixels_the_choice_reads_the_critics_features():
    """Only the picture tells whether closing pays."""
    example = EXAMPLE | {"wrist": np.zeros((16, 16, 3), np.uint8)}
    learner = agent(example, grasp_penalty=0.0)
    for seed in range(60):
        data = batch(slices=1, size=16, seed=seed)
        bright = np.random.default_rng(seed).random(data.reward.shape) < 0.5
        images = np.broadcast_to(np.where(bright, 255, 0)[..., None, None, None], (*bright.shape, 16, 16, 3))
        reward = np.where((data.action[..., -1] > 0.3) == bright, 1, 0).astype(np.float32)
        both = {"wrist": images.astype(np.uint8)}
        learner, _ = learner.update(
            data._replace(
                observation=data.observation | both, next_observation=data.next_observation | both, reward=reward
            )
        )
    policy = learner.policy()
    assert policy.act(example | {"wrist": np.full((16, 16, 3), 255, np.uint8)}, None)[-1] == 1
    assert policy.act(example, None)[-1] != 1


@pytest.mark.long
def test_it_learns_and_acts_from_features():
    """float16 maps of a frozen backbone, two crops of each."""
    example = EXAMPLE | {"wrist_features": np.zeros((2, 4, 4, 8), np.float16)}
    learner, data = agent(example), batch(slices=1, size=8)
    maps = np.random.default_rng(0).normal(size=(1, 8, 2, 4, 4, 8)).astype(np.float16)
    both = {"wrist_features": maps}
    before = kept(learner.grasp)
    learner, metrics = learner.update(
        data._replace(observation=data.observation | both, next_observation=data.next_observation | both)
    )
    assert metrics["refused"] == 0 and np.isfinite(metrics["grasp_loss"])
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), kept(learner.grasp["projection"]), before["projection"])
    assert all(jax.tree.leaves(moved)) and jax.tree.leaves(moved)
    assert learner.policy().act(example, None)[-1] in (-1, 0, 1)


def test_it_needs_a_gripper_and_single_rewards():
    for example, dim, gripper in ((EXAMPLE, 3, None), (EXAMPLE, 1, GRIPPER), ({"pose": np.zeros(3)}, 3, GRIPPER)):
        with pytest.raises(ConfigError, match="grasp_critic is on, but the task has no gripper"):
            make_agent("rlpd", CONFIG, example, dim, 0, gripper=gripper)
    with pytest.raises(ConfigError, match="n_step is 3"):
        validate_learner(dataclasses.replace(CONFIG, n_step=3))
