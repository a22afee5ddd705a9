"""Writing a LeRobotDataset v3: rows in, whole episodes out; `close` makes it one that LeRobot loads."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot_rl.data.lerobot.layout import DATA, DATA_MB, EPISODES, INFO, STATS, TASKS, Feature, Info, Shard
from robot_rl.data.lerobot.libraries import arrow, parquet
from robot_rl.data.lerobot.stats import Described, ImageStats, VectorStats
from robot_rl.data.lerobot.video import VideoWriter
from robot_rl.data.png import encode_png

_ROWS = 1000  # that are held, at most; an episode is one row group of its file unless it is longer
_EPISODES = 100  # rows of meta/episodes that are held


def arrow_type(feature: Feature) -> Any:
    """The type of a feature's column, as the `datasets` library writes it."""
    pa = arrow()
    if feature.dtype == "image":
        return pa.struct({"bytes": pa.binary(), "path": pa.string()})
    kind = pa.bool_() if feature.dtype == "bool" else getattr(pa, feature.dtype)()
    return kind if feature.shape == (1,) else pa.list_(kind, feature.shape[0])


class RowWriter:
    """The files of `data`: an episode's rows lie in one file."""

    def __init__(self, folder: Path, features: Iterable[Feature]) -> None:
        pa = arrow()
        self._folder = folder
        self.features = tuple(feature for feature in features if feature.dtype != "video")
        self._schema = pa.schema([(feature.name, arrow_type(feature)) for feature in self.features])
        self.shard = Shard()
        self._sink: Any = None
        self._writer: Any = None

    def begin(self) -> None:
        """Begin an episode: in a new file where the one at hand is full."""
        if self._sink is not None and self._sink.tell() >= DATA_MB * 2**20:
            self.close()
            self.shard = self.shard.next()
        if self._sink is None:
            path = self.shard.path(self._folder, DATA)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._sink = arrow().OSFile(str(path), "wb")
            self._writer = parquet().ParquetWriter(
                self._sink, self._schema, compression="snappy", write_page_checksum=True
            )

    def write(self, columns: Mapping[str, Any]) -> None:
        """Append rows, given by column."""
        pa = arrow()
        content = [
            _column(columns[feature.name], feature, kind.type)
            for feature, kind in zip(self.features, self._schema, strict=True)
        ]
        self._writer.write_table(pa.Table.from_arrays(content, schema=self._schema))

    def close(self) -> None:
        """Complete the file at hand."""
        if self._sink is not None:
            self._writer.close()
            self._sink.close()
            self._sink = None


def _column(values: Any, feature: Feature, kind: Any) -> Any:
    pa = arrow()
    if feature.dtype in ("string", "image"):
        return pa.array(values, kind)
    flat = pa.array(np.ascontiguousarray(values).reshape(-1))
    return flat if feature.shape == (1,) else pa.FixedSizeListArray.from_arrays(flat, type=kind)


class DatasetWriter:
    """A dataset of one task in an empty folder. For each episode: `begin`, `add` for each frame, `end`; then `close`.

    Nothing that it writes is a dataset before `close`: the folder must not get its name before that.
    """

    def __init__(self, folder: Path, features: Mapping[str, Feature], fps: float, task: str, codec: str) -> None:
        self._folder, self._features, self._fps, self._task = folder, features, fps, task
        self._rows = RowWriter(folder, features.values())
        self._videos = {
            name: VideoWriter(folder, name, feature.image_shape, fps, codec)
            for name, feature in features.items()
            if feature.dtype == "video"
        }
        self._held: dict[str, list] = defaultdict(list)
        self._vectors: dict[str, VectorStats] = {}
        self._images: dict[str, ImageStats] = {}
        self._episode_vectors: dict[str, VectorStats] = {}
        self._episode_images: dict[str, ImageStats] = {}
        self._episodes: list[dict[str, Any]] = []
        self._episode_file: Any = None
        self.total_episodes = self.total_frames = self._first = 0

    def begin(self) -> None:
        """Begin an episode."""
        self._first = self.total_frames
        self._episode_vectors, self._episode_images = {}, {}
        self._rows.begin()
        for video in self._videos.values():
            video.begin()

    def add(self, values: Mapping[str, Any], images: Mapping[str, NDArray[np.uint8]]) -> None:
        """Append a frame: every feature but the bookkeeping, and every camera's picture."""
        frame = self.total_frames - self._first
        book = {"timestamp": frame / self._fps, "frame_index": frame, "task_index": 0}
        book |= {"episode_index": self.total_episodes, "index": self.total_frames}
        for name, value in {**values, **book}.items():
            self._held[name].append(value)
        for name, image in images.items():
            if name in self._videos:
                self._videos[name].add(image)
            else:
                self._held[name].append({"bytes": encode_png(image), "path": None})
            for stats in (self._images, self._episode_images):
                stats.setdefault(name, ImageStats()).add(image)
        self.total_frames += 1
        if len(self._held["index"]) >= _ROWS:
            self._flush()

    def end(self) -> None:
        """End the episode."""
        self._flush()
        length = self.total_frames - self._first
        row: dict[str, Any] = {"episode_index": self.total_episodes, "tasks": [self._task], "length": length}
        row |= {"data/chunk_index": self._rows.shard.chunk, "data/file_index": self._rows.shard.file}
        row |= {"dataset_from_index": self._first, "dataset_to_index": self.total_frames}
        for video in self._videos.values():
            row |= video.end()
        for name, stats in self._described(self._episode_vectors, self._episode_images).items():
            row |= {f"stats/{name}/{what}": value for what, value in stats.items()}
        self._episodes.append(row | {"meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0})
        self.total_episodes += 1
        if len(self._episodes) >= _EPISODES:
            self._flush_episodes()

    def close(self) -> None:
        """Complete every file and write what describes them."""
        self._rows.close()
        for video in self._videos.values():
            video.close()
        self._flush_episodes()
        if self._episode_file is not None:
            self._episode_file.close()
        _write_tasks(self._folder / TASKS, self._task)
        (self._folder / STATS).write_text(json.dumps(self._described(self._vectors, self._images), indent=4))
        info = Info(self._fps, self._features, self.total_episodes, self.total_frames, 1)
        (self._folder / INFO).write_text(info.to_json(), encoding="utf-8")

    def _flush(self) -> None:
        """Write the rows that are held."""
        if not self._held["index"]:
            return
        columns: dict[str, Any] = {}
        for feature in self._rows.features:
            held = self._held[feature.name]
            columns[feature.name] = held
            if feature.is_number:
                columns[feature.name] = np.array(held, feature.dtype)
                for stats in (self._vectors, self._episode_vectors):
                    stats.setdefault(feature.name, VectorStats()).add(columns[feature.name])
        self._rows.write(columns)
        self._held.clear()

    def _described(self, *stats: Mapping[str, VectorStats] | Mapping[str, ImageStats]) -> dict[str, Described]:
        found = {name: one.describe() for group in stats for name, one in group.items()}
        return {name: found[name] for name in self._features if name in found}

    def _flush_episodes(self) -> None:
        """Write the rows of `meta/episodes` that are held."""
        if not self._episodes:
            return
        pa = arrow()
        table = pa.Table.from_pylist(self._episodes)
        if self._episode_file is None:
            path = Shard().path(self._folder, EPISODES)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._episode_file = parquet().ParquetWriter(
                path, table.schema, compression="snappy", write_page_checksum=True
            )
        self._episode_file.write_table(table)
        self._episodes.clear()


def _write_tasks(path: Path, task: str) -> None:
    """The tasks as pandas would: LeRobot looks the task's number up by its text, which is the index."""
    pa = arrow()
    columns = [
        {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": stored, "metadata": None}
        for name, kind, stored in (("task_index", "int64", "int64"), ("task", "unicode", "object"))
    ]
    notes = {"index_columns": ["task"], "column_indexes": [], "columns": columns, "pandas_version": "2.0.0"}
    table = pa.table({"task_index": pa.array([0], pa.int64()), "task": [task]})
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet().write_table(table.replace_schema_metadata({"pandas": json.dumps(notes)}), path, write_page_checksum=True)
