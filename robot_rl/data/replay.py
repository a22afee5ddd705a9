"""Replay: rings of transitions in NumPy, and batches drawn from two of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from robot_rl.data.transition import Transition
from robot_rl.exceptions import DataError
from robot_rl.nets.observation import ObservationSpec

# Frames of a few actors interleave; a frame older than this many is stored again rather than shared.
SHARED_WITHIN = 64


class Batch(NamedTuple):
    """Arrays with the same leading axes. reward, terminated: float32 (...,); action: float32 (..., actions)."""

    observation: dict[str, NDArray]
    action: NDArray[np.float32]
    reward: NDArray[np.float32]
    terminated: NDArray[np.float32]
    next_observation: dict[str, NDArray]


class Ring:
    """Columns of equal length that remember the last `capacity` rows. Rows are numbered from 0 for ever.

    Memory doubles as rows come, up to `capacity`.
    """

    def __init__(self, columns: Mapping[str, tuple[tuple[int, ...], Any]], capacity: int):
        self.capacity = capacity
        self.written = 0
        self.columns = {name: np.zeros((1, *shape), dtype) for name, (shape, dtype) in columns.items()}

    @property
    def oldest(self) -> int:
        """Number of the oldest row still held."""
        return max(0, self.written - self.capacity)

    def append(self, row: Mapping[str, Any]) -> int:
        """Store a row and return its number."""
        number = self.written
        self._reserve(number + 1)
        for name, column in self.columns.items():
            column[number % self.capacity] = row[name]
        self.written += 1
        return number

    def take(self, name: str, numbers: NDArray[np.int64] | int) -> NDArray:
        """Values of one column at row `numbers` of any shape, which must still be held."""
        return self.columns[name][numbers % self.capacity]

    def rows(self, first: int) -> dict[str, NDArray]:
        """All columns from row `first` on, in order: what a checkpoint holds."""
        numbers = np.arange(first, self.written)
        return {name: self.take(name, numbers) for name in self.columns}

    def restore(self, rows: Mapping[str, NDArray], first: int) -> None:
        """Take back what `rows(first)` gave. DataError: other columns, shapes, or too many rows."""
        counts = {len(values) for values in rows.values()}
        if rows.keys() != self.columns.keys() or len(counts) != 1 or max(counts) > self.capacity:
            raise DataError(f"the saved replay has columns {sorted(rows)} of {counts} rows; it does not fit this one")
        for name, values in rows.items():
            column = self.columns[name]
            if values.shape[1:] != column.shape[1:] or values.dtype != column.dtype:
                raise DataError(f"the saved replay's {name!r} is {values.dtype} of {values.shape}; it does not fit")
        self.written = first + max(counts)
        self._reserve(self.written)
        numbers = np.arange(first, self.written) % self.capacity
        for name, values in rows.items():
            self.columns[name][numbers] = values

    def _reserve(self, rows: int) -> None:
        rows = min(rows, self.capacity)
        for name, column in self.columns.items():
            if len(column) < rows:
                grown = np.zeros((min(max(rows, 2 * len(column)), self.capacity), *column.shape[1:]), column.dtype)
                grown[: len(column)] = column
                self.columns[name] = grown


class Replay:
    """The last `capacity` transitions. An image is stored once though two transitions show it.

    Steps hold the vectors and the numbers of two frames; a frame holds all cameras at one moment and is shared
    when the next step of the same actor starts with the very same images.
    """

    def __init__(self, spec: ObservationSpec, action_dim: int, capacity: int):
        self.spec = spec
        columns: dict[str, tuple[tuple[int, ...], Any]] = {
            "action": ((action_dim,), np.float32),
            "reward": ((), np.float32),
            "terminated": ((), np.float32),
        }
        for name, size in spec.vectors:
            columns |= {f"observation/{name}": ((size,), np.float32), f"next/{name}": ((size,), np.float32)}
        if spec.images:
            columns |= {"frame": ((), np.int64), "next_frame": ((), np.int64)}
        self.steps = Ring(columns, capacity)
        images = {name: (shape, np.uint8) for name, shape in spec.images}
        self.frames = Ring(images, capacity + capacity // 8 + 2 * SHARED_WITHIN)
        self._first = 0
        self._last_frame: dict[str, int] = {}

    def __len__(self) -> int:
        return self.steps.written - self._first

    def add(self, transition: Transition) -> None:
        """Store a transition, which `spec.check` must have passed, in place of the oldest when full."""
        row: dict[str, Any] = {
            "action": transition.action,
            "reward": transition.reward,
            "terminated": transition.terminated,
        }
        for name, _ in self.spec.vectors:
            row[f"observation/{name}"] = transition.observation[name]
            row[f"next/{name}"] = transition.next_observation[name]
        if self.spec.images:
            row["frame"] = self._shared_frame(transition)
            row["next_frame"] = self.frames.append(transition.next_observation)
            self._last_frame[transition.actor] = row["next_frame"]
        self.steps.append(row)
        self._forget()

    def gather(self, index: NDArray[np.int64]) -> Batch:
        """Transitions by age, 0 the oldest held; index may have any shape."""
        numbers = self._first + index
        take = self.steps.take
        observation = {name: take(f"observation/{name}", numbers) for name, _ in self.spec.vectors}
        following = {name: take(f"next/{name}", numbers) for name, _ in self.spec.vectors}
        if self.spec.images:
            frame, next_frame = take("frame", numbers), take("next_frame", numbers)
            observation |= {name: self.frames.take(name, frame) for name, _ in self.spec.images}
            following |= {name: self.frames.take(name, next_frame) for name, _ in self.spec.images}
        return Batch(
            observation, take("action", numbers), take("reward", numbers), take("terminated", numbers), following
        )

    def save(self) -> tuple[dict[str, NDArray], dict[str, Any]]:
        """Arrays and counters to restore from."""
        arrays = {f"steps/{name}": values for name, values in self.steps.rows(self._first).items()}
        oldest = self.frames.oldest
        arrays |= {f"frames/{name}": values for name, values in self.frames.rows(oldest).items()}
        return arrays, {"first": self._first, "oldest_frame": oldest, "last_frame": self._last_frame}

    def restore(self, arrays: Mapping[str, NDArray], state: Mapping[str, Any]) -> None:
        """Take back what `save` gave, into an empty replay. DataError: it was made for other observations."""
        self._first = int(state["first"])
        self.steps.restore(_below(arrays, "steps/"), self._first)
        if self.spec.images:
            self.frames.restore(_below(arrays, "frames/"), int(state["oldest_frame"]))
        self._last_frame = {str(actor): int(number) for actor, number in state["last_frame"].items()}

    def _shared_frame(self, transition: Transition) -> int:
        last = self._last_frame.get(transition.actor, -1)
        if last >= max(0, self.frames.written - SHARED_WITHIN) and all(
            np.array_equal(self.frames.take(name, last), transition.observation[name]) for name, _ in self.spec.images
        ):
            return last
        return self.frames.append(transition.observation)

    def _forget(self) -> None:
        """Drop steps that were overwritten, or whose frames were.

        A later step's frame is at most SHARED_WITHIN older than an earlier step's, so looking at the oldest
        step with that margin is enough.
        """
        self._first = max(self._first, self.steps.oldest)
        if self.frames.oldest:
            first_safe = self.frames.oldest + SHARED_WITHIN
            while len(self) and self.steps.take("frame", self._first) < first_safe:
                self._first += 1


class Sampler:
    """Batches of which `share` come from demonstrations, in every slice, as long as there are any.

    Reproducible: it owns its random state.
    """

    def __init__(self, online: Replay, demonstrations: Replay, share: float, seed: int):
        self.online = online
        self.demonstrations = demonstrations
        self.share = share
        self.rng = np.random.default_rng(seed)

    def sample(self, slices: int, batch: int) -> Batch:
        """`slices` times `batch` transitions, drawn with replacement: arrays of (slices, batch, ...)."""
        shared = round(self.share * batch) if len(self.demonstrations) else 0
        parts = [
            source.gather(self.rng.integers(len(source), size=(slices, count)))
            for source, count in ((self.demonstrations, shared), (self.online, batch - shared))
            if count
        ]
        return parts[0] if len(parts) == 1 else _concatenate(*parts)


def _concatenate(first: Batch, second: Batch) -> Batch:
    def join(a: Mapping[str, NDArray], b: Mapping[str, NDArray]) -> dict[str, NDArray]:
        return {name: np.concatenate([a[name], b[name]], axis=1) for name in a}

    return Batch(
        join(first.observation, second.observation),
        np.concatenate([first.action, second.action], axis=1),
        np.concatenate([first.reward, second.reward], axis=1),
        np.concatenate([first.terminated, second.terminated], axis=1),
        join(first.next_observation, second.next_observation),
    )


def _below(arrays: Mapping[str, NDArray], prefix: str) -> dict[str, NDArray]:
    return {name[len(prefix) :]: values for name, values in arrays.items() if name.startswith(prefix)}
