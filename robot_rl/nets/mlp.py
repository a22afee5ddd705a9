"""Multi-layer perceptrons and ensembles of them, as pytrees of arrays and functions on them."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import Array

Layer = dict[str, Array]
MLP = list[Layer]
"""One dict a layer: kernel (in, out), bias (out,), with layer norm also scale and shift (out,).
An ensemble has the same names with the members as a further leading axis."""

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
    return centred * jax.lax.rsqrt(jnp.square(centred).mean(-1, keepdims=True) + 1e-6) * scale + shift


def apply_mlp(layers: MLP, x: Array) -> Array:
    """Map x (..., inputs) to (..., outputs); ReLU between layers, nothing after the last."""
    for layer in layers[:-1]:
        x = x @ layer["kernel"] + layer["bias"]
        if "scale" in layer:
            x = layer_norm(x, layer["scale"], layer["shift"])
        x = jax.nn.relu(x)
    return x @ layers[-1]["kernel"] + layers[-1]["bias"]


def init_ensemble(key: Array, members: int, sizes: Sequence[int], *, layer_norm: bool = False) -> MLP:
    """`members` independent networks: every array gets a leading axis."""
    return jax.vmap(lambda k: init_mlp(k, sizes, layer_norm=layer_norm))(jax.random.split(key, members))


def apply_ensemble(layers: MLP, x: Array) -> Array:
    """Map x (batch, inputs), the same for all members, to (members, batch, outputs)."""
    return jax.vmap(apply_mlp, in_axes=(0, None))(layers, x)


def choose_members(key: Array, layers: MLP, members: int, subset: int) -> MLP:
    """`subset` different members of an ensemble of `members`, at random."""
    if subset == members:
        return layers
    index = jax.random.choice(key, members, (subset,), replace=False)
    return jax.tree.map(lambda leaf: leaf[index], layers)
