"""Which LeRobot feature holds what of a transition, for datasets that are exported here.

LeRobot's rows are moments: row k holds the observation, the action taken there and what followed (`next.*`), and
the next observation is row k + 1. Where that is not so (an episode's last one, a hole) a row with
`observation_only` follows: it holds the next observation and no transition.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot_rl.data.label import Labels
from robot_rl.data.lerobot.layout import Feature
from robot_rl.data.schema import Field, Schema
from robot_rl.data.transition import Observation, Transition
from robot_rl.exceptions import DataError

STATE = "observation.state"
ENVIRONMENT = "observation.environment_state"
IMAGES = "observation.images."
PRIVILEGED = "sim/"
"""What only a simulator knows goes to LeRobot's environment state, so that no policy there takes it for a sensor's."""

BOOKKEEPING = (
    Feature("timestamp", "float32"),
    Feature("frame_index", "int64"),
    Feature("episode_index", "int64"),
    Feature("index", "int64"),
    Feature("task_index", "int64"),
)
"""The columns that every LeRobot dataset has. timestamp: s, frame_index / fps."""

FLAT = (
    Feature("next.reward", "float64"),
    Feature("next.done", "bool"),
    Feature("next.terminated", "bool"),
    Feature("next.truncated", "bool"),
    Feature("next.success", "bool"),
    Feature("intervention", "bool"),
    Feature("discarded", "bool"),
    Feature("observation_only", "bool"),
    Feature("raw.reward", "float64"),
    Feature("raw.success", "bool"),
    Feature("policy_version", "int64"),
    Feature("step", "int64"),
    Feature("stamp", "float64"),
    Feature("next_stamp", "float64"),
    Feature("clamped", "float32", (2,), ("position", "rotation")),
    Feature("episode_id", "string"),
    Feature("actor", "string"),
)
"""What a transition holds besides arrays. `next.reward` and `next.success`: after labels; `raw.*`: as recorded."""

_SCHEMA = "robot_rl.schema"


def groups(schema: Schema) -> dict[str, tuple[Field, ...]]:
    """The columns of an observation's arrays, and which fields each holds, flattened, one behind the other."""
    found: dict[str, tuple[Field, ...]] = {}
    for field in schema.arrays:
        if field.dtype != "float32":
            column = f"observation.{field.message_name}.{field.dtype}"
        else:
            column = ENVIRONMENT if field.name.startswith(PRIVILEGED) else STATE
        found[column] = (*found.get(column, ()), field)
    return found


def camera(field: Field) -> str:
    """The feature of an image."""
    return IMAGES + field.message_name


def size(field: Field) -> int:
    """Numbers in a field."""
    return math.prod(field.shape)


def features(schema: Schema, videos: Mapping[str, Mapping[str, Any]]) -> dict[str, Feature]:
    """All features of an export. videos: what to say of each camera that is a video; the others are PNG in the rows."""
    found = []
    for column, fields in groups(schema).items():
        names = [name for field in fields for name in _names(field)]
        found.append(Feature(column, fields[0].dtype, (len(names),), tuple(names)))
    for field in schema.images:
        video = videos.get(camera(field))
        shape = (*field.shape[:2], 3) if video is not None else field.shape
        kind = "image" if video is None else "video"
        found.append(Feature(camera(field), kind, shape, ("height", "width", "channels"), video or {}))
    actions = (len(schema.actions),)
    found.append(Feature("action", "float32", actions, schema.actions, {_SCHEMA: schema.to_json()}))
    found.append(Feature("policy_action", "float32", actions, schema.actions))
    return {feature.name: feature for feature in (*found, *FLAT, *BOOKKEEPING)}


def _names(field: Field) -> list[str]:
    return [field.name] if size(field) == 1 else [f"{field.name}.{index}" for index in range(size(field))]


def exported_schema(features: Mapping[str, Feature]) -> Schema | None:
    """The schema of a dataset that was exported here, or None. Raises `DataError` where features are missing."""
    action = features.get("action")
    if action is None or _SCHEMA not in action.info:
        return None
    schema = Schema.from_json(str(action.info[_SCHEMA])).newest()
    wanted: dict[str, tuple[int, ...]] = {}
    wanted |= {column: (sum(map(size, fields)),) for column, fields in groups(schema).items()}
    wanted |= {name: (len(schema.actions),) for name in ("action", "policy_action")}
    wanted |= {feature.name: feature.shape for feature in FLAT}
    odd = sorted(name for name, shape in wanted.items() if name not in features or features[name].shape != shape)
    odd += sorted(name for name in map(camera, schema.images) if name not in features)
    if odd:
        raise DataError(f"the dataset was exported by robot_rl, but changed since: {', '.join(odd)}; map it by hand")
    return schema


def arrays(observation: Observation, columns: Mapping[str, tuple[Field, ...]]) -> dict[str, NDArray]:
    """The columns of an observation, each one flat array."""
    return {
        column: np.concatenate([observation[field.name].reshape(-1) for field in fields])
        for column, fields in columns.items()
    }


def flat(transition: Transition, labels: Labels) -> dict[str, Any]:
    """The values of a transition's `action`, `policy_action` and `FLAT`."""
    episode, step = transition.episode, transition.step
    return {
        "action": transition.action,
        "policy_action": transition.policy_action,
        "next.reward": labels.reward(episode, step, transition.reward),
        "next.done": transition.terminated or transition.truncated,
        "next.terminated": transition.terminated,
        "next.truncated": transition.truncated,
        "next.success": labels.success(episode, step, transition.success),
        "intervention": transition.intervened,
        "discarded": labels.discarded(episode, step),
        "observation_only": False,
        "raw.reward": transition.reward,
        "raw.success": transition.success,
        "policy_version": transition.policy_version,
        "step": step,
        "stamp": transition.stamp,
        "next_stamp": transition.next_stamp,
        "clamped": transition.clamped,
        "episode_id": episode,
        "actor": transition.actor,
    }


def flat_after(transition: Transition) -> dict[str, Any]:
    """The same for the row with the transition's next observation alone.

    Its action repeats the last one, which is what LeRobot itself pads action chunks with; `next.done` says that nothing
    starts there.
    """
    values = flat(transition, Labels())
    nothing = dict.fromkeys(("next.terminated", "next.truncated", "next.success", "raw.success", "intervention"), False)
    values |= nothing | {"next.reward": 0.0, "raw.reward": 0.0, "clamped": np.zeros(2, np.float32)}
    values |= {"next.done": True, "observation_only": True, "step": transition.step + 1}
    return values | {"stamp": transition.next_stamp}
