"""Moments of a run that may be compared: their pictures and features, in memory and on the disk."""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from robot_rl.data.transition import Transition
from robot_rl.disk import disk_errors, sync_file
from robot_rl.exceptions import DataError
from robot_rl.rewards.classifier.data import SUFFIX, Frames
from robot_rl.rewards.preference.store import Place

Moment = dict[str, NDArray]
LARGEST = 5_000
"""Moments that are held: with two cameras of 128 x 128 half a gigabyte."""


class Pool:
    """What a part of the steps led to. Which ones, follows from their episode and number alone, so that a run that
    learns again from its journals has the same.
    """

    def __init__(self, folder: Path, cameras: Sequence[str], share: float, length: int, backbone_id: str) -> None:
        """cameras: by name. share: of the steps. length: of a clip; rows of twice as many steps are taken or left."""
        self._folder, self._cameras, self._share = folder, tuple(cameras), share
        self._row = 1 if length == 1 else 2 * length
        self._backbone_id = backbone_id
        self._moments: dict[Place, Moment] = {}
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="moments")  # whoever acts does not wait for the disk
        self._writing: list[Future[None]] = []

    def __len__(self) -> int:
        return len(self._moments)

    def saw(self, step: Transition) -> None:
        """Take what the step led to, if it is one of those."""
        place = (step.episode, step.step)
        drawn = zlib.crc32(f"{step.episode}/{step.step // self._row}".encode()) / 2**32
        seen = step.next_observation
        full = len(self._moments) >= LARGEST
        if full or drawn >= self._share or place in self._moments or not all(name in seen for name in self._cameras):
            return
        moment = {name: seen[name].copy() for camera in self._cameras for name in (camera, camera + SUFFIX)}
        self._moments[place] = moment
        self._writing.append(self._writer.submit(_write, self._path(place), moment))

    def places(self) -> list[Place]:
        """Of all moments, in order. They are on the disk then. Raises `DiskError`."""
        while self._writing:
            self._writing[0].result()
            del self._writing[0]
        return sorted(self._moments)

    def close(self) -> None:
        """Let the last ones get to the disk."""
        self._writer.shutdown()

    def restore(self, places: Sequence[Sequence[object]]) -> None:
        """Hold the moments of these places, which lie on the disk. DataError: one is missing or damaged."""
        self._moments = {}
        for episode, step in places:
            place = (str(episode), int(str(step)))
            try:
                with np.load(self._path(place)) as file:
                    self._moments[place] = {name: file[name] for name in file.files}
            except (OSError, ValueError, LookupError, EOFError, zlib.error, zipfile.BadZipFile) as error:
                raise DataError(f"step {step} of episode {episode} cannot be read from {self._path(place)}") from error

    def frames(self) -> Frames:
        """All moments, in the order of their places."""
        places = self.places()
        moments = [self._moments[place] for place in places]
        maps = {camera: np.stack([moment[camera + SUFFIX] for moment in moments]) for camera in self._cameras}
        pictures = [{camera: moment[camera] for camera in self._cameras} for moment in moments]
        return Frames(maps, np.zeros(len(places), np.int64), places, self._backbone_id, pictures)

    def _path(self, place: Place) -> Path:
        name = hashlib.sha256(f"{place[0]}/{place[1]}".encode()).hexdigest()[:24]
        return self._folder / f"{name}.npz"


def _write(path: Path, moment: Moment) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **moment)
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_suffix(".tmp")
        scratch.write_bytes(buffer.getvalue())
        sync_file(scratch)
        scratch.replace(path)
