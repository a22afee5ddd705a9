"""Pytrees to named arrays and back: what files and messages hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import jax
import numpy as np
from numpy.typing import NDArray

from robot_rl.exceptions import DataError

Tree = TypeVar("Tree")


def named_leaves(tree: Any) -> dict[str, NDArray]:
    """Each leaf, copied to NumPy, under the path that leads to it, such as `critic/ensemble/0/kernel`."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {_name(path): np.array(leaf, copy=True, order="C") for path, leaf in leaves}


def from_named_leaves(template: Tree, arrays: Mapping[str, NDArray]) -> Tree:
    """A tree like `template` (arrays or shapes) with the leaves of `arrays`.

    DataError: a leaf is missing, left over, or of another shape or kind. Nothing was changed.
    """
    leaves, structure = jax.tree_util.tree_flatten_with_path(template)
    names = [_name(path) for path, _ in leaves]
    if odd := set(names) ^ set(arrays):
        raise DataError(f"array {min(odd)!r} is missing or left over; it was saved for another network")
    for name, (_, leaf) in zip(names, leaves, strict=True):
        if arrays[name].shape != leaf.shape or arrays[name].dtype != leaf.dtype:
            raise DataError(
                f"array {name!r} is {arrays[name].dtype} of shape {arrays[name].shape} where "
                f"{leaf.dtype} of shape {leaf.shape} belongs; it was saved for another network"
            )
    return jax.tree_util.tree_unflatten(structure, [jax.numpy.array(arrays[name]) for name in names])


def _name(path: tuple[Any, ...]) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")
