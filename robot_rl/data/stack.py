"""Transitions to named arrays and a table that JSON can hold, and back: how a checkpoint keeps a queue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot_rl.data.transition import Transition
from robot_rl.nets.observation import ObservationSpec

_PLAIN: dict[str, type] = {
    "actor": str,
    "sequence": int,
    "episode": str,
    "step": int,
    "stamp": float,
    "next_stamp": float,
    "intervened": bool,
    "reward": float,
    "terminated": bool,
    "truncated": bool,
    "success": bool,
    "policy_version": int,
}


def stack(transitions: Sequence[Transition], spec: ObservationSpec) -> tuple[dict[str, NDArray], dict[str, list]]:
    """Arrays (len(transitions), ...) by name, and the plain fields in columns. Only `spec`'s observations are kept."""
    table = {name: [kind(getattr(t, name)) for t in transitions] for name, kind in _PLAIN.items()}
    arrays: dict[str, NDArray] = {}
    if transitions:
        for name in spec.example():
            arrays[f"observation/{name}"] = np.stack([t.observation[name] for t in transitions])
            arrays[f"next/{name}"] = np.stack([t.next_observation[name] for t in transitions])
        arrays["action"] = np.stack([t.action for t in transitions])
        arrays["policy_action"] = np.stack([t.policy_action for t in transitions])
    return arrays, table


def unstack(arrays: Mapping[str, NDArray], table: Mapping[str, list], spec: ObservationSpec) -> list[Transition]:
    """The inverse of `stack`."""

    def transition(i: int) -> Transition:
        fields: dict[str, Any] = {name: table[name][i] for name in _PLAIN}
        return Transition(
            observation={name: arrays[f"observation/{name}"][i] for name in spec.example()},
            next_observation={name: arrays[f"next/{name}"][i] for name in spec.example()},
            action=arrays["action"][i],
            policy_action=arrays["policy_action"][i],
            **fields,
        )

    return [transition(i) for i in range(len(table["sequence"]))]
