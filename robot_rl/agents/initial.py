"""Beginning with another run's networks: from offline to online, for one."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from robot_rl.agents.bc import BC
from robot_rl.agents.iql import IQL, unnormalised
from robot_rl.agents.sac import SAC
from robot_rl.checkpoint import AGENT_FILE, newest_checkpoint
from robot_rl.exceptions import ConfigError, DataError
from robot_rl.nets.pytree import from_named_leaves

NETWORKS = ("actor", "critic", "target", "value")
Arrays = dict[str, NDArray[Any]]
Learns = TypeVar("Learns")


def begin_with(agent: Learns, run: Path) -> Learns:
    """`agent` with the networks of the newest checkpoint of `run` that both have; its optimisers begin anew.

    A cloned policy gives its policy, IQL its critics too, in the sizes that the run had.
    ConfigError: there is no checkpoint, or its networks have other sizes.
    """
    found = newest_checkpoint(run / "checkpoints", only=(AGENT_FILE,))
    if found is None:
        raise ConfigError(f"initial is {run}, which has no checkpoint yet; train it first")
    given = _networks(found.arrays(AGENT_FILE))
    try:
        return _taken(agent, given)
    except DataError as error:
        raise ConfigError(
            f"initial is {run}, whose networks are others ({error}); give both runs the same --learner.hidden, "
            "--learner.critics, --learner.layer-norm, --learner.grasp-critic false and observations"
        ) from error


def _taken(agent: Any, given: dict[str, Arrays]) -> Any:
    """The agent with what it has of `given`. Raises `DataError` where that is of other sizes, or nothing fits."""
    if not given["actor"]:
        raise DataError("there is no policy of that kind in it")
    if isinstance(agent, BC):
        of_weights = {f"actor/{name}": array for name, array in given["actor"].items()}
        of_weights |= {name: array for name, array in given["critic"].items() if name.startswith("convolutions/")}
        return replace(agent, weights=from_named_leaves(agent.weights, of_weights))
    if not isinstance(agent, SAC | IQL):
        raise DataError(f"a {type(agent).__name__} takes no other's networks")
    names = {field.name for field in fields(agent)}
    changes: dict[str, Any] = {}
    for name in NETWORKS:
        mine = getattr(agent, name) if name in names else None
        if mine is None or not given.get(name):
            continue
        arrays = given[name]
        if name == "critic" and not any(part.startswith("ensemble/") for part in arrays):
            if not mine["convolutions"]:
                continue  # a cloned policy that sees no pictures
            mine = {"convolutions": mine["convolutions"]}
            changes[name] = agent.critic | from_named_leaves(mine, arrays)
            continue
        changes[name] = from_named_leaves(mine, arrays)
    return replace(agent, **changes)


def _networks(arrays: Arrays) -> dict[str, Arrays]:
    """By network, its arrays by name; made to see observations as they are."""
    if any(name.startswith("weights/") for name in arrays):  # behaviour cloning
        cut = {name.removeprefix("weights/"): array for name, array in arrays.items() if name.startswith("weights/")}
        arrays = {name if name.startswith("actor/") else f"critic/{name}": array for name, array in cut.items()}
    found: dict[str, Arrays] = {name: {} for name in NETWORKS}
    for name, array in arrays.items():
        network, _, part = name.partition("/")
        if network in found and part:
            found[network][part] = array
    if "mean" in arrays:
        _unnormalise(found, arrays["mean"], arrays["deviation"])
    return found


def _unnormalise(networks: dict[str, Arrays], mean: NDArray[Any], deviation: NDArray[Any]) -> None:
    """Let IQL's networks see observations as they are."""
    for parts in networks.values():
        for kernel in [name for name in parts if name.endswith(("mlp/0/kernel", "ensemble/0/kernel"))]:
            bias = kernel.replace("kernel", "bias")
            layer = {"kernel": jnp.asarray(parts[kernel]), "bias": jnp.asarray(parts[bias])}
            plain = unnormalised(layer, jnp.asarray(mean), jnp.asarray(deviation))
            parts[kernel], parts[bias] = np.asarray(plain["kernel"]), np.asarray(plain["bias"])
