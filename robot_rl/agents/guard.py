"""Bad numbers: an update that made any is refused, and the agent stays as it was."""

from __future__ import annotations

from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax import Array

Tree = TypeVar("Tree")

REFUSED = "refused"
"""The metric that is 1 where an update was refused, else 0."""


def accept(old: Tree, new: Tree, metrics: dict[str, Array]) -> tuple[Tree, dict[str, Array]]:
    """`new` and its metrics with `REFUSED`; `old` where any number of `new` or its metrics is not finite.

    For use inside a compiled update, whose caller gave up `old`: what was good before must come out of it again.
    An agent that is finite before is so after, moments of its optimisers included; a loss alone would not show that.
    An update inside another that was refused has the other refused.
    """
    sound = _finite(new) & _finite(metrics) & (metrics.get(REFUSED, jnp.float32(0)) == 0)
    agent = jax.tree.map(lambda before, after: jnp.where(sound, after, before), old, new)
    return agent, metrics | {REFUSED: 1 - sound.astype(jnp.float32)}


def _finite(tree: Any) -> Array:
    """Whether every floating-point number of `tree` is finite."""
    numbers = [leaf for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    return jnp.stack([jnp.isfinite(leaf).all() for leaf in numbers]).all()
