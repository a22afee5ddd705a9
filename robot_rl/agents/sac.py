"""Soft actor-critic with the parts of RLPD (Ball et al., 2023, arXiv 2302.02948).

An ensemble of critics with layer norm, the minimum over a random subset of target critics, several critic
steps and then one step of actor and temperature; with images, the actor reads the critic's features.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jax.typing import ArrayLike

from robot_rl.agents.guard import accept
from robot_rl.agents.policy import Params, Policy, action_distribution, init_actor
from robot_rl.config import LearnerConfig
from robot_rl.data.replay import Batch
from robot_rl.nets.devices import count_devices, replicate, split
from robot_rl.nets.encoder import augment, convolve, init_convolutions, init_projections, input_size, join_features
from robot_rl.nets.mlp import apply_ensemble, choose_members, init_ensemble
from robot_rl.nets.observation import ObservationSpec

Tree = TypeVar("Tree")


@dataclass(frozen=True)
class Settings:
    """What the compiled update depends on."""

    spec: ObservationSpec
    action_dim: int
    hidden: tuple[int, ...]
    critics: int
    critic_subset: int
    learning_rate: float
    tau: float
    entropy_backup: bool
    precision: str
    devices: int

    @property
    def target_entropy(self) -> float:
        return -self.action_dim / 2


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class SAC:
    """critic: convolutions, projection and ensemble; target: the last two, since features have no target."""

    actor: Params
    critic: Params
    target: Params
    log_temperature: Array
    actor_optimiser: optax.OptState
    critic_optimiser: optax.OptState
    temperature_optimiser: optax.OptState
    key: Array
    settings: Settings = field(metadata={"static": True})

    @classmethod
    def create(cls, config: LearnerConfig, spec: ObservationSpec, action_dim: int, seed: int) -> SAC:
        settings = Settings(
            spec, action_dim, tuple(config.hidden), config.critics, config.critic_subset,
            config.learning_rate, config.tau, config.entropy_backup,
            config.precision, count_devices(config.devices, config.batch),
        )  # fmt: skip
        return _create(settings, config.layer_norm, config.initial_temperature, np.uint32(seed % 2**32))

    def update(self, batch: Batch) -> tuple[SAC, dict[str, Array]]:
        """A critic step per slice of `batch` (slices, batch, ...), then one of actor and temperature on the last."""
        return _update(self, split(batch, self.settings.devices))

    def policy(self) -> Policy:
        convolutions, actor = jax.tree.map(jnp.copy, (self.critic["convolutions"], self.actor))
        return Policy(convolutions, actor, self.settings.spec, self.settings.action_dim, self.settings.hidden)


@partial(jax.jit, static_argnums=(0, 1))
def _create(s: Settings, layer_norm: bool, initial_temperature: float, seed: np.uint32) -> SAC:
    key, actor_key, *critic_keys = jax.random.split(jax.random.PRNGKey(seed), 5)
    critic = {
        "convolutions": init_convolutions(critic_keys[0], s.spec),
        "projection": init_projections(critic_keys[1], s.spec),
        "ensemble": init_ensemble(
            critic_keys[2], s.critics, (input_size(s.spec) + s.action_dim, *s.hidden, 1), layer_norm=layer_norm
        ),
    }
    actor = init_actor(actor_key, s.spec, s.action_dim, s.hidden)
    log_temperature = jnp.log(jnp.float32(initial_temperature))
    optimiser = optax.adam(s.learning_rate)
    optimisers = optimiser.init(actor), optimiser.init(critic), optimiser.init(log_temperature)
    return SAC(actor, critic, _head(critic), log_temperature, *optimisers, key, s)


def _head(critic: Params) -> Params:
    return {"projection": critic["projection"], "ensemble": critic["ensemble"]}


@partial(jax.jit, donate_argnums=0)
def _update(agent: SAC, batch: Batch) -> tuple[SAC, dict[str, Array]]:
    new, critic_metrics = jax.lax.scan(_update_critic, agent, batch)
    last = jax.tree.map(lambda leaf: leaf[-1], batch)
    new, actor_metrics = _update_actor(new, last)
    accepted = accept(agent, new, {**jax.tree.map(jnp.mean, critic_metrics), **actor_metrics})
    return replicate(accepted, agent.settings.devices)


def _update_critic(agent: SAC, batch: Batch) -> tuple[SAC, dict[str, Array]]:
    s = agent.settings
    key, sample_key, subset_key, *crop_keys = jax.random.split(agent.key, 5)
    observation = augment(crop_keys[0], s.spec, batch.observation)
    next_observation = augment(crop_keys[1], s.spec, batch.next_observation)

    features = convolve(agent.critic["convolutions"], next_observation)
    distribution = action_distribution(s.spec, agent.actor, features, next_observation)
    next_action, log_prob = distribution.sample_and_log_prob(sample_key)
    target = agent.target | {
        "ensemble": choose_members(subset_key, agent.target["ensemble"], s.critics, s.critic_subset)
    }
    next_q = _values(s, target, features, next_observation, next_action).min(0)
    if s.entropy_backup:
        next_q -= jnp.exp(agent.log_temperature) * log_prob
    target_q = batch.reward + batch.discount * (1 - batch.terminated) * next_q

    def loss(critic: Params) -> tuple[Array, Array]:
        features = convolve(critic["convolutions"], observation)
        q = _values(s, critic, features, observation, batch.action)
        return jnp.square(q - target_q).mean(), q.mean()

    (critic_loss, q), gradient = jax.value_and_grad(loss, has_aux=True)(agent.critic)
    critic, critic_optimiser = _step(s, gradient, agent.critic_optimiser, agent.critic)
    agent = replace(
        agent,
        critic=critic,
        critic_optimiser=critic_optimiser,
        target=optax.incremental_update(_head(critic), agent.target, s.tau),
        key=key,
    )
    return agent, {"critic_loss": critic_loss, "q": q}


def _update_actor(agent: SAC, batch: Batch) -> tuple[SAC, dict[str, Array]]:
    s = agent.settings
    key, sample_key, crop_key = jax.random.split(agent.key, 3)
    observation = augment(crop_key, s.spec, batch.observation)
    features = convolve(agent.critic["convolutions"], observation)
    temperature = jnp.exp(agent.log_temperature)

    def loss(actor: Params) -> tuple[Array, Array]:
        distribution = action_distribution(s.spec, actor, features, observation)
        action, log_prob = distribution.sample_and_log_prob(sample_key)
        q = _values(s, agent.critic, features, observation, action).mean(0)
        return (temperature * log_prob - q).mean(), -log_prob.mean()

    (actor_loss, entropy), gradient = jax.value_and_grad(loss, has_aux=True)(agent.actor)
    actor, actor_optimiser = _step(s, gradient, agent.actor_optimiser, agent.actor)
    temperature_gradient = temperature * (entropy - s.target_entropy)  # of temperature * (entropy - target)
    log_temperature, temperature_optimiser = _step(
        s, temperature_gradient, agent.temperature_optimiser, agent.log_temperature
    )
    agent = replace(
        agent,
        actor=actor,
        actor_optimiser=actor_optimiser,
        log_temperature=log_temperature,
        temperature_optimiser=temperature_optimiser,
        key=key,
    )
    return agent, {"actor_loss": actor_loss, "entropy": entropy, "temperature": temperature}


def critic_values(agent: SAC, observation: Params, action: ArrayLike) -> Array:
    """Q of each critic, (members, batch), of a batch of observations and actions."""
    features = convolve(agent.critic["convolutions"], observation)
    return _values(agent.settings, agent.critic, features, observation, action)


def _values(s: Settings, critic: Params, features: dict[str, Array], observation: Params, action: ArrayLike) -> Array:
    """Q of each member, (members, batch). features: of the images, from `convolve`."""
    x = join_features(s.spec, critic["projection"], features, observation)
    return apply_ensemble(critic["ensemble"], jnp.concatenate([x, action], axis=-1), s.precision)[..., 0]


def _step(s: Settings, gradient: Tree, state: optax.OptState, params: Tree) -> tuple[Tree, optax.OptState]:
    updates, state = optax.adam(s.learning_rate).update(gradient, state)
    return optax.apply_updates(params, updates), state
