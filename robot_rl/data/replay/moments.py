"""What was observed, each moment once, for all rows that show it."""

from __future__ import annotations

import fcntl
import json
import os
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from robot_rl.data.replay.slots import Slots
from robot_rl.data.replay.store import Column, FileColumn, MemoryColumn
from robot_rl.data.transition import Observation
from robot_rl.disk import disk_errors
from robot_rl.exceptions import DataError, RunFolderError
from robot_rl.nets.observation import ObservationSpec

HEADER = "replay.json"
SAVES_KEPT = 3
"""On disk, what one of so many last saves shows is not overwritten: as many as there are checkpoints."""
CHECKED = 64
"""On disk, so many of the newest moments are compared with their checksums at a restore."""

Saved = tuple[dict[str, NDArray], dict[str, Any]]


class Moments:
    """Observations in numbered slots, each written once. `hold` and `drop` count the rows that show one.

    In memory (`folder` None) there is room for `slots`, which take memory from when they are first written. On disk
    there is room for as many as are needed: a file of plain rows for each array, one of checksums, and a header.
    """

    def __init__(self, spec: ObservationSpec, slots: int, folder: Path | None) -> None:
        self._spec, self._folder, self._limit = spec, folder, slots
        self._shapes = spec.arrays
        self._slots = Slots(SAVES_KEPT if folder else 0)
        self._columns: dict[str, Column] = {}
        self._seals: Column | None = None
        self._lock = -1
        if folder is None:
            self._columns = {name: MemoryColumn(slots, *kind) for name, kind in self._shapes.items()}

    def fits(self, count: int) -> bool:
        """Whether so many more can be added."""
        return self._folder is not None or self._slots.busy + count <= self._limit

    @property
    def waiting(self) -> int:
        """How many slots nothing but a save shows."""
        return self._slots.waiting

    @property
    def nbytes(self) -> int:
        """Bytes that what was written takes."""
        return self._slots.used * sum(column.rows[:1].nbytes for column in self._columns.values())

    def add(self, *observations: Observation) -> tuple[int, ...]:
        """Store moments that nothing holds yet and return their slots. Raises `DiskError` where the disk is full."""
        if self._folder is not None and self._lock < 0:
            self._open(self._folder, fresh=True)
        slots = self._slots.take(len(observations))
        try:
            for slot, observation in zip(slots, observations, strict=True):
                for name, column in self._columns.items():
                    column.write(slot, observation[name])
                if self._seals is not None:
                    self._seals.write(slot, self._seal(slot))
        except DataError:
            self._slots.give_back(slots)
            raise
        return slots

    def hold(self, slots: Iterable[int]) -> None:
        """Count one more that shows each of them."""
        self._slots.hold(slots)

    def drop(self, slots: Iterable[int]) -> None:
        """Count one less that shows each of them."""
        self._slots.drop(slots)

    def same(self, slot: int, observation: Observation) -> bool:
        """Whether the slot holds this observation, to the bit."""
        return all(np.array_equal(column.rows[slot], observation[name]) for name, column in self._columns.items())

    def observation(self, slot: int) -> Observation:
        """A copy of what the slot holds."""
        return {name: column.rows[slot].copy() for name, column in self._columns.items()}

    def fill(self, out: Mapping[str, NDArray], slots: NDArray[np.int32]) -> None:
        """Write the moments in `slots` (n, stack), joined along the last axis, into contiguous arrays of n rows."""
        count, stack = slots.shape
        for name, column in self._columns.items():
            rows, shape = column.rows, self._shapes[name][0]
            if stack == 1:
                np.take(rows, slots[:, 0], axis=0, out=out[name], mode="clip")
                continue
            joined = out[name].view()
            joined.shape = (count, *shape[:-1], stack, shape[-1])
            for number in range(stack):
                joined[..., number, :] = rows[slots[:, number]]

    def save(self, held: NDArray[np.int32]) -> tuple[Saved, NDArray[np.int32]]:
        """What to restore from, and for each of the slots `held` its number there.

        In memory that is all moments held, in the order in which `held` first names them. On disk they are synced.
        """
        if self._folder is None:
            used, first, inverse = np.unique(held, return_index=True, return_inverse=True)
            order = np.argsort(first)
            arrays = {f"moments/{n}": column.rows[used[order]] for n, column in self._columns.items()}
            return (arrays, {}), np.argsort(order)[inverse].astype(np.int32)
        for column in (*self._columns.values(), *([self._seals] if self._seals else [])):
            column.sync()
        arrays, state = self._slots.save()
        if self._seals is not None:
            arrays["seals"] = self._seals.rows[: self._slots.used].copy()
        return ({f"slots/{name}": values for name, values in arrays.items()}, state), held

    def restore(self, arrays: Mapping[str, NDArray], state: Mapping[str, Any], held: NDArray[np.int32]) -> None:
        """Take back what `save` gave, into an empty store. held: the slots' numbers there.

        DataError: it was made for other observations; on disk, moments were overwritten since or are damaged.
        RunFolderError: another learner has them open.
        """
        if self._folder is None:
            self._load(arrays, held)
            return
        saved = {name.removeprefix("slots/"): values for name, values in arrays.items() if name.startswith("slots/")}
        if not saved.keys() >= {"free", "waiting"}:
            raise DataError(f"the saved replay does not lie on disk, but {self._folder} is to hold it")
        if "seals" in saved:
            self._open(self._folder, fresh=False)
            self._verify(saved["seals"], held)
        self._slots.restore(saved, dict(state), held)

    def close(self) -> None:
        """Let another process have the folder."""
        for column in (*self._columns.values(), *([self._seals] if self._seals else [])):
            column.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _load(self, arrays: Mapping[str, NDArray], held: NDArray[np.int32]) -> None:
        moments = {name.removeprefix("moments/"): values for name, values in arrays.items() if "moments/" in name}
        kinds = {name: (values.shape[1:], values.dtype) for name, values in moments.items()}
        counts = {len(values) for values in moments.values()}
        if kinds != self._shapes or len(counts) != 1 or max(counts) > self._limit:
            raise DataError(f"the saved replay shows {kinds} in {counts} moments; this one shows {self._shapes}")
        slots = self._slots.take(max(counts))
        for name, values in moments.items():
            self._columns[name].rows[list(slots)] = values
        self._slots.hold(held.tolist())

    def _open(self, folder: Path, *, fresh: bool) -> None:
        """Begin the files, or go on with them; either way nobody else may."""
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            self._lock = -1
            raise RunFolderError(f"{folder} is used by another learner; stop that one first") from error
        try:
            self._columns, self._seals = self._files(folder, fresh=fresh)
        except BaseException:
            self.close()
            raise

    def _files(self, folder: Path, *, fresh: bool) -> tuple[dict[str, Column], Column]:
        """The columns' files and the seals', all of them or none."""
        header = json.dumps({"version": 1, "arrays": {n: [d.str, s] for n, (s, d) in self._shapes.items()}}, indent=1)
        if not fresh and (not (folder / HEADER).is_file() or (folder / HEADER).read_text() != header):
            raise DataError(f"{folder} holds no replay of these observations; start a new run")
        columns: dict[str, Column] = {}
        try:
            with disk_errors(folder):
                if fresh:
                    (folder / HEADER).write_text(header)
                for name, kind in self._shapes.items():
                    columns[name] = FileColumn(folder / f"{quote(name, safe='')}.rows", *kind, fresh=fresh)
                seals = FileColumn(folder / "seals.crc32", (), np.uint32, fresh=fresh)
                os.fsync(self._lock)
        except BaseException:
            for column in columns.values():
                column.close()
            raise
        return columns, seals

    def _seal(self, slot: int) -> NDArray[np.uint32]:
        """The checksum of what a slot holds."""
        value = 0
        for column in self._columns.values():
            value = zlib.crc32(column.rows[slot], value)
        return np.array(value, np.uint32)

    def _verify(self, seals: NDArray[np.uint32], held: NDArray[np.int32]) -> None:
        """Compare all slots' checksums with the saved ones, and the newest moments with theirs."""
        assert self._seals is not None
        shortest = min(len(column.rows) for column in (*self._columns.values(), self._seals))
        if shortest < len(seals):
            raise DataError(f"{self._folder} holds {shortest} moments, but {len(seals)} were saved; it is damaged")
        changed = np.flatnonzero(self._seals.rows[held] != seals[held])
        if len(changed):
            raise DataError(f"{self._folder} has gone on since: {len(changed)} of the saved moments were overwritten")
        for slot in dict.fromkeys(held[::-1].tolist()[: 4 * CHECKED]):
            if self._seal(slot) != seals[slot]:
                raise DataError(f"{self._folder} is damaged: moment {slot} does not match its checksum")
