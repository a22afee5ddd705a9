"""What an agent sees and does, field by field, as checkpoints hold it and people read it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from robot_rl.agents import Policy
from robot_rl.data.transition import Observation
from robot_rl.exceptions import ConfigError
from robot_rl.nets.observation import ObservationSpec

ACTION = "the action"


def describe(spec: ObservationSpec, action_dim: int) -> dict[str, str]:
    """Each field's name and size, such as `{"tool_wrench": "6 numbers", "camera front": "128 x 128 x 3"}`."""
    found = {name: _numbers(size) for name, size in spec.vectors}
    for kind in dataclasses.fields(spec):
        if kind.name != "vectors":
            word = "camera" if kind.name == "images" else kind.name
            found |= {f"{word} {name}": " x ".join(map(str, shape)) for name, shape in getattr(spec, kind.name)}
    return found | {ACTION: _numbers(action_dim)}


def differences(here: Mapping[str, str], there: Mapping[str, str], place: str) -> str:
    """What differs between two of `describe`, in one clause; empty where nothing does. place: such as `the checkpoint`.

    For example: tool_wrench has 6 numbers here, 3 numbers in the checkpoint; camera front is missing in the checkpoint.
    """
    parts = []
    for name in [*here, *(name for name in there if name not in here)]:
        if name not in there:
            parts.append(f"{name} is missing in {place}")
        elif name not in here:
            parts.append(f"{name} is missing here")
        elif here[name] != there[name]:
            parts.append(f"{name} has {here[name]} here, {there[name]} in {place}")
    return "; ".join(parts)


def refuse_policy(policy: Policy, example: Observation, action_dim: int, stack: int) -> None:
    """Raise `ConfigError` where a policy lacks something that it was made for, or moves something else.

    example: of one observation here; what it has beyond the policy's is ignored, as acting does.
    """
    there = describe(policy.spec, policy.action_dim)
    here = describe(ObservationSpec.of(example).stacked(stack), action_dim)
    if odd := differences({name: size for name, size in here.items() if name in there}, there, "the policy"):
        raise ConfigError(f"the policy was trained with other observations or actions: {odd}")


def _numbers(count: int) -> str:
    return f"{count} number{'' if count == 1 else 's'}"
