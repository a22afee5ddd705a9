"""The gripper's part of an action as a choice: open, stay or close, the one of the highest value.

Which of them an analogue action is, and what changes the gripper, follows the task's `GripperSpec`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from robot_rl.nets.encoder import init_projections, input_size, join_features
from robot_rl.nets.mlp import apply_mlp, init_mlp
from robot_rl.nets.observation import ObservationSpec

OPEN, STAY, CLOSE = range(3)
CHOICES = 3
EPSILON = 0.02
"""Share of the choices that are drawn at random where the policy explores: about two in an episode of 100 steps."""
GRIPPER = "gripper"
"""The observation that says how far the gripper is open, over the open width, and whether it holds something."""


def init_choices(key: Array, spec: ObservationSpec, hidden: tuple[int, ...]) -> dict[str, Any]:
    """A head on the observation and a network, with layer norm, to the values of the three choices."""
    projection_key, mlp_key = jax.random.split(key)
    return {
        "projection": init_projections(projection_key, spec),
        "mlp": init_mlp(mlp_key, (input_size(spec), *hidden, CHOICES), layer_norm=True),
    }


def choice_values(
    spec: ObservationSpec, grasp: Mapping[str, Any], features: Mapping[str, Array], observation: Mapping[str, Any]
) -> Array:
    """Q of each choice, (batch, 3). features: the critic's, of the images; they get no gradient from here."""
    x = join_features(spec, grasp["projection"], jax.lax.stop_gradient(features), observation)
    return apply_mlp(grasp["mlp"], x)


def choose(values: Array, key: Array | None) -> Array:
    """The best of each of `values` (batch, 3); with `key` another one now and then (`EPSILON`)."""
    best = values.argmax(-1)
    if key is None:
        return best
    whether_key, which_key = jax.random.split(key)
    random = jax.random.randint(which_key, best.shape, 0, CHOICES)
    return jnp.where(jax.random.uniform(whether_key, best.shape) < EPSILON, random, best)


def as_action(choice: Array) -> Array:
    """The last number of the action: -1 opens, 0 stays, 1 closes, whatever the task's threshold."""
    return (choice - STAY).astype(jnp.float32)


def as_choice(action: ArrayLike, threshold: float) -> Array:
    """The choice that an action's last number is, analogue or not: beyond the task's threshold it moves."""
    action = jnp.asarray(action)
    return STAY + (action > threshold).astype(jnp.int32) - (action < -threshold).astype(jnp.int32)


def changes(choice: Array, gripper: ArrayLike, opened: float) -> Array:
    """Where a choice changes the gripper: closing an open one, or opening one that is not.

    gripper: (..., 2 n), the observation of that name, the newest of n last. opened: the opening above which a gripper
    that holds nothing counts as open. So an order pays once that is carried out within a step, and one that takes
    longer is repeated at a cost where to stay is free, since the gripper goes on to where it was last told.
    """
    return jnp.where(_is_open(gripper, opened), choice == CLOSE, choice == OPEN)


def equivalents(choice: Array, gripper: ArrayLike, opened: float) -> Array:
    """(..., 3): the choices that do what `choice` does: to an open gripper or one that holds, to change nothing is to
    stay. Elsewhere, where it may be on its way, each is its own.
    """
    at_rest = _is_open(gripper, opened) | (jnp.asarray(gripper)[..., -1] > 0.5)
    changing = changes(jnp.arange(CHOICES), jnp.asarray(gripper)[..., None, :], opened)
    same = changing == changes(choice, gripper, opened)[..., None]
    return jnp.where(at_rest[..., None], same, choice[..., None] == jnp.arange(CHOICES))


def _is_open(gripper: ArrayLike, opened: float) -> Array:
    gripper = jnp.asarray(gripper)
    return (gripper[..., -2] > opened) & (gripper[..., -1] < 0.5)
