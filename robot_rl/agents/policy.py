"""The policy: the few weights that an actor needs, and the message that carries them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy
from jax import Array
from numpy.typing import NDArray
from safetensors import SafetensorError

from robot_rl.agents.gripper import as_action, choice_values, choose, init_choices
from robot_rl.data.transition import Observation
from robot_rl.exceptions import DataError
from robot_rl.nets.distributions import TanhNormal
from robot_rl.nets.encoder import (
    convolve,
    init_convolutions,
    init_projections,
    input_size,
    join_features,
)
from robot_rl.nets.mlp import apply_mlp, init_mlp
from robot_rl.nets.observation import ObservationSpec
from robot_rl.nets.pytree import from_named_leaves, named_leaves

Params = dict[str, Any]


def init_actor(key: Array, spec: ObservationSpec, action_dim: int, hidden: tuple[int, ...]) -> Params:
    """Projections of the cameras' features, and the network to means and deviations."""
    projection_key, mlp_key = jax.random.split(key)
    return {
        "projection": init_projections(projection_key, spec),
        "mlp": init_mlp(mlp_key, (input_size(spec), *hidden, 2 * action_dim)),
    }


def action_distribution(
    spec: ObservationSpec, actor: Params, features: Mapping[str, Array], observation: Mapping[str, Any]
) -> TanhNormal:
    """Of a batch. features: the critic's, of the cameras; they get no gradient from here."""
    x = join_features(spec, actor["projection"], jax.lax.stop_gradient(features), observation)
    return TanhNormal.from_output(apply_mlp(actor["mlp"], x))


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Policy:
    """A tanh-Gaussian policy. convolutions: the critic's, empty without images. Immutable.

    grasp: values of the three choices for the last action, where that is a gripper's and chosen; else empty.
    """

    convolutions: Params
    actor: Params
    spec: ObservationSpec = field(metadata={"static": True})
    action_dim: int = field(metadata={"static": True})
    hidden: tuple[int, ...] = field(metadata={"static": True})
    grasp: Params = field(default_factory=dict)

    def act(self, observation: Observation, key: Array | None) -> NDArray[np.float32]:
        """The action (action_dim,) in [-1, 1]: drawn with `key`, the squashed mean for None.

        DataError: the observation lacks an array, or has one of another shape or not finite.
        """
        self.spec.check(observation)
        # .copy(): JAX's own buffer is read-only
        seen = {name: np.atleast_1d(observation[name]) for name in self.spec.arrays}
        return np.asarray(_act(self, seen, key)).copy()

    def to_bytes(self, version: int) -> bytes:
        """A safetensors message; its metadata say how to read it and hold a checksum over all of it."""
        arrays = named_leaves({"convolutions": self.convolutions, "actor": self.actor, "grasp": self.grasp})
        facts = {
            "version": version,
            "action_dim": self.action_dim,
            "hidden": self.hidden,
            "observation": dataclasses.asdict(self.spec),
            "grasp": bool(self.grasp),
        }
        # one entry only: safetensors writes several in any order, and equal policies must be equal bytes
        return safetensors.numpy.save(arrays, {"policy": json.dumps(facts | {"sha256": _digest(facts, arrays)})})


def policy_from_bytes(message: bytes) -> tuple[Policy, int]:
    """The policy and its version. DataError: damaged, or not a policy; no code in it is ever run."""
    try:
        arrays = safetensors.numpy.load(message)
        length = int.from_bytes(message[:8], "little")
        facts = json.loads(json.loads(message[8 : 8 + length])["__metadata__"]["policy"])
        digest = facts.pop("sha256")
    except (SafetensorError, LookupError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            f"the policy message of {len(message)} bytes does not decode ({error}); send it again"
        ) from error
    if digest != _digest(facts, arrays):
        raise DataError(f"the policy message of {len(message)} bytes fails its checksum; send it again")
    try:
        spec, hidden = _spec(facts["observation"]), tuple(int(size) for size in facts["hidden"])
        action_dim, version = int(facts["action_dim"]), int(facts["version"])
        shapes = _shapes(spec, action_dim, hidden, grasp=bool(facts.get("grasp", False)))
    except (LookupError, ValueError, TypeError, ArithmeticError) as error:
        raise DataError(f"the policy message lacks or garbles {error}; it comes from another release") from error
    weights = from_named_leaves(shapes, arrays)
    return Policy(**weights, spec=spec, action_dim=action_dim, hidden=hidden), version


@lru_cache(maxsize=8)
def _shapes(spec: ObservationSpec, action_dim: int, hidden: tuple[int, ...], *, grasp: bool) -> Params:
    """What a policy's arrays must look like; nothing is allocated."""

    def create(key: Array) -> Params:
        return {
            "convolutions": init_convolutions(key, spec),
            "actor": init_actor(key, spec, action_dim - grasp, hidden),
            "grasp": init_choices(key, spec, hidden) if grasp else {},
        }

    return jax.eval_shape(create, jax.ShapeDtypeStruct((2,), jnp.uint32))


def _spec(facts: dict[str, Any]) -> ObservationSpec:
    vectors = tuple((str(name), int(size)) for name, size in facts["vectors"])
    images = tuple((str(name), (int(h), int(w), int(c))) for name, (h, w, c) in facts["images"])
    maps = facts.get("features", ())  # older policies know of none
    features = tuple((str(name), (int(n), int(h), int(w), int(c))) for name, (n, h, w, c) in maps)
    return ObservationSpec(vectors, images, features)


def _digest(facts: Mapping[str, Any], arrays: Mapping[str, NDArray]) -> str:
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        digest.update(arrays[name].tobytes())
    return digest.hexdigest()


@jax.jit
def _act(policy: Policy, observation: Mapping[str, Any], key: Array | None) -> Array:
    batch = jax.tree.map(lambda leaf: leaf[None], observation)
    features = convolve(policy.convolutions, batch)
    distribution = action_distribution(policy.spec, policy.actor, features, batch)
    action = distribution.mode() if key is None else distribution.sample_and_log_prob(key)[0]
    if policy.grasp:
        values = choice_values(policy.spec, policy.grasp, features, batch)
        choice = choose(values, None if key is None else jax.random.fold_in(key, 1))
        action = jnp.concatenate([action, as_action(choice)[:, None]], axis=-1)
    return action[0]
