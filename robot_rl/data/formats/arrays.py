"""Episodes that lie in files as arrays over time, as steps; read by the block, never as a whole."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from robot_rl.data.formats.intake import Chosen, Column, Notices, continuous, scaled
from robot_rl.data.formats.mapping import Scale
from robot_rl.data.transition import Transition
from robot_rl.exceptions import DataError

BLOCK_BYTES = 16 << 20
"""Bytes of one array that are in memory at a time."""
BLOCK_STEPS = 1024


class Array(Protocol):
    """An array on the disk: rows are read when they are asked for."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype: ...

    def __getitem__(self, rows: slice) -> NDArray: ...


@dataclass(frozen=True)
class ArrayEpisode:
    """One episode of n actions.

    observation: by foreign name, (n, ...) or (n + 1, ...). following: the next observations, (n, ...), where the
    data has them apart. reward, terminated, truncated, success: (n,).
    """

    name: str
    observation: Mapping[str, Array]
    following: Mapping[str, Array] | None
    action: Array
    reward: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    success: NDArray[np.bool_]

    @property
    def columns(self) -> dict[str, Column]:
        """What is observed."""
        return {name: Column(array.shape[1:], array.dtype) for name, array in self.observation.items()}


def steps_of(
    episodes: Iterable[ArrayEpisode], chosen: list[Chosen], scale: Scale, period: float, notices: Notices
) -> Iterator[Transition]:
    """The episodes as transitions of one actor, on a clock that goes on with `period` s a step."""
    return continuous(_steps(episodes, chosen, scale, period, notices), notices)


def _steps(
    episodes: Iterable[ArrayEpisode], chosen: list[Chosen], scale: Scale, period: float, notices: Notices
) -> Iterator[Transition]:
    clock = 0
    for episode in episodes:
        count = _check(episode, chosen, notices)
        for index, values in enumerate(_rows(episode, chosen, scale, count)):
            observation, following, action = values
            last, terminated = index == count - 1, bool(episode.terminated[index])
            yield Transition(
                actor="import",
                sequence=0,
                episode=episode.name,
                step=index,
                stamp=(clock + index) * period,
                next_stamp=(clock + index + 1) * period,
                observation=observation,
                next_observation=following,
                policy_action=action,
                action=action,
                intervened=False,
                reward=float(episode.reward[index]),
                terminated=terminated,
                truncated=last and not terminated,
                success=bool(episode.success[index]),
                policy_version=0,
            )
        clock += count + 1


def _check(episode: ArrayEpisode, chosen: list[Chosen], notices: Notices) -> int:
    """How many steps of the episode count. Raises `DataError` where its arrays contradict each other or the schema."""
    where, count = f"episode '{episode.name}'", len(episode.reward)
    shift = episode.following is None
    rows = set()
    for item in chosen:
        for arrays in (episode.observation, *([] if episode.following is None else [episode.following])):
            if item.source not in arrays:
                raise DataError(f"{where} lacks '{item.source}', which the episode before has")
            array = arrays[item.source]
            if (array.shape[1:], array.dtype) != (item.column.shape, item.column.dtype):
                raise DataError(f"{where}: '{item.source}' is {array.dtype} {array.shape[1:]}, otherwise than before")
            rows.add(array.shape[0])
    if episode.action.shape[0] != count or not rows <= ({count, count + 1} if shift else {count}) or len(rows) != 1:
        found = ", ".join(map(str, sorted(rows)))
        raise DataError(
            f"{where} has {episode.action.shape[0]} actions, {count} rewards and {found} observations; "
            "it is damaged or cut off"
        )
    if shift and rows == {count} and count:
        count -= 1
        notices.add("{} last steps dropped: what they led to was not recorded")
    ends = np.flatnonzero((episode.terminated | episode.truncated)[:count])
    if ends.size and ends[0] + 1 < count:
        notices.add("{} steps dropped that come after their episode's end", count - int(ends[0]) - 1)
        count = int(ends[0]) + 1
    if count == 0:
        notices.add("{} episodes left out that hold no whole step")
    return count


def _rows(
    episode: ArrayEpisode, chosen: list[Chosen], scale: Scale, count: int
) -> Iterator[tuple[dict[str, NDArray], dict[str, NDArray], NDArray[np.float32]]]:
    """Observation, next observation and action of each of the first `count` steps."""
    widest = max(item.column.dtype.itemsize * math.prod(item.column.shape) for item in chosen)
    block = max(1, min(BLOCK_STEPS, BLOCK_BYTES // max(widest, 1)))
    for start in range(0, count, block):
        stop = min(start + block, count)
        action = scaled(episode.action[start:stop], scale, f"episode '{episode.name}', steps {start} to {stop - 1}")
        before, after = {}, {}
        for item in chosen:
            name, source = item.field.name, episode.observation[item.source]
            if episode.following is not None:
                before[name] = item.convert(source[start:stop])
                after[name] = item.convert(episode.following[item.source][start:stop])
            else:
                both = item.convert(source[start : stop + 1])
                before[name], after[name] = both[:-1], both[1:]
        for row in range(stop - start):
            yield (
                {name: values[row] for name, values in before.items()},
                {name: values[row] for name, values in after.items()},
                action[row],
            )
