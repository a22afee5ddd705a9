"""robomimic's HDF5, read.

    data                      attributes total, env_args (JSON: env_name, type, env_kwargs)
    data/demo_0               attribute num_samples; arrays actions, rewards, dones
    data/demo_0/obs, next_obs an array for each observation; images uint8 (n, h, w, 3)
    mask/NAME                 names of the demonstrations that a filter keeps

Source: https://robomimic.github.io/docs/datasets/overview.html. `dones` is 1 where the episode ends with that step.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from robot_rl.data.formats import attributes, hdf5
from robot_rl.data.formats.arrays import ArrayEpisode, steps_of
from robot_rl.data.formats.intake import Notices, Source, Want, choose, make_schema
from robot_rl.data.schema import Schema
from robot_rl.exceptions import DataError

RATE = 20.0
"""Hz where the file says nothing: robosuite's control frequency."""


def is_robomimic(path: Path) -> bool:
    """Whether an HDF5 file has robomimic's layout. Raises `DataError` where it cannot be read."""
    with hdf5.opened(path) as file, hdf5.damage_is_named(path):
        data = file["data"] if "data" in hdf5.children(file) else None
        return data is not None and hdf5.is_group(data) and any(map(_is_demo, hdf5.children(data)))


@contextmanager
def open_robomimic(path: Path, want: Want) -> Iterator[Source]:
    """A file's demonstrations, streamed. Raises `DataError`."""
    with hdf5.opened(path) as file:
        with hdf5.damage_is_named(path):
            source = _source(file, path, want)
        yield source


def _source(file: Any, path: Path, want: Want) -> Source:
    data = hdf5.child(file, "data")
    names = sorted(filter(_is_demo, hdf5.children(data)), key=lambda name: (len(name), name))
    if not names:
        raise DataError("'data' holds no demonstration (demo_0, demo_1, ...)")
    notices, mark, about = Notices(), hdf5.fingerprint(path), _env_args(data)
    first = _episode(data, names[0], mark, Notices())
    want = _as_exported(data, first, want)
    chosen = choose(first.columns, want, notices)
    schema = make_schema(str(about.get("env_name", "robomimic")), chosen, first.action.shape[1], (), want, str(path))
    episodes = (_episode(data, name, mark, notices) for name in names)
    transitions = steps_of(episodes, chosen, want.map.scale, 1 / (want.map.rate or _rate(about)), notices)
    steps = sum(attributes.count(data[name], "num_samples", 0) for name in names)
    return Source(schema, hdf5.guarded(path, transitions), steps, notices)


def _as_exported(data: Any, episode: ArrayEpisode, want: Want) -> Want:
    """What was asked, with the names of the schema that our export left in the file, where they fit."""
    text = attributes.text(data, "robot_rl_schema")
    if text is None or want.map.observation:
        return want
    own = Schema.from_json(text)
    columns, names = episode.columns, {field.name: field.message_name for field in own.observation}
    if not set(names.values()) <= columns.keys() or len(own.actions) != episode.action.shape[1]:
        return want
    asked = replace(want.map, observation=names)
    fits = want.size is None and not want.map.scale.names
    return replace(want, map=asked, schema=own if want.schema is None and fits else want.schema)


def _is_demo(name: str) -> bool:
    return re.fullmatch(r"demo_\d{1,9}", name) is not None


def _env_args(data: Any) -> dict[str, Any]:
    """What the file says of its environment; a file of the plain layout may say nothing."""
    try:
        content = json.loads(attributes.text(data, "env_args") or "{}")
    except ValueError as error:
        raise DataError(f"'env_args' is no JSON ({error})") from error
    return content if isinstance(content, dict) else {}


def _rate(about: dict[str, Any]) -> float:
    arguments = about.get("env_kwargs")
    rate = arguments.get("control_freq", RATE) if isinstance(arguments, dict) else RATE
    return float(rate) if isinstance(rate, int | float) and 0 < rate < 1e6 else RATE


def _episode(data: Any, name: str, mark: str, notices: Notices) -> ArrayEpisode:
    demo = hdf5.child(data, name)
    if not hdf5.is_group(demo):
        raise DataError(f"'{name}' is no group")
    action = hdf5.checked(hdf5.child(demo, "actions"))
    if action.ndim != 2 or action.dtype.kind not in "fiu" or not 0 < action.shape[1] <= 1000:
        raise DataError(f"'{name}' has actions of {action.dtype} {action.shape}, not numbers (n, dim)")
    count = action.shape[0]
    told = attributes.count(demo, "num_samples", count)
    if told != count:
        raise DataError(f"'{name}' has {count} actions, but says num_samples = {told}; it is cut off")
    reward, dones = hdf5.series(demo, "rewards"), hdf5.series(demo, "dones")
    if reward is None:
        notices.add("{} demonstrations have no rewards: 0 is taken")
        reward = np.zeros(count)
    if dones is None:
        notices.add("{} demonstrations have no dones: each is taken as cut, not as ended")
        dones = np.zeros(count)
    if len(reward) != count or len(dones) != count:
        raise DataError(f"'{name}' has {count} actions, {len(reward)} rewards and {len(dones)} dones; it is cut off")
    ended, names = dones != 0, hdf5.children(demo)
    if "obs" not in names:
        raise DataError(f"'{name}' has no observations; extract them with robomimic's dataset_states_to_obs.py")
    return ArrayEpisode(
        name=f"{mark}/{name}",
        observation=hdf5.leaves(demo["obs"], hdf5.numbers),
        following=hdf5.leaves(demo["next_obs"], hdf5.numbers) if "next_obs" in names else None,
        action=action,
        reward=reward.astype(np.float64),
        terminated=ended,
        truncated=np.zeros(count, bool),
        success=ended & (reward > 0),
    )
