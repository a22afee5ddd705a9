import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from robot_rl.nets.observation import ObservationSpec
from robot_rl.rewards.vice.configuration import ViceConfig
from robot_rl.rewards.vice.model import Vice, mix

STATE = ObservationSpec((("pose", 3),))
SEEN = ObservationSpec((("pose", 3),), features=(("wrist_features", (2, 2, 2, 4)),))
SMALL = ViceConfig(hidden=32, learning_rate=1e-3)


def around(centre, slices=5, count=16, seed=0):
    rng = np.random.default_rng([seed, int(10 * centre) + 100])
    return {"pose": rng.normal(centre, 0.3, (slices, count, 3)).astype(np.float32)}


def trained(vice, times=100):
    for seed in range(times):
        vice, metrics = vice.update(around(1.0, seed=seed), around(-1.0, seed=seed))
    return vice, metrics


def test_it_tells_the_goal_from_what_was_reached_and_is_never_sure():
    vice, metrics = trained(Vice.create(SMALL, STATE, 0))
    goal, other = (np.asarray(vice.probability({"pose": np.full((1, 3), at, np.float32)})) for at in (1, -1))
    assert goal > 0.7 and other < 0.3
    assert goal < 0.95 and other > 0.05  # smoothed, mixed and penalised: what is far from both is not called certain
    assert metrics["vice_goals"] > metrics["vice_reached"] and metrics["refused"] == 0


def test_what_cannot_be_told_apart_is_worth_a_half():
    vice = Vice.create(SMALL, STATE, 0)
    for seed in range(60):
        vice, _ = vice.update(around(1.0, seed=seed), around(1.0, seed=seed + 1000))
    assert abs(float(vice.probability({"pose": np.ones((1, 3), np.float32)})[0]) - 0.5) < 0.1


def slopes(vice):
    """Of the logit, on the way from the one to the other."""
    logit = lambda pose: jax.scipy.special.logit(vice.probability({"pose": pose[None]}))[0]  # noqa: E731
    return [float(jnp.linalg.norm(jax.grad(logit)(jnp.full(3, at)))) for at in (-0.5, 0.0, 0.5)]


def test_the_penalty_holds_the_slope_near_one():
    plain = dataclasses.replace(SMALL, smoothing=0.0, mixup=0.0)
    free = trained(Vice.create(dataclasses.replace(plain, penalty=0.0), STATE, 0))[0]
    held = trained(Vice.create(plain, STATE, 0))[0]
    assert max(slopes(free)) > 2
    assert all(0.7 < slope < 1.3 for slope in slopes(held))


def test_moments_are_mixed_with_their_labels():
    x, label = jnp.arange(8.0)[:, None], jnp.arange(8.0)
    mixed, labels = mix(jax.random.PRNGKey(0), x, label, 1.0)
    assert np.allclose(mixed[:, 0], labels) and not np.allclose(labels, label)
    assert mix(jax.random.PRNGKey(0), x, label, 0.0)[1] is label


def test_where_there_are_cameras_it_looks_at_nothing_else():
    vice = Vice.create(SMALL, SEEN, 0)
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(3, 2, 2, 2, 4)).astype(np.float16)
    near, far = ({"pose": np.full((3, 3), at, np.float32), "wrist_features": maps} for at in (0, 9))
    assert np.array_equal(vice.probability(near), vice.probability(far))
    other = {"wrist_features": rng.normal(size=(3, 2, 2, 2, 4)).astype(np.float16)}
    assert not np.array_equal(vice.probability(near), vice.probability(other))


def test_an_update_with_bad_numbers_changes_nothing():
    vice, _ = trained(Vice.create(SMALL, STATE, 0), 1)
    before = np.asarray(vice.probability({"pose": np.ones((1, 3), np.float32)}))
    goals = around(1.0)
    goals["pose"][0, 0] = np.nan
    vice, metrics = vice.update(goals, around(-1.0))
    assert metrics["refused"] == 1
    assert np.array_equal(vice.probability({"pose": np.ones((1, 3), np.float32)}), before)


@pytest.mark.parametrize("change", [{"updates": 0}, {"batch": 1}, {"smoothing": 1.0}, {"penalty": -1.0}])
def test_what_cannot_work_is_named(change):
    from robot_rl.exceptions import ConfigError
    from robot_rl.rewards.vice.configuration import validate_vice

    name, value = next(iter(change.items()))
    with pytest.raises(ConfigError, match=rf"vice\.{name} is {value}, but must be"):
        validate_vice(dataclasses.replace(SMALL, **change))
