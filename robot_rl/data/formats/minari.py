"""Minari's data sets (HDF5 storage), read with h5py alone.

    NAME/data/metadata.json     total_steps, observation_space and action_space as JSON, env_spec
    NAME/data/main_data.hdf5    episode_0: observations (n + 1, ...) or a group of these; actions, rewards,
                                terminations, truncations (n, ...)

Source: https://minari.farama.org/content/dataset_standards. The library itself would make the environment that a
file names, which runs code.
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

from robot_rl.data.formats import hdf5
from robot_rl.data.formats.arrays import Array, ArrayEpisode, steps_of
from robot_rl.data.formats.intake import Notices, Source, Want, choose, make_schema
from robot_rl.data.formats.jpeg import jpeg_frames
from robot_rl.data.formats.mapping import Scale
from robot_rl.exceptions import DataError

MAIN, METADATA = "main_data.hdf5", "metadata.json"
RATE = 20.0
"""Hz of the stamps, where the map gives none: the format has no times."""


def minari_folder(path: Path) -> Path | None:
    """The folder with a data set's files, where `path` is a data set."""
    for folder in (path, path / "data"):
        if (folder / METADATA).is_file() and ((folder / MAIN).is_file() or folder.name == "data"):
            return folder
    return None


@contextmanager
def open_minari(path: Path, want: Want) -> Iterator[Source]:
    """A data set's episodes, streamed. path: its folder, or that of its files. Raises `DataError`."""
    folder = minari_folder(path)
    if folder is None:
        raise DataError(f"{path} is no Minari data set: it has no data/{METADATA}")
    about = _metadata(folder / METADATA)
    storage = about.get("data_format", "hdf5")
    if storage != "hdf5":
        raise DataError(f"{path} is stored as {storage!r}, which is not read here; save it with data_format='hdf5'")
    with hdf5.opened(folder / MAIN) as file:
        with hdf5.damage_is_named(folder / MAIN):
            source = _source(file, folder / MAIN, about, want)
        yield source


def _source(file: Any, path: Path, about: dict[str, Any], want: Want) -> Source:
    names = sorted(filter(_is_episode, hdf5.children(file)), key=lambda name: (len(name), name))
    told = about.get("total_episodes", len(names))
    if not names or told != len(names):
        raise DataError(f"holds {len(names)} episodes where {METADATA} says {told}; it is damaged or cut off")
    notices, mark = Notices(), hdf5.fingerprint(path)
    first = _episode(file, names[0], mark)
    chosen = choose(first.columns, want, notices)
    size = first.action.shape[1]
    schema = make_schema(_task(about, path.parent), chosen, size, (), want, str(path))
    scale = _scale(about, want.map.scale, size, notices)
    episodes = (_episode(file, name, mark) for name in names)
    transitions = steps_of(episodes, chosen, scale, 1 / (want.map.rate or RATE), notices)
    steps = about.get("total_steps")
    return Source(schema, hdf5.guarded(path, transitions), steps if isinstance(steps, int) else None, notices)


def _is_episode(name: str) -> bool:
    return re.fullmatch(r"episode_\d{1,9}", name) is not None


def _metadata(path: Path) -> dict[str, Any]:
    with hdf5.damage_is_named(path):
        content = json.loads(path.read_text())
        if not isinstance(content, dict):
            raise DataError("it holds no mapping")
        return content


def _task(about: dict[str, Any], path: Path) -> str:
    """The environment's name, or the data set's."""
    try:
        name = json.loads(about["env_spec"])["id"]
    except (KeyError, ValueError, TypeError):
        name = about.get("dataset_id", path.name)
    return name if isinstance(name, str) and name.isprintable() and name else "minari"


def _scale(about: dict[str, Any], asked: Scale, size: int, notices: Notices) -> Scale:
    """What the map says, else the bounds of the action's space: Minari's actions have any."""
    if asked.low:
        return asked
    space = about.get("action_space")
    try:
        space = json.loads(space) if isinstance(space, str) else {}
        low, high = (np.asarray(space.get(name, []), float).reshape(-1) for name in ("low", "high"))
    except (ValueError, TypeError, AttributeError) as error:
        raise DataError(
            f"the action space in {METADATA} cannot be read ({error}); give low and high in the map"
        ) from error
    if low.size != size or high.size != size or not (np.isfinite(low) & np.isfinite(high) & (low < high)).all():
        return asked
    if (low == -1).all() and (high == 1).all():
        return asked
    notices.add("actions scaled from the bounds of their space to -1 and 1")
    return replace(asked, low=tuple(low.tolist()), high=tuple(high.tolist()))


def _episode(file: Any, name: str, mark: str) -> ArrayEpisode:
    group = hdf5.child(file, name)
    action = hdf5.child(group, "actions")
    if hdf5.is_group(action):
        raise DataError(
            f"'{name}' has actions in several parts ({', '.join(hdf5.children(action))}); one array is read here"
        )
    action = hdf5.checked(action)
    if action.ndim != 2 or action.dtype.kind != "f" or not 0 < action.shape[1] <= 1000:
        raise DataError(f"'{name}' has actions of {action.dtype} {action.shape}, not continuous ones (n, dim)")
    observations = hdf5.child(group, "observations")
    if not hdf5.is_group(observations) and _seen(observations) is None:
        raise DataError(f"'{name}' observes {observations.dtype} {observations.shape}, neither numbers nor pictures")
    observation: dict[str, Array] = (
        hdf5.leaves(observations, _seen) if hdf5.is_group(observations) else {"observation": _seen(observations)}
    )
    columns = {key: hdf5.series(group, key) for key in ("rewards", "terminations", "truncations")}
    for key, values in columns.items():
        if values is None or len(values) != action.shape[0]:
            found = "no" if values is None else len(values)
            raise DataError(f"'{name}' has {action.shape[0]} actions and {found} {key}; it is damaged or cut off")
    return ArrayEpisode(
        name=f"{mark}/{name}",
        observation=observation,
        following=None,
        action=action,
        reward=np.asarray(columns["rewards"], np.float64),
        terminated=np.asarray(columns["terminations"]) != 0,
        truncated=np.asarray(columns["truncations"]) != 0,
        success=_success(group, action.shape[0]),
    )


def _seen(array: Any) -> Any:
    """An observation's array: its numbers, or the pictures that it holds as JPEG."""
    frames = jpeg_frames(hdf5.checked(array))
    return frames if frames is not None else hdf5.numbers(array)


def _success(group: Any, count: int) -> Any:
    """What the environment's info said, where the storage has it as numbers: (n,) or, with the reset's, (n + 1,)."""
    infos = group["infos"] if "infos" in hdf5.children(group) else None
    values = hdf5.series(infos, "success") if infos is not None and hdf5.is_group(infos) else None
    if values is None or len(values) not in (count, count + 1):
        return np.zeros(count, bool)
    return values[-count:] != 0 if count else np.zeros(0, bool)
