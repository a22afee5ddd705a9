"""The discriminator of VICE (Fu et al., 2018, arXiv 1805.11686; on a robot from pictures: Singh et al., 2019).

A classifier between moments of the goal and those that the policy reached. What it takes for the goal is worth
something; as the policy gets there, telling them apart gets harder, so there is no edge of a fixed classifier to find.
What keeps it from being too sure is SERL's: labels smoothed, moments mixed (Zhang et al., 2018, arXiv 1710.09412), and
a penalty on gradients that are not of length 1 (Gulrajani et al., 2017, arXiv 1704.00028).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from robot_rl.agents.guard import accept
from robot_rl.nets.encoder import augment, convolve, init_convolutions, init_projections, input_size, join_features
from robot_rl.nets.mlp import apply_mlp, init_mlp
from robot_rl.nets.observation import ObservationSpec
from robot_rl.rewards.vice.configuration import ViceConfig

Params = dict[str, Any]
Observations = Mapping[str, Any]


@dataclass(frozen=True)
class Settings:
    """What the compiled update depends on."""

    spec: ObservationSpec
    learning_rate: float
    smoothing: float
    mixup: float
    penalty: float


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Vice:
    """weights: convolutions, projection and network. It looks at cameras where there are any, else at vectors."""

    weights: Params
    optimiser: optax.OptState
    key: Array
    settings: Settings = field(metadata={"static": True})

    @classmethod
    def create(cls, config: ViceConfig, spec: ObservationSpec, seed: int) -> Vice:
        seen = ObservationSpec((), spec.images, spec.features) if spec.images or spec.features else spec
        settings = Settings(seen, config.learning_rate, config.smoothing, config.mixup, config.penalty)
        return _create(settings, config.hidden, np.uint32(seed % 2**32))

    def update(self, goals: Observations, reached: Observations) -> tuple[Vice, dict[str, Array]]:
        """A gradient step per slice of the moments (slices, batch, ...), as many of the one as of the other."""
        names = self.settings.spec.arrays
        return _update(self, *({name: moments[name] for name in names} for moments in (goals, reached)))

    def probability(self, observations: Observations) -> Array:
        """Of each of the moments (n, ...) being of the goal, (n,)."""
        return _probability(self, {name: observations[name] for name in self.settings.spec.arrays})


@partial(jax.jit, static_argnums=(0, 1))
def _create(s: Settings, hidden: int, seed: np.uint32) -> Vice:
    key, *keys = jax.random.split(jax.random.PRNGKey(seed), 4)
    weights = {
        "convolutions": init_convolutions(keys[0], s.spec),
        "projection": init_projections(keys[1], s.spec),
        "mlp": init_mlp(keys[2], (input_size(s.spec), hidden, 1)),
    }
    return Vice(weights, optax.adam(s.learning_rate).init(weights), key, s)


@jax.jit
def _probability(vice: Vice, observations: Observations) -> Array:
    return jax.nn.sigmoid(_logits(vice.weights, _embed(vice.settings, vice.weights, observations)))


@partial(jax.jit, donate_argnums=0)
def _update(vice: Vice, goals: Observations, reached: Observations) -> tuple[Vice, dict[str, Array]]:
    new, metrics = jax.lax.scan(_step, vice, (goals, reached))
    return accept(vice, new, jax.tree.map(jnp.mean, metrics))


def _step(vice: Vice, moments: tuple[Observations, Observations]) -> tuple[Vice, dict[str, Array]]:
    s = vice.settings
    key, crop_key, mix_key, line_key = jax.random.split(vice.key, 4)
    both = augment(crop_key, s.spec, jax.tree.map(lambda *parts: jnp.concatenate(parts), *moments))
    count = len(jax.tree.leaves(moments[0])[0])
    label = jnp.repeat(jnp.array([1 - s.smoothing / 2, s.smoothing / 2]), count)

    def loss(weights: Params) -> tuple[Array, dict[str, Array]]:
        x = _embed(s, weights, both)
        mixed, mixed_label = mix(mix_key, x, label, s.mixup)
        entropy = optax.sigmoid_binary_cross_entropy(_logits(weights, mixed), mixed_label).mean()
        share = jax.random.uniform(line_key, (count, 1))
        between = share * x[:count] + (1 - share) * x[count:]
        slopes = jax.vmap(jax.grad(lambda one: _logits(weights, one)))(between)
        norms = jnp.sqrt(jnp.square(slopes).sum(-1) + 1e-12)
        chances = jax.nn.sigmoid(_logits(weights, x))
        told = {"vice_loss": entropy, "vice_goals": chances[:count].mean(), "vice_reached": chances[count:].mean()}
        return entropy + s.penalty * jnp.square(norms - 1).mean(), told

    gradient, metrics = jax.grad(loss, has_aux=True)(vice.weights)
    updates, optimiser = optax.adam(s.learning_rate).update(gradient, vice.optimiser)
    return replace(vice, weights=optax.apply_updates(vice.weights, updates), optimiser=optimiser, key=key), metrics


def mix(key: Array, x: Array, label: Array, alpha: float) -> tuple[Array, Array]:
    """Rows of x (n, size) and their labels (n,), each mixed with another's by a share of Beta(alpha, alpha)."""
    if alpha == 0:
        return x, label
    share_key, order_key = jax.random.split(key)
    share = jax.random.beta(share_key, alpha, alpha, (len(x),))
    order = jax.random.permutation(order_key, len(x))
    # cross-entropy is linear in the label: that of the mixed label is the mixture of both labels'
    return share[:, None] * x + (1 - share[:, None]) * x[order], share * label + (1 - share) * label[order]


def _embed(s: Settings, weights: Params, observations: Observations) -> Array:
    return join_features(s.spec, weights["projection"], convolve(weights["convolutions"], observations), observations)


def _logits(weights: Params, x: Array) -> Array:
    """Of embeddings (..., size), (...)."""
    return apply_mlp(weights["mlp"], x)[..., 0]
