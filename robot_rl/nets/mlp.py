"""Multi-layer perceptrons and ensembles of them, as pytrees of arrays and functions on them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

Layer = dict[str, Array]
MLP = list[Layer]
"""One dict a layer: kernel (in, out), bias (out,), with layer norm also scale and shift (out,).
An ensemble has the same names with the members as a further leading axis."""

EPSILON = 1e-6
"""Added to the variance in layer norm."""

xavier_uniform = jax.nn.initializers.xavier_uniform()


def init_dense(key: Array, inputs: int, outputs: int) -> Layer:
    """A linear layer, Xavier-uniform weights and no bias."""
    return {"kernel": xavier_uniform(key, (inputs, outputs), jnp.float32), "bias": jnp.zeros(outputs)}


def init_mlp(key: Array, sizes: Sequence[int], *, layer_norm: bool = False) -> MLP:
    """A network of `sizes` (inputs, hidden..., outputs). layer_norm: before each hidden activation."""
    keys = jax.random.split(key, len(sizes) - 1)
    layers = [init_dense(k, i, o) for k, i, o in zip(keys, sizes[:-1], sizes[1:], strict=True)]
    if layer_norm:
        for layer in layers[:-1]:
            layer |= {"scale": jnp.ones_like(layer["bias"]), "shift": jnp.zeros_like(layer["bias"])}
    return layers


def layer_norm(x: Array, scale: Array, shift: Array) -> Array:
    """Normalise the last axis of x (..., n) to mean 0 and variance 1, then scale and shift (n,)."""
    centred = x - x.mean(-1, keepdims=True)
    return centred * jax.lax.rsqrt(jnp.square(centred).mean(-1, keepdims=True) + EPSILON) * scale + shift


@jax.custom_vjp
def norm_relu(x: Array, bias: Array, scale: Array, shift: Array) -> Array:
    """relu(layer_norm(x + bias, scale, shift)) of x (..., n), whose gradient reads memory half as often.

    On a CPU what automatic differentiation writes for it costs as much as the layers' products. Here a mean over
    the last axis is a product with a vector, and the gradient needs nothing but x, two numbers a row, and the result.
    """
    return _norm_relu(x, bias, scale, shift)[0]


def _norm_relu(x: Array, bias: Array, scale: Array, shift: Array) -> tuple[Array, tuple[Array, ...]]:
    """The result, and what `_norm_relu_gradient` needs. deviation: the inverse of the standard deviation."""
    average = jnp.full(x.shape[-1], 1 / x.shape[-1], x.dtype)
    mean = (x @ average + bias.mean())[..., None]
    deviation = jax.lax.rsqrt(jnp.square(x + (bias - mean)) @ average + EPSILON)[..., None]
    y = jax.nn.relu((x + (bias - mean)) * (deviation * scale) + shift)
    return y, (x, bias, mean, deviation, scale, y)


def _norm_relu_gradient(kept: tuple[Array, ...], gradient: Array) -> tuple[Array, Array, Array, Array]:
    """Of x, bias, scale and shift, where `gradient` (..., n) is that of the result."""
    x, bias, mean, deviation, scale, y = kept
    normal = (x + (bias - mean)) * deviation
    of_shift = jnp.where(y > 0, gradient, 0)
    of_scale = of_shift * normal
    weights = scale / scale.size
    level, slope = (of_shift @ weights)[..., None], (of_scale @ weights)[..., None]
    of_x = deviation * (of_shift * scale - level - normal * slope)
    rows = tuple(range(y.ndim - 1))
    return of_x, of_x.sum(rows), of_scale.sum(rows), of_shift.sum(rows)


norm_relu.defvjp(_norm_relu, _norm_relu_gradient)


def apply_mlp(layers: MLP, x: Array, dtype: DTypeLike = jnp.float32) -> Array:
    """Map x (..., inputs) to (..., outputs); ReLU between layers, nothing after the last.

    dtype: of the products and their gradients' products alone; all else, and what is returned, is float32.
    """
    for layer in layers[:-1]:
        x = _product(x, layer["kernel"], dtype)
        if "scale" in layer:
            x = norm_relu(x, layer["bias"], layer["scale"], layer["shift"])
        else:
            x = jax.nn.relu(x + layer["bias"])
    return _product(x, layers[-1]["kernel"], dtype) + layers[-1]["bias"]


def _product(x: Array, kernel: Array, dtype: DTypeLike) -> Array:
    """The float32 product of x (..., inputs) and kernel (inputs, outputs)."""
    return x @ kernel if jnp.dtype(dtype) == jnp.float32 else rounded_product(x, kernel, dtype)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def rounded_product(x: Array, kernel: Array, dtype: DTypeLike) -> Array:
    """The product x @ kernel of factors rounded to `dtype`, added up in float32; so are the two of its gradient.

    Automatic differentiation would leave the gradient that comes in unrounded: products in float32.
    """
    return _rounded(x, kernel, dtype)


def _rounded(a: Array, b: Array, dtype: DTypeLike) -> Array:
    return jnp.matmul(a.astype(dtype), b.astype(dtype), preferred_element_type=jnp.float32)


def _rounded_product(x: Array, kernel: Array, dtype: DTypeLike) -> tuple[Array, tuple[Array, Array]]:
    """The result, and the rounded factors."""
    x, kernel = x.astype(dtype), kernel.astype(dtype)
    return _rounded(x, kernel, dtype), (x, kernel)


def _rounded_product_gradient(dtype: DTypeLike, kept: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    """Of x and kernel, where `gradient` (..., outputs) is that of the result."""
    x, kernel = kept
    rows, columns = x.reshape(-1, x.shape[-1]), gradient.reshape(-1, gradient.shape[-1])
    return _rounded(gradient, kernel.T, dtype), _rounded(rows.T, columns, dtype)


rounded_product.defvjp(_rounded_product, _rounded_product_gradient)


def init_ensemble(key: Array, members: int, sizes: Sequence[int], *, layer_norm: bool = False) -> MLP:
    """`members` independent networks: every array gets a leading axis."""
    return jax.vmap(lambda k: init_mlp(k, sizes, layer_norm=layer_norm))(jax.random.split(key, members))


def apply_ensemble(layers: MLP, x: Array, dtype: DTypeLike = jnp.float32) -> Array:
    """Map x (batch, inputs), the same for all members, to (members, batch, outputs). dtype: as in `apply_mlp`."""
    # a copy of x for each member spares XLA the transposition of what one product of all first layers would give
    members = jnp.broadcast_to(x, (len(layers[0]["bias"]), *x.shape))
    return jax.vmap(partial(apply_mlp, dtype=dtype))(layers, members)


def choose_members(key: Array, layers: MLP, members: int, subset: int) -> MLP:
    """`subset` different members of an ensemble of `members`, at random."""
    if subset == members:
        return layers
    index = jax.random.choice(key, members, (subset,), replace=False)
    return jax.tree.map(lambda leaf: leaf[index], layers)
