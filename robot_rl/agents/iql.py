"""Implicit Q-learning (Kostrikov et al., 2021, arXiv 2110.06169), from a fixed set of experience.

V is an expectile of Q over the actions that the set holds, Q is the reward and the discounted V of what followed, and
the policy clones the set's actions with weights exp(beta (Q - V)): no action is ever asked about that nobody took.

The robust parts of RIQL (Yang et al., 2024, arXiv 2310.12955) are settings: normalised observations, a Huber loss, and
a quantile of an ensemble's target values in place of their minimum.

Networks are those of `SAC`, under the same names, so that RLPD can go on from here. As in the authors' code the policy
is a Gaussian around tanh of its network's output whose deviation is the same in every state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from robot_rl.agents.guard import accept
from robot_rl.agents.policy import Params, Policy, init_actor
from robot_rl.config import LearnerConfig
from robot_rl.data.replay import Batch
from robot_rl.nets.encoder import augment, convolve, init_convolutions, init_projections, input_size, join_features
from robot_rl.nets.mlp import apply_ensemble, apply_mlp, init_ensemble, init_mlp
from robot_rl.nets.observation import ObservationSpec

LARGEST_WEIGHT = 100.0
"""Of a cloned action, as in the paper."""
LOG_STD_MIN, LOG_STD_MAX = -5.0, 2.0


@dataclass(frozen=True)
class Settings:
    """What the compiled update depends on. decay: steps over which the policy's step size falls to 0."""

    spec: ObservationSpec
    action_dim: int
    hidden: tuple[int, ...]
    critics: int
    learning_rate: float
    tau: float
    expectile: float
    beta: float
    huber: float
    quantile: float
    decay: int

    @property
    def actor_optimiser(self) -> optax.GradientTransformation:
        return optax.adam(optax.cosine_decay_schedule(self.learning_rate, self.decay))


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class IQL:
    """critic: convolutions, projection and ensemble; target: the last two; value: a projection and a network.

    mean, deviation: (vector_size,) of the observations' numbers, which all networks see normalised.
    """

    actor: Params
    critic: Params
    target: Params
    value: Params
    actor_optimiser: optax.OptState
    critic_optimiser: optax.OptState
    value_optimiser: optax.OptState
    mean: Array
    deviation: Array
    key: Array
    settings: Settings = field(metadata={"static": True})

    @classmethod
    def create(cls, config: LearnerConfig, spec: ObservationSpec, action_dim: int, seed: int) -> IQL:
        settings = Settings(
            spec, action_dim, tuple(config.hidden), config.critics, config.learning_rate, config.tau,
            config.expectile, config.beta, config.huber, config.quantile, config.offline_steps,
        )  # fmt: skip
        return _create(settings, config.layer_norm, np.uint32(seed % 2**32))

    def normalised(self, mean: np.ndarray, deviation: np.ndarray) -> IQL:
        """This agent, seeing the vectors of observations, joined, less `mean`, over `deviation`, from now on."""
        return replace(self, mean=jnp.asarray(mean, jnp.float32), deviation=jnp.asarray(deviation, jnp.float32))

    def update(self, batch: Batch) -> tuple[IQL, dict[str, Array]]:
        """A step of value, policy and critics per slice of `batch` (slices, batch, ...)."""
        return _update(self, batch)

    def policy(self) -> Policy:
        """The policy that sees observations as they are: the normalisation is in its first layer."""
        s = self.settings
        convolutions, actor = jax.tree.map(jnp.copy, (self.critic["convolutions"], self.actor))
        first, *rest = actor["mlp"]
        actor["mlp"] = [unnormalised(first, self.mean, self.deviation), *rest]
        return Policy(convolutions, actor, s.spec, s.action_dim, s.hidden)


@partial(jax.jit, static_argnums=(0, 1))
def _create(s: Settings, layer_norm: bool, seed: np.uint32) -> IQL:
    key, actor_key, *keys = jax.random.split(jax.random.PRNGKey(seed), 7)
    size = input_size(s.spec)
    critic = {
        "convolutions": init_convolutions(keys[0], s.spec),
        "projection": init_projections(keys[1], s.spec),
        "ensemble": init_ensemble(keys[2], s.critics, (size + s.action_dim, *s.hidden, 1), layer_norm=layer_norm),
    }
    value = {
        "projection": init_projections(keys[3], s.spec),
        "mlp": init_mlp(keys[4], (size, *s.hidden, 1), layer_norm=layer_norm),
    }
    actor = init_actor(actor_key, s.spec, s.action_dim, s.hidden)
    last = actor["mlp"][-1]
    # no kernel for the deviations, nor any gradient: their biases alone say what they are
    last["kernel"] = last["kernel"].at[:, s.action_dim :].set(0)
    adam = optax.adam(s.learning_rate)
    optimisers = s.actor_optimiser.init(actor), adam.init(critic), adam.init(value)
    zeros = jnp.zeros(s.spec.vector_size)
    target = jax.tree.map(jnp.copy, {name: critic[name] for name in ("projection", "ensemble")})
    return IQL(actor, critic, target, value, *optimisers, zeros, zeros + 1, key, s)


def unnormalised(layer: dict[str, Array], mean: Array, deviation: Array) -> dict[str, Array]:
    """A first layer that makes of x what the given one makes of (x - mean) / deviation; `x` leads its input.

    An ensemble's layers have a leading axis.
    """
    kernel, size = layer["kernel"], len(mean)
    scaled = kernel[..., :size, :] / deviation[:, None]
    bias = layer["bias"] - jnp.einsum("i,...io->...o", mean, scaled)
    return layer | {"kernel": jnp.concatenate([scaled, kernel[..., size:, :]], axis=-2), "bias": bias}


@partial(jax.jit, donate_argnums=0)
def _update(agent: IQL, batch: Batch) -> tuple[IQL, dict[str, Array]]:
    new, metrics = jax.lax.scan(_step, agent, batch)
    return accept(agent, new, jax.tree.map(jnp.mean, metrics))


class _Seen(NamedTuple):
    """A batch as the networks see it: with random crops, and each camera's features."""

    observation: Mapping[str, Any]
    features: dict[str, Array]
    next_observation: Mapping[str, Any]
    next_features: dict[str, Array]


def _step(agent: IQL, batch: Batch) -> tuple[IQL, dict[str, Array]]:
    """In the order of the authors' code: value, policy by the new value, critics by the new value, targets."""
    s = agent.settings
    key, *crop_keys = jax.random.split(agent.key, 3)
    observation = augment(crop_keys[0], s.spec, batch.observation)
    next_observation = augment(crop_keys[1], s.spec, batch.next_observation)
    features, next_features = (convolve(agent.critic["convolutions"], x) for x in (observation, next_observation))
    seen = _Seen(observation, features, next_observation, next_features)

    q = _target_q(agent, seen, batch)
    agent, value_metrics = _update_value(replace(agent, key=key), seen, q)
    agent, actor_metrics = _update_actor(agent, seen, batch, q)
    agent, critic_metrics = _update_critics(agent, seen, batch)
    return agent, {"q": q.mean(), **value_metrics, **actor_metrics, **critic_metrics}


def _target_q(agent: IQL, seen: _Seen, batch: Batch) -> Array:
    """Of the recorded actions, (batch,): the least that a target critic says, or a quantile of all they say."""
    x = _read(agent, agent.target["projection"], seen.features, seen.observation)
    q = apply_ensemble(agent.target["ensemble"], jnp.concatenate([x, batch.action], axis=-1))[..., 0]
    return q.min(0) if agent.settings.quantile == 0 else jnp.quantile(q, agent.settings.quantile, axis=0)


def _value(agent: IQL, value: Params, features: dict[str, Array], observation: Mapping[str, Any]) -> Array:
    return apply_mlp(value["mlp"], _read(agent, value["projection"], features, observation))[..., 0]


def _update_value(agent: IQL, seen: _Seen, q: Array) -> tuple[IQL, dict[str, Array]]:
    """Equation 5 of the paper."""
    s = agent.settings

    def loss(value: Params) -> tuple[Array, Array]:
        v = _value(agent, value, seen.features, seen.observation)
        above = q - v
        return (jnp.abs(s.expectile - (above < 0)) * jnp.square(above)).mean(), v.mean()

    (value_loss, v), gradient = jax.value_and_grad(loss, has_aux=True)(agent.value)
    value, optimiser = _adam(s, gradient, agent.value_optimiser, agent.value)
    return replace(agent, value=value, value_optimiser=optimiser), {"value_loss": value_loss, "v": v}


def _update_actor(agent: IQL, seen: _Seen, batch: Batch, q: Array) -> tuple[IQL, dict[str, Array]]:
    """Equation 7 of the paper."""
    s = agent.settings
    advantage = q - _value(agent, agent.value, seen.features, seen.observation)
    weight = jnp.minimum(jnp.exp(s.beta * advantage), LARGEST_WEIGHT)

    def loss(actor: Params) -> Array:
        output = apply_mlp(actor["mlp"], _read(agent, actor["projection"], seen.features, seen.observation))
        mean = jnp.tanh(output[..., : s.action_dim])
        log_std = jnp.clip(actor["mlp"][-1]["bias"][s.action_dim :], LOG_STD_MIN, LOG_STD_MAX)
        noise = (batch.action - mean) * jnp.exp(-log_std)
        log_prob = (-0.5 * jnp.square(noise) - log_std - 0.5 * jnp.log(2 * jnp.pi)).sum(-1)
        return -(weight * log_prob).mean()

    actor_loss, gradient = jax.value_and_grad(loss)(agent.actor)
    updates, optimiser = s.actor_optimiser.update(gradient, agent.actor_optimiser)
    actor = optax.apply_updates(agent.actor, updates)
    agent = replace(agent, actor=actor, actor_optimiser=optimiser)
    return agent, {"actor_loss": actor_loss, "weight": weight.mean()}


def _update_critics(agent: IQL, seen: _Seen, batch: Batch) -> tuple[IQL, dict[str, Array]]:
    """Equation 6 of the paper, and the targets' step."""
    s = agent.settings
    next_v = _value(agent, agent.value, seen.next_features, seen.next_observation)
    wanted = batch.reward + batch.discount * (1 - batch.terminated) * next_v

    def loss(critic: Params) -> Array:
        x = _read(agent, critic["projection"], convolve(critic["convolutions"], seen.observation), seen.observation)
        q = apply_ensemble(critic["ensemble"], jnp.concatenate([x, batch.action], axis=-1))[..., 0]
        return _penalty(q - wanted, s.huber).mean()

    critic_loss, gradient = jax.value_and_grad(loss)(agent.critic)
    critic, optimiser = _adam(s, gradient, agent.critic_optimiser, agent.critic)
    head = {name: critic[name] for name in agent.target}
    target = optax.incremental_update(head, agent.target, s.tau)
    agent = replace(agent, critic=critic, target=target, critic_optimiser=optimiser)
    return agent, {"critic_loss": critic_loss}


def _read(agent: IQL, projection: Params, features: dict[str, Array], observation: Mapping[str, Any]) -> Array:
    """What a network sees, (batch, input_size): its vectors normalised; the features get no gradient but a critic's."""
    x = join_features(agent.settings.spec, projection, features, observation)
    size = len(agent.mean)
    return jnp.concatenate([(x[:, :size] - agent.mean) / agent.deviation, x[:, size:]], axis=-1)


def _penalty(error: Array, huber: float) -> Array:
    """The squared error; with `huber` above 0, where it is larger than that, a loss that grows linearly."""
    return jnp.square(error) if huber == 0 else 2 * optax.losses.huber_loss(error, delta=huber)


def _adam(s: Settings, gradient: Params, state: optax.OptState, params: Params) -> tuple[Params, optax.OptState]:
    updates, state = optax.adam(s.learning_rate).update(gradient, state)
    return optax.apply_updates(params, updates), state
