"""Images to features: a small convolutional network, a projection to a few numbers, and random crops."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from robot_rl.nets.mlp import Layer, init_dense, layer_norm, xavier_uniform
from robot_rl.nets.observation import ObservationSpec

CHANNELS = (32, 64, 128, 256)
STRIDE = 2
LATENT = 50
PAD = 4

Convolutions = dict[str, list[Layer]]
"""For each camera, layers of kernel (3, 3, in, out) and bias (out,)."""
Projections = dict[str, Layer]
"""For each camera: kernel (features, LATENT), bias, scale and shift (LATENT,)."""


def init_convolutions(key: Array, spec: ObservationSpec) -> Convolutions:
    """Networks of their own for each camera."""
    convolutions = {}
    for name, (_, _, channels) in spec.images:
        sizes = (channels, *CHANNELS)
        key, *keys = jax.random.split(key, len(sizes))
        convolutions[name] = [
            {"kernel": xavier_uniform(k, (3, 3, i, o), jnp.float32), "bias": jnp.zeros(o)}
            for k, i, o in zip(keys, sizes[:-1], sizes[1:], strict=True)
        ]
    return convolutions


def init_projections(key: Array, spec: ObservationSpec) -> Projections:
    """From each camera's features to LATENT numbers."""
    projections = {}
    for name, (height, width, _) in spec.images:
        key, own = jax.random.split(key)
        for _ in CHANNELS:
            height, width = -(-height // STRIDE), -(-width // STRIDE)
        projections[name] = init_dense(own, height * width * CHANNELS[-1], LATENT)
        projections[name] |= {"scale": jnp.ones(LATENT), "shift": jnp.zeros(LATENT)}
    return projections


def input_size(spec: ObservationSpec) -> int:
    """Length of what `join_features` returns."""
    return spec.vector_size + LATENT * len(spec.images)


def convolve(convolutions: Convolutions, observation: Mapping[str, Any]) -> dict[str, Array]:
    """Each camera's images (batch, height, width, channels) uint8 to features (batch, n)."""
    features = {}
    for name, layers in convolutions.items():
        x = observation[name].astype(jnp.float32) / 255 - 0.5
        for layer in layers:
            x = jax.lax.conv_general_dilated(
                x, layer["kernel"], (STRIDE, STRIDE), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
            x = jax.nn.relu(x + layer["bias"])
        features[name] = x.reshape(len(x), -1)
    return features


def join_features(
    spec: ObservationSpec, projections: Projections, features: Mapping[str, Array], observation: Mapping[str, Any]
) -> Array:
    """The vectors and each camera's projected features, (batch, input_size)."""
    parts = [spec.join(observation)] if spec.vectors else []
    for name, layer in projections.items():
        x = features[name] @ layer["kernel"] + layer["bias"]
        parts.append(jnp.tanh(layer_norm(x, layer["scale"], layer["shift"])))
    return jnp.concatenate(parts, axis=-1)


def random_crop(key: Array, images: Array) -> Array:
    """Shift each of (batch, height, width, channels) by up to PAD pixels, repeating the border."""
    padded = jnp.pad(images, ((0, 0), (PAD, PAD), (PAD, PAD), (0, 0)), mode="edge")
    corners = jax.random.randint(key, (len(images), 2), 0, 2 * PAD + 1)
    crop = lambda image, at: jax.lax.dynamic_slice(image, (at[0], at[1], 0), images.shape[1:])  # noqa: E731
    return jax.vmap(crop)(padded, corners)


def augment(key: Array, spec: ObservationSpec, observation: Mapping[str, Any]) -> dict[str, Array]:
    """The observation with every camera's images cropped at random; vectors unchanged."""
    keys = jax.random.split(key, max(1, len(spec.images)))
    cropped = {name: random_crop(k, observation[name]) for k, (name, _) in zip(keys, spec.images, strict=False)}
    return {**observation, **cropped}
