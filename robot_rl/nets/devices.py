"""Several devices: each takes its share of every batch, and all hold the same agent."""

from __future__ import annotations

from typing import TypeVar

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from robot_rl.exceptions import ConfigError

Tree = TypeVar("Tree")

AXIS = "batch"


def count_devices(wanted: int, batch: int) -> int:
    """How many devices share a batch of `batch`: `wanted`, or for 0 all that there are.

    ConfigError: there are not so many, or the batch does not divide into equal shares.
    """
    present = jax.device_count()
    count = wanted or present
    if count > present:
        raise ConfigError(f"learner.devices is {wanted}, but JAX has {present}; give 0 for all of them.")
    if batch % count:
        raise ConfigError(f"learner.batch is {batch}, which {count} devices cannot share equally; give a multiple.")
    return count


def split(batch: Tree, devices: int) -> Tree:
    """`batch` (slices, batch, ...) with its second axis over `devices`; what it meets in a compiled call follows."""
    if devices == 1:
        return batch
    return jax.device_put(batch, NamedSharding(_mesh(devices), PartitionSpec(None, AXIS)))


def replicate(tree: Tree, devices: int) -> Tree:
    """For use inside a compiled call: `tree` whole on each of `devices`."""
    if devices == 1:
        return tree
    return jax.lax.with_sharding_constraint(tree, NamedSharding(_mesh(devices), PartitionSpec()))


def _mesh(devices: int) -> Mesh:
    return Mesh(jax.devices()[:devices], (AXIS,))
