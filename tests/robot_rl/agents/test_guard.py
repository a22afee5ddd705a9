"""An update that made a number that is not finite changes nothing, whatever made it."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from robot_rl.agents import make_agent
from robot_rl.agents.guard import accept
from tests.robot_rl.agents.test_sac import CONFIG, EXAMPLE, batch, kept

GOOD = {"weight": jnp.ones(3), "count": jnp.int32(1), "key": jnp.array([1, 2], jnp.uint32)}
FIELDS = ["action", "reward", "terminated", "discount", "observation", "next_observation"]


def same(one, other):
    jax.tree.map(np.testing.assert_array_equal, kept(one), kept(other))


def spoilt(field, value, slices=4):
    """A batch with one bad number, in its first slice."""
    data = batch(slices=slices)
    array = getattr(data, field)
    array = array["pose"] if isinstance(array, dict) else array
    array[0, 0] = value
    return data


def test_finite_numbers_are_taken():
    new = jax.tree.map(lambda leaf: leaf + 1, GOOD)
    taken, metrics = accept(GOOD, new, {"loss": jnp.float32(3)})
    same(taken, new)
    assert metrics == {"loss": 3, "refused": 0}


@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf, -jnp.inf])
def test_one_bad_number_refuses_all_of_it(bad):
    worse = GOOD | {"weight": jnp.array([2, bad, 2]), "count": jnp.int32(2)}
    for new, loss in ((worse, 1.0), (GOOD | {"count": jnp.int32(2)}, bad)):
        taken, metrics = accept(GOOD, new, {"loss": jnp.float32(loss)})
        same(taken, GOOD)
        assert metrics["refused"] == 1


@pytest.mark.parametrize(
    "name, field", [*(("rlpd", field) for field in FIELDS), ("bc", "action"), ("bc", "observation")]
)
def test_an_agent_survives_a_batch_that_is_not_finite(name, field):
    agent = make_agent(name, CONFIG, EXAMPLE, 2, 0)
    agent, metrics = agent.update(batch())
    assert metrics["refused"] == 0
    before = kept(agent)
    agent, metrics = agent.update(spoilt(field, np.nan))
    assert metrics["refused"] == 1
    same(agent, before)
    agent, metrics = agent.update(batch(seed=1))
    assert metrics["refused"] == 0 and np.isfinite([float(value) for value in metrics.values()]).all()


def test_a_gradient_that_overflows_behind_a_finite_loss_is_seen():
    """The loss is 1e36; the first layer's gradient is 1e4 times an error of 1e18, and Adam keeps its square."""
    agent = make_agent("rlpd", dataclasses.replace(CONFIG, layer_norm=False), EXAMPLE, 2, 0)
    before, data = kept(agent), batch(slices=1, reward=1e18, terminated=1)
    agent, metrics = agent.update(data._replace(observation={"pose": 1e4 * data.observation["pose"]}))
    assert np.isfinite(metrics["critic_loss"]) and metrics["refused"] == 1
    same(agent, before)
