"""Reading a LeRobotDataset v3: its frames in order, few at a time, every count held against what it says of itself."""

from __future__ import annotations

import json
import math
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot_rl.data.lerobot.layout import EPISODES, STATS, TASKS, Feature, Info, Shard
from robot_rl.data.lerobot.libraries import parquet, table_errors
from robot_rl.data.lerobot.video import VideoReader, decode_picture
from robot_rl.exceptions import DataError

_ROWS = 256  # that are held at a time

Row = dict[str, Any]
"""A frame: feature to its value: an array of the feature's shape, a number, a text, or an image uint8 (h, w, c)."""


@dataclass(frozen=True)
class Episode:
    """Where an episode's frames are. videos: camera to its file and the second that the episode begins there."""

    index: int
    length: int
    shard: Shard
    first: int
    videos: dict[str, tuple[Shard, float]] = field(default_factory=dict)


class Dataset:
    """A dataset's folder. Raises `DataError`: none, of another version, a file missing, counts that disagree."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.info = Info.read(self.folder)
        self.cameras = tuple(name for name, feature in self.info.features.items() if feature.dtype == "video")
        self.tasks = self._read_tasks()
        self.episodes = self._read_episodes()
        totals = len(self.episodes), sum(episode.length for episode in self.episodes)
        said = self.info.total_episodes, self.info.total_frames
        if totals != said:
            raise DataError(
                f"{folder} says that it has {said[0]} episodes of {said[1]} frames together, but lists {totals[0]} "
                f"of {totals[1]}; a file under meta/episodes is missing"
            )

    def feature(self, name: str) -> Feature:
        """The feature of this name. Raises `DataError` that lists the known ones."""
        if name not in self.info.features:
            raise DataError(
                f"the dataset {self.folder} has no feature '{name}'; it has {', '.join(self.info.features)}"
            )
        return self.info.features[name]

    def stats(self) -> dict[str, dict[str, NDArray]]:
        """`meta/stats.json`: feature to statistic to values; empty where it is missing, as LeRobot allows."""
        path = self.folder / STATS
        try:
            found = json.loads(path.read_text()) if path.exists() else {}
            return {name: {what: np.array(value, np.float64) for what, value in found[name].items()} for name in found}
        except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise DataError(f"{path} cannot be read ({_brief(error)}); fetch it again") from error

    def rows(self, names: Sequence[str]) -> Iterator[tuple[Episode, Row]]:
        """Every frame in order, with these features. Raises `DataError` for damage; what came before it is sound."""
        cameras = [name for name in names if name in self.cameras]
        videos = _Videos(self, cameras)
        stored = self._stored([*dict.fromkeys([*names, "episode_index", "frame_index", "timestamp"])])
        try:
            for episode in self.episodes:
                for frame in range(episode.length):
                    row = next(stored, None)
                    if row is None or (row["episode_index"], row["frame_index"]) != (episode.index, frame):
                        found = "nothing" if row is None else f"{row['frame_index']} of {row['episode_index']}"
                        wanted = f"frame {frame} of episode {episode.index}"
                        raise DataError(f"{self.folder} should go on with {wanted} and holds {found}; fetch it again")
                    yield episode, {**row, **videos.at(episode, float(row["timestamp"]))}
            if next(stored, None) is not None:
                raise DataError(f"{self.folder} holds rows behind its last episode; meta/episodes lacks some")
        finally:
            stored.close()
            videos.close()

    def _stored(self, names: Sequence[str]) -> Generator[Row]:
        """The rows of the data files, in the order of the episodes."""
        columns = [self.feature(name) for name in names if name not in self.cameras]
        pictures = {feature.name: feature for feature in columns if feature.dtype == "image"}
        for shard in dict.fromkeys(episode.shard for episode in self.episodes):
            path = shard.path(self.folder, self.info.data_path)
            try:
                with parquet().ParquetFile(path, page_checksum_verification=True, pre_buffer=False) as file:
                    for batch in file.iter_batches(_ROWS, columns=[feature.name for feature in columns]):
                        values = {feature.name: _values(batch.column(feature.name), feature) for feature in columns}
                        for row in range(len(batch)):
                            yield {
                                name: decode_picture(held[row], pictures[name]) if name in pictures else held[row]
                                for name, held in values.items()
                            }
            except table_errors() as error:
                raise DataError(f"{path} cannot be read ({_brief(error)}); fetch it again") from error
            except DataError as error:
                raise DataError(f"{path}: {error}") from error

    def _read_tasks(self) -> tuple[str, ...]:
        """The tasks' texts, by number."""
        path = self.folder / TASKS
        try:
            table = parquet().read_table(path, page_checksum_verification=True)
            texts = next((column for column in table.column_names if column != "task_index"), "task")
            pairs = sorted(zip(table["task_index"].to_pylist(), map(str, table[texts].to_pylist()), strict=True))
        except table_errors() as error:
            raise DataError(f"{path} cannot be read ({_brief(error)}); fetch it again") from error
        if [number for number, _ in pairs] != list(range(len(pairs))):
            raise DataError(f"{path} does not number its tasks from 0; it is damaged")
        return tuple(text for _, text in pairs)

    def _read_episodes(self) -> list[Episode]:
        folder = self.folder / EPISODES.split("/chunk")[0]
        paths = sorted(folder.glob("*/*.parquet"))
        if not paths:
            raise DataError(f"{folder} holds no episodes (*.parquet); fetch the dataset again")
        names = ["episode_index", "length", "data/chunk_index", "data/file_index", "dataset_from_index"]
        parts = ("chunk_index", "file_index", "from_timestamp")
        names += [f"videos/{camera}/{part}" for camera in self.cameras for part in parts]
        episodes: list[Episode] = []
        for path in paths:
            try:
                rows = parquet().read_table(path, columns=names, page_checksum_verification=True).to_pylist()
                episodes += [_episode(row, self.cameras) for row in rows]
            except table_errors() as error:
                raise DataError(f"{path} cannot be read ({_brief(error)}); fetch it again") from error
        episodes.sort(key=lambda episode: episode.index)
        if [episode.index for episode in episodes] != list(range(len(episodes))):
            raise DataError(f"{folder} does not number its episodes from 0 without holes; a file of it is missing")
        return episodes


def _episode(row: Row, cameras: Sequence[str]) -> Episode:
    videos = {}
    for name in cameras:
        chunk, file, first = (row[f"videos/{name}/{part}"] for part in ("chunk_index", "file_index", "from_timestamp"))
        videos[name] = Shard(int(chunk), int(file)), float(first)
    shard = Shard(int(row["data/chunk_index"]), int(row["data/file_index"]))
    return Episode(int(row["episode_index"]), int(row["length"]), shard, int(row["dataset_from_index"]), videos)


class _Videos:
    """The files of some cameras, one open of each."""

    def __init__(self, dataset: Dataset, cameras: Sequence[str]) -> None:
        self._dataset, self._cameras = dataset, cameras
        self._open: dict[str, tuple[Shard, VideoReader]] = {}

    def at(self, episode: Episode, seconds: float) -> Row:
        """Every camera's frame, seconds after the episode began."""
        return {name: self._reader(name, episode).at(episode.videos[name][1] + seconds) for name in self._cameras}

    def _reader(self, name: str, episode: Episode) -> VideoReader:
        shard = episode.videos[name][0]
        if name not in self._open or self._open[name][0] != shard:
            if name in self._open:
                self._open.pop(name)[1].close()
            info = self._dataset.info
            path = shard.path(self._dataset.folder, info.video_path or "", video_key=name)
            self._open[name] = shard, VideoReader(path, info.features[name], info.fps)
        return self._open[name][1]

    def close(self) -> None:
        for _, reader in self._open.values():
            reader.close()
        self._open.clear()


def _values(column: Any, feature: Feature) -> NDArray | list[Any]:
    """A column's values by row. Raises `DataError` for holes and other sizes than the feature's."""
    if column.null_count:
        raise DataError(f"'{feature.name}' has {column.null_count} empty values")
    if feature.dtype == "image":
        files = [entry.get("bytes") for entry in column.to_pylist()]
        if not all(isinstance(data, bytes) for data in files):
            raise DataError(f"'{feature.name}' names image files instead of holding them; embed them first")
        return files
    if not feature.is_number:
        return list(map(str, column.to_pylist()))
    rows = len(column)
    if hasattr(column, "storage"):  # the `datasets` library's own types of more than one axis
        column = column.storage
    while hasattr(column, "flatten") and hasattr(column.type, "value_type"):
        if hasattr(column, "value_lengths") and len(column.value_lengths().unique()) > 1:
            raise DataError(f"'{feature.name}' does not hold {feature.shape} in every row")
        column = column.flatten()
    if column.null_count:
        raise DataError(f"'{feature.name}' has {column.null_count} empty elements")
    if len(column) != rows * math.prod(feature.shape):
        raise DataError(f"'{feature.name}' does not hold {feature.shape} in every row")
    values: NDArray = column.to_numpy(zero_copy_only=False)
    if values.dtype.kind not in "fiub":
        raise DataError(f"'{feature.name}' holds {column.type}, not {feature.dtype}")
    values = values.astype(feature.dtype, copy=False)
    return values if feature.shape == (1,) else np.ascontiguousarray(values).reshape(rows, *feature.shape)


def _brief(error: BaseException) -> str:
    return str(error).split("\n")[0].rstrip(".") or type(error).__name__
