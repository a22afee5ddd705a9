from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from robot_rl.nets.mlp import (
    apply_ensemble,
    apply_mlp,
    choose_members,
    init_ensemble,
    init_mlp,
    layer_norm,
    norm_relu,
    rounded_product,
)

KEY = jax.random.PRNGKey(0)


def test_mlp_is_the_textbook_formula():
    layers = init_mlp(KEY, (3, 5, 2))
    x = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    hidden = np.maximum(x @ np.asarray(layers[0]["kernel"]) + layers[0]["bias"], 0)
    expected = hidden @ np.asarray(layers[1]["kernel"]) + layers[1]["bias"]
    np.testing.assert_allclose(apply_mlp(layers, x), expected, rtol=1e-5)


def test_layer_norm_has_mean_shift_and_deviation_scale():
    x = 7 + 3 * np.random.default_rng(0).normal(size=(10, 256)).astype(np.float32)
    y = np.asarray(layer_norm(jnp.asarray(x), jnp.full(256, 2.0), jnp.full(256, 5.0)))
    np.testing.assert_allclose(y.mean(-1), 5, atol=1e-4)
    np.testing.assert_allclose(y.std(-1), 2, atol=1e-4)


@pytest.mark.parametrize("norm", [False, True])
def test_ensemble_is_its_members_one_by_one(norm):
    layers = jax.jit(lambda key: init_ensemble(key, 3, (4, 8, 8, 1), layer_norm=norm))(KEY)
    x = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    together = jax.jit(apply_ensemble)(layers, x)
    assert together.shape == (3, 6, 1)
    for member in range(3):
        alone = jax.jit(apply_mlp)(jax.tree.map(lambda leaf, m=member: leaf[m], layers), x)
        np.testing.assert_allclose(together[member], alone, rtol=1e-5, atol=1e-6)
    assert not np.allclose(together[0], together[1])


def test_subset_minimum_has_the_expected_distribution():
    """Of members worth 1, 2 and 3, the minimum over two at random is 1 twice in three times, else 2."""
    layers = [{"kernel": jnp.zeros((3, 1, 1)), "bias": jnp.array([[1.0], [2.0], [3.0]])}]

    @jax.jit
    @jax.vmap
    def minimum(key):
        return apply_ensemble(choose_members(key, layers, 3, 2), jnp.zeros((1, 1))).min()

    values = np.asarray(minimum(jax.random.split(KEY, 600)))
    assert set(values) == {1.0, 2.0}
    assert np.mean(values == 1) == pytest.approx(2 / 3, abs=0.06)


def test_all_members_are_kept_in_order():
    layers = init_ensemble(KEY, 3, (2, 1))
    assert choose_members(KEY, layers, 3, 3) is layers


def pulled_back(function, given, weight):
    """What `function` gives, and the gradient of its sum weighted by `weight`."""
    value, gradient = jax.vjp(function, *given)
    return value, gradient(weight)


def test_norm_relu_and_its_gradient_are_those_of_layer_norm_and_relu():
    """Written out with automatic differentiation; inputs off centre, where a careless variance would lose digits."""
    keys = jax.random.split(KEY, 5)
    x = 3 + jax.random.normal(keys[0], (2, 7, 16))
    bias, scale, shift = (jax.random.normal(k, (16,)) for k in keys[1:4])
    weight = jax.random.normal(keys[4], x.shape)

    def plain(x, bias, scale, shift):
        return jax.nn.relu(layer_norm(x + bias, scale, shift))

    values, gradients = [], []
    for function in (plain, norm_relu):
        value, gradient = jax.jit(lambda *given, f=function: pulled_back(f, given, weight))(x, bias, scale, shift)
        values.append(value)
        gradients.append(gradient)
    np.testing.assert_allclose(*values, rtol=1e-4, atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), *gradients)


def test_bfloat16_is_for_the_products_alone():
    layers = init_mlp(KEY, (8, 16, 16, 1), layer_norm=True)
    x = jax.random.normal(KEY, (32, 8))
    exact, rounded = (jax.jit(partial(apply_mlp, dtype=dtype))(layers, x) for dtype in (jnp.float32, jnp.bfloat16))
    assert rounded.dtype == jnp.float32
    assert 0 < float(jnp.abs(exact - rounded).max()) < 0.05
    gradient = jax.jit(jax.grad(lambda layers: apply_mlp(layers, x, jnp.bfloat16).mean()))(layers)
    assert {leaf.dtype for leaf in jax.tree.leaves(gradient)} == {jnp.dtype("float32")}


def test_a_rounded_product_and_its_gradient_round_the_factors_and_not_the_sums():
    """Against float64 products of the rounded factors: rounding a sum too would be 1e-3 off."""
    rng = np.random.default_rng(0)
    x, kernel, weight = (rng.normal(size=size).astype(np.float32) for size in ((2, 40, 300), (300, 50), (2, 40, 50)))
    exact = [np.float64(jnp.asarray(value, jnp.bfloat16)) for value in (x, kernel, weight)]
    rounded = partial(rounded_product, dtype=jnp.bfloat16)
    value, (of_x, of_kernel) = jax.jit(partial(pulled_back, rounded))((x, kernel), weight)
    assert {one.dtype for one in (value, of_x, of_kernel)} == {jnp.dtype("float32")}
    for found, wanted in (
        (value, exact[0] @ exact[1]),
        (of_x, exact[2] @ exact[1].T),
        (of_kernel, np.einsum("bni,bno->io", exact[0], exact[2])),
    ):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5 * np.abs(wanted).max())
