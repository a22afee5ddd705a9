"""The update as SERL's code makes it (github.com/rail-berkeley/serl, `agents/continuous/sac.py`), written out.

What costs time there, kept here: one compiled call per slice; all target networks are evaluated and then subsampled;
nothing is donated. And with `everything` each of three Adams runs over the parameters of all three networks, with a
gradient of zero where a network is not trained (`common.py`, `apply_gradients`), and their updates are stacked and
summed, so that momentum also moves what a step does not train. Networks, batch and losses are as in `robot_rl`. With
`whole` the actor's step sees all slices, as SERL's does from state, else the last one, as from pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.typing import ArrayLike

from robot_rl.agents.sac import SAC
from robot_rl.data.replay import Batch
from robot_rl.nets.distributions import TanhNormal
from robot_rl.nets.mlp import MLP, layer_norm

TAU, RATE = 0.005, 3e-4
NETWORKS = ("actor", "critic", "temperature")
Params = dict[str, Any]


class State(NamedTuple):
    """params, target: of all networks. optimisers: one of each, over its own parameters or over all."""

    params: Params
    target: Params
    optimisers: dict[str, optax.OptState]
    key: Array


def create(agent: SAC, *, everything: bool) -> State:
    """With the weights of `agent`. everything: each optimiser runs over all parameters, as SERL's do."""
    params = {
        "actor": agent.actor["mlp"],
        "critic": agent.critic["ensemble"],
        "temperature": agent.log_temperature,
    }
    params, target = jax.tree.map(jnp.copy, (params, params))
    optimisers = {name: optax.adam(RATE).init(params if everything else params[name]) for name in NETWORKS}
    return State(params, target, optimisers, jax.random.PRNGKey(0))


def update(state: State, batch: Batch, *, everything: bool, whole: bool) -> State:
    """A call for each slice of `batch` (slices, batch, ...), which trains the critic, then one for the others.

    whole: that one sees all slices, else the last.
    """
    slices = [jax.tree.map(lambda leaf, i=i: leaf[i], batch) for i in range(len(batch.reward))]
    for one in slices:
        state = _update(state, one, ("critic",), everything)
    last = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), batch) if whole else slices[-1]
    return _update(state, last, ("actor", "temperature"), everything)


@partial(jax.jit, static_argnames=("trained", "everything"))
def _update(state: State, batch: Batch, trained: tuple[str, ...], everything: bool) -> State:
    key, *keys = jax.random.split(state.key, 4)
    critic_loss = partial(_critic_loss, target=state.target)
    losses: dict[str, Any] = {"actor": _actor_loss, "critic": critic_loss, "temperature": _entropy_loss}
    gradients = {
        name: jax.grad(losses[name])(state.params, batch=batch, key=own)
        if name in trained
        else jax.tree.map(jnp.zeros_like, state.params)
        for name, own in zip(NETWORKS, keys, strict=True)
    }
    params, optimisers = _step(state, gradients, trained, everything)
    target = state.target
    if "critic" in trained:
        target = jax.tree.map(lambda new, old: TAU * new + (1 - TAU) * old, params, target)
    return State(params, target, optimisers, key)


def _step(
    state: State, gradients: dict[str, Params], trained: tuple[str, ...], everything: bool
) -> tuple[Params, dict[str, optax.OptState]]:
    optimisers, params = dict(state.optimisers), dict(state.params)
    if not everything:
        for name in trained:
            moves, optimisers[name] = optax.adam(RATE).update(gradients[name][name], optimisers[name])
            params[name] = optax.apply_updates(params[name], moves)
        return params, optimisers
    all_moves = []
    for name in NETWORKS:
        moves, optimisers[name] = optax.adam(RATE).update(gradients[name], optimisers[name])
        all_moves.append(moves)
    summed = jax.tree.map(lambda *leaves: jnp.sum(jnp.array(leaves), axis=0), *all_moves)
    return optax.apply_updates(params, summed), optimisers


def _critic_loss(params: Params, *, target: Params, batch: Batch, key: Array) -> Array:
    sample_key, subset_key = jax.random.split(key)
    action, _ = _sample(params["actor"], batch.next_observation, sample_key)
    next_q = _values(target["critic"], batch.next_observation, action)
    next_q = next_q[jax.random.randint(subset_key, (2,), 0, len(next_q))].min(0)
    target_q = jax.lax.stop_gradient(batch.reward + batch.discount * (1 - batch.terminated) * next_q)
    return jnp.square(_values(params["critic"], batch.observation, batch.action) - target_q).mean()


def _actor_loss(params: Params, *, batch: Batch, key: Array) -> Array:
    action, log_prob = _sample(params["actor"], batch.observation, key)
    q = _values(jax.lax.stop_gradient(params["critic"]), batch.observation, action).mean(0)
    return (jax.lax.stop_gradient(jnp.exp(params["temperature"])) * log_prob - q).mean()


def _entropy_loss(params: Params, *, batch: Batch, key: Array) -> Array:
    action, log_prob = _sample(jax.lax.stop_gradient(params["actor"]), batch.next_observation, key)
    return jnp.exp(params["temperature"]) * (action.shape[-1] / 2 - log_prob.mean())


def _sample(actor: MLP, observation: Mapping[str, Any], key: Array) -> tuple[Array, Array]:
    output = _apply(actor, _join(observation))
    return TanhNormal.from_output(output).sample_and_log_prob(key)


def _values(ensemble: MLP, observation: Mapping[str, Any], action: ArrayLike) -> Array:
    x = jnp.concatenate([_join(observation), action], -1)
    return jax.vmap(_apply, in_axes=(0, None))(ensemble, x)[..., 0]


def _join(observation: Mapping[str, Any]) -> Array:
    return jnp.concatenate([observation[name] for name in sorted(observation)], -1)


def _apply(layers: MLP, x: Array) -> Array:
    for layer in layers[:-1]:
        x = x @ layer["kernel"] + layer["bias"]
        if "scale" in layer:
            x = layer_norm(x, layer["scale"], layer["shift"])
        x = jax.nn.relu(x)
    return x @ layers[-1]["kernel"] + layers[-1]["bias"]
