"""What cameras see to a few numbers: a small convolutional network, learnt, or a frozen backbone's maps, given.

Actor, critic and whatever else reads them have a head each, a projection of its own to LATENT numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from robot_rl.nets.mlp import Layer, init_dense, layer_norm, xavier_uniform
from robot_rl.nets.observation import ObservationSpec

LAYERS = ((4, 4, 32), (3, 2, 64), (3, 2, 128), (3, 2, 256))
"""Of the network: size of the kernel, stride and channels. The first takes patches that do not overlap."""
LATENT = 50
EMBEDDINGS = 8
PAD = 4

Convolutions = dict[str, list[Layer]]
"""For each camera, layers of kernel (size, size, in, out) and bias (out,); none for a backbone's maps, which stay."""
Projections = dict[str, Layer]
"""For each camera: kernel (features, LATENT), bias, scale and shift (LATENT,).

For a backbone's maps the features are EMBEDDINGS sums over the map for each channel, with weights `embedding`
(height, width, channels, EMBEDDINGS).
"""

_spatial = jax.nn.initializers.lecun_normal(in_axis=(0, 1), out_axis=3, batch_axis=(2,))


def init_convolutions(key: Array, spec: ObservationSpec) -> Convolutions:
    """Networks of their own for each camera; a backbone's maps have none."""
    convolutions: Convolutions = {name: [] for name, _ in spec.features}
    for name, (_, _, inputs) in spec.images:
        key, *keys = jax.random.split(key, len(LAYERS) + 1)
        convolutions[name] = []
        for layer_key, (size, _, outputs) in zip(keys, LAYERS, strict=True):
            kernel = xavier_uniform(layer_key, (size, size, inputs, outputs), jnp.float32)
            convolutions[name].append({"kernel": kernel, "bias": jnp.zeros(outputs)})
            inputs = outputs
    return convolutions


def init_projections(key: Array, spec: ObservationSpec) -> Projections:
    """From each camera's features to LATENT numbers."""
    projections: Projections = {}
    for name, (height, width, _) in spec.images:
        key, own = jax.random.split(key)
        for _, stride, _ in LAYERS:
            height, width = -(-height // stride), -(-width // stride)
        projections[name] = init_dense(own, height * width * LAYERS[-1][2], LATENT)
    for name, (_, *shape) in spec.features:
        key, own, embedding_key = jax.random.split(key, 3)
        projections[name] = init_dense(own, shape[-1] * EMBEDDINGS, LATENT)
        projections[name]["embedding"] = _spatial(embedding_key, (*shape, EMBEDDINGS))
    for layer in projections.values():
        layer |= {"scale": jnp.ones(LATENT), "shift": jnp.zeros(LATENT)}
    return projections


def input_size(spec: ObservationSpec) -> int:
    """Length of what `join_features` returns."""
    return spec.vector_size + LATENT * (len(spec.images) + len(spec.features))


def convolve(convolutions: Convolutions, observation: Mapping[str, Any]) -> dict[str, Array]:
    """Each camera's images (batch, height, width, channels) uint8 to features (batch, n).

    A backbone's maps (batch, height, width, channels), or of several crops (batch, crops, ...) the first, as float32.
    """
    features = {}
    for name, layers in convolutions.items():
        if not layers:
            maps = observation[name][:, 0] if observation[name].ndim == 5 else observation[name]
            features[name] = maps.reshape(len(maps), -1).astype(jnp.float32)
            continue
        x = observation[name].astype(jnp.float32) / 255 - 0.5
        for layer, (size, stride, _) in zip(layers, LAYERS, strict=True):
            x = jax.nn.relu(unfold(x, size, stride) @ layer["kernel"].reshape(-1, len(layer["bias"])) + layer["bias"])
        features[name] = x.reshape(len(x), -1)
    return features


def unfold(x: Array, size: int, stride: int) -> Array:
    """What a kernel of `size` sees at each place: (batch, h, w, channels) to (batch, h', w', size * size * channels).

    Padding is as for "SAME". A product with the kernel is the convolution; XLA's own, in the loop of an update on a
    CPU, takes hundreds of times as long.
    """
    counts = [-(-length // stride) for length in x.shape[1:3]]
    pads = [max((n - 1) * stride + size - length, 0) for n, length in zip(counts, x.shape[1:3], strict=True)]
    x = jnp.pad(x, ((0, 0), *((pad // 2, pad - pad // 2) for pad in pads), (0, 0)))
    last_row, last_column = ((n - 1) * stride + 1 for n in counts)
    shifts = [(row, column) for row in range(size) for column in range(size)]
    seen = [x[:, row : row + last_row : stride, column : column + last_column : stride] for row, column in shifts]
    return jnp.concatenate(seen, axis=-1)


def join_features(
    spec: ObservationSpec, projections: Projections, features: Mapping[str, Array], observation: Mapping[str, Any]
) -> Array:
    """The vectors and each camera's projected features, (batch, input_size)."""
    parts = [spec.join(observation)] if spec.vectors else []
    for name, layer in sorted(projections.items()):
        x = features[name] @ _kernel(layer) + layer["bias"]
        parts.append(jnp.tanh(layer_norm(x, layer["scale"], layer["shift"])))
    return jnp.concatenate(parts, axis=-1)


def _kernel(layer: Layer) -> Array:
    """Of a projection, (features, LATENT).

    Spatial embeddings and the layer that reads them are linear: multiplied beforehand, they cost a batch one product.
    """
    if "embedding" not in layer:
        return layer["kernel"]
    reading = layer["kernel"].reshape(-1, EMBEDDINGS, LATENT)
    return jnp.einsum("hwce,cel->hwcl", layer["embedding"], reading).reshape(-1, LATENT)


def random_crop(key: Array, images: Array) -> Array:
    """Shift each of (batch, height, width, channels) by up to PAD pixels, repeating the border."""
    padded = jnp.pad(images, ((0, 0), (PAD, PAD), (PAD, PAD), (0, 0)), mode="edge")
    corners = jax.random.randint(key, (len(images), 2), 0, 2 * PAD + 1)
    crop = lambda image, at: jax.lax.dynamic_slice(image, (at[0], at[1], 0), images.shape[1:])  # noqa: E731
    return jax.vmap(crop)(padded, corners)


def random_choice(key: Array, maps: Array) -> Array:
    """One of the crops of each of (batch, crops, height, width, channels)."""
    chosen = jax.random.randint(key, (len(maps),), 0, maps.shape[1])
    return maps[jnp.arange(len(maps)), chosen]


def augment(key: Array, spec: ObservationSpec, observation: Mapping[str, Any]) -> dict[str, Array]:
    """The observation with images cropped at random and one crop's features for each sample; vectors unchanged."""
    keys = iter(jax.random.split(key, max(1, len(spec.images) + len(spec.features))))
    images = {name: random_crop(next(keys), observation[name]) for name, _ in spec.images}
    features = {name: random_choice(next(keys), observation[name]) for name, _ in spec.features}
    return {**observation, **images, **features}
