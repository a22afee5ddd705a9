"""Behaviour cloning: the policy that makes the demonstrated actions most likely."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from robot_rl.agents.guard import accept
from robot_rl.agents.policy import Params, Policy, init_actor
from robot_rl.config import LearnerConfig
from robot_rl.data.replay import Batch
from robot_rl.nets.distributions import TanhNormal
from robot_rl.nets.encoder import augment, convolve, init_convolutions, join_features
from robot_rl.nets.mlp import apply_mlp
from robot_rl.nets.observation import ObservationSpec


@dataclass(frozen=True)
class Settings:
    """What the compiled update depends on."""

    spec: ObservationSpec
    action_dim: int
    hidden: tuple[int, ...]
    learning_rate: float


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class BC:
    """weights: convolutions and actor, trained together."""

    weights: Params
    optimiser: optax.OptState
    key: Array
    settings: Settings = field(metadata={"static": True})

    @classmethod
    def create(cls, config: LearnerConfig, spec: ObservationSpec, action_dim: int, seed: int) -> BC:
        settings = Settings(spec, action_dim, tuple(config.hidden), config.learning_rate)
        return _create(settings, np.uint32(seed % 2**32))

    def update(self, batch: Batch) -> tuple[BC, dict[str, Array]]:
        """A step per slice of `batch` (slices, batch, ...)."""
        return _update(self, batch)

    def policy(self) -> Policy:
        weights = jax.tree.map(jnp.copy, self.weights)
        return Policy(
            **weights, spec=self.settings.spec, action_dim=self.settings.action_dim, hidden=self.settings.hidden
        )


@partial(jax.jit, static_argnums=0)
def _create(s: Settings, seed: np.uint32) -> BC:
    key, convolution_key, actor_key = jax.random.split(jax.random.PRNGKey(seed), 3)
    weights = {
        "convolutions": init_convolutions(convolution_key, s.spec),
        "actor": init_actor(actor_key, s.spec, s.action_dim, s.hidden),
    }
    return BC(weights, optax.adam(s.learning_rate).init(weights), key, s)


@partial(jax.jit, donate_argnums=0)
def _update(agent: BC, batch: Batch) -> tuple[BC, dict[str, Array]]:
    new, metrics = jax.lax.scan(_step, agent, batch)
    return accept(agent, new, jax.tree.map(jnp.mean, metrics))


def _step(agent: BC, batch: Batch) -> tuple[BC, dict[str, Array]]:
    s = agent.settings
    key, crop_key = jax.random.split(agent.key)
    observation = augment(crop_key, s.spec, batch.observation)

    def loss(weights: Params) -> tuple[Array, Array]:
        features = convolve(weights["convolutions"], observation)
        x = join_features(s.spec, weights["actor"]["projection"], features, observation)
        distribution = TanhNormal.from_output(apply_mlp(weights["actor"]["mlp"], x))
        error = jnp.square(distribution.mode() - batch.action).mean()
        return -distribution.log_prob(batch.action).mean(), error

    (actor_loss, error), gradient = jax.value_and_grad(loss, has_aux=True)(agent.weights)
    updates, optimiser = optax.adam(s.learning_rate).update(gradient, agent.optimiser)
    weights = optax.apply_updates(agent.weights, updates)
    agent = replace(agent, weights=weights, optimiser=optimiser, key=key)
    return agent, {"actor_loss": actor_loss, "action_error": error}
