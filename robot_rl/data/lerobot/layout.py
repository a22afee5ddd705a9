"""A LeRobotDataset v3 on disk: where its files are, and `meta/info.json`, which describes them.

    meta/info.json  meta/stats.json  meta/tasks.parquet  meta/episodes/chunk-000/file-000.parquet
    data/chunk-000/file-000.parquet           rows: one for each frame, many episodes a file
    videos/CAMERA/chunk-000/file-000.mp4      frames of the same, many episodes a file

Source: github.com/huggingface/lerobot, src/lerobot/datasets (0.4 and 0.6).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from robot_rl.exceptions import DataError

VERSION = "v3.0"
INFO = "meta/info.json"
STATS = "meta/stats.json"
TASKS = "meta/tasks.parquet"
EPISODES = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
DATA = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEOS = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"

CHUNK_FILES = 1000
DATA_MB = 100
VIDEO_MB = 200
"""LeRobot's own limits: files in a chunk's folder, MB of a file."""

_HOLE = re.compile(r"\{(\w+)(?::0?(\d)d)?\}")
_DTYPES = re.compile(r"(float|int|uint)(8|16|32|64)|bool|string|image|video|language")


def place(template: str, **values: object) -> str:
    """The path that a template like `DATA` stands for. Raises `DataError` for a hole that has no value."""

    def fill(hole: re.Match[str]) -> str:
        name, width = hole.groups()
        if name not in values:
            raise DataError(f"the path '{template}' in {INFO} asks for '{name}'; known are {', '.join(values)}")
        return str(values[name]).zfill(int(width or 0))

    return _HOLE.sub(fill, template)


@dataclass(frozen=True)
class Shard:
    """The number of a file: `file` counts from 0 within a chunk."""

    chunk: int = 0
    file: int = 0

    def next(self) -> Shard:
        """The one after it."""
        return Shard(self.chunk, self.file + 1) if self.file + 1 < CHUNK_FILES else Shard(self.chunk + 1, 0)

    def path(self, folder: Path, template: str, **values: str) -> Path:
        """Its path, which must lie within the dataset. Raises `DataError`."""
        path = folder / place(template, chunk_index=self.chunk, file_index=self.file, **values)
        if not path.resolve().is_relative_to(folder.resolve()):
            raise DataError(f"{folder / INFO} points outside the dataset, at {path}; do not trust it")
        return path


@dataclass(frozen=True)
class Feature:
    """A column of the rows, or a camera (dtype `video`, or `image`: a PNG in the row).

    shape: of one frame's value; (1,) is stored as a scalar. names: of its elements, or of an image's axes.
    """

    name: str
    dtype: str
    shape: tuple[int, ...] = (1,)
    names: tuple[str, ...] | None = None
    info: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_image(self) -> bool:
        """Whether its values are frames, in a video or as PNG."""
        return self.dtype in ("video", "image")

    @property
    def is_number(self) -> bool:
        """Whether its values are numbers or flags."""
        return self.dtype not in ("video", "image", "string", "language")

    @property
    def is_depth(self) -> bool:
        """Whether its frames are distances, not colours."""
        return bool(self.info.get("is_depth_map") or self.info.get("video.is_depth_map"))

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels), in whatever order the dataset has them."""
        a, b, c = self.shape
        first = self.names[0].startswith("channel") if self.names else a in (1, 3) and c not in (1, 3)
        return (b, c, a) if first else (a, b, c)

    def to_json(self) -> dict[str, Any]:
        """As it stands in `info.json`."""
        content: dict[str, Any] = {"dtype": self.dtype, "shape": list(self.shape)}
        content["names"] = list(self.names) if self.names else None
        return content | ({"info": dict(self.info)} if self.info else {})

    @classmethod
    def from_json(cls, name: str, content: Mapping[str, Any]) -> Feature:
        """What `to_json` or LeRobot wrote. Raises `ValueError`, `TypeError`, `KeyError`, `AttributeError`."""
        dtype, shape = str(content["dtype"]), tuple(int(size) for size in content["shape"])
        if not _DTYPES.fullmatch(dtype):
            raise ValueError(f"feature '{name}' is of the unknown dtype {dtype!r}")
        if min(shape, default=1) < 1 or len(shape) > 5 or (dtype in ("video", "image") and len(shape) != 3):
            raise ValueError(f"feature '{name}' has the impossible shape {shape}")
        names = content.get("names")
        if isinstance(names, Mapping):  # older datasets: {"motors": [...]}
            names = [entry for group in names.values() for entry in (group if isinstance(group, list) else [group])]
        whole = isinstance(names, list) and all(isinstance(entry, str) for entry in names)
        info = content.get("info") or content.get("video_info") or {}
        return cls(name, dtype, shape, tuple(names) if whole and names else None, dict(info))


@dataclass(frozen=True)
class Info:
    """`meta/info.json`: what the dataset holds and where. fps: frames a second of the rows."""

    fps: float
    features: Mapping[str, Feature]
    total_episodes: int = 0
    total_frames: int = 0
    total_tasks: int = 0
    robot_type: str | None = None
    data_path: str = DATA
    video_path: str | None = VIDEOS

    def to_json(self) -> str:
        """The file's text."""
        content = {
            "codebase_version": VERSION,
            "robot_type": self.robot_type,
            "total_episodes": self.total_episodes,
            "total_frames": self.total_frames,
            "total_tasks": self.total_tasks,
            "chunks_size": CHUNK_FILES,
            "data_files_size_in_mb": DATA_MB,
            "video_files_size_in_mb": VIDEO_MB,
            "fps": int(self.fps) if self.fps == int(self.fps) else self.fps,
            "splits": {"train": f"0:{self.total_episodes}"},
            "data_path": self.data_path,
            "video_path": self.video_path,
            "features": {name: feature.to_json() for name, feature in self.features.items()},
        }
        return json.dumps(content, indent=4, ensure_ascii=False)

    @classmethod
    def read(cls, folder: Path) -> Info:
        """The description of the dataset in `folder`. Raises `DataError`: none, of another version, damaged."""
        path = folder / INFO
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            _check_version(str(content["codebase_version"]), folder)
            info = cls(
                fps=float(content["fps"]),
                features={name: Feature.from_json(name, entry) for name, entry in content["features"].items()},
                total_episodes=int(content["total_episodes"]),
                total_frames=int(content["total_frames"]),
                total_tasks=int(content.get("total_tasks", 0)),
                robot_type=content.get("robot_type"),
                data_path=str(content.get("data_path") or DATA),
                video_path=str(content.get("video_path") or VIDEOS),
            )
        except (OSError, NotADirectoryError) as error:
            raise DataError(f"{folder} is no LeRobot dataset: {INFO} cannot be read ({error.strerror})") from error
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise DataError(f"{path} does not describe a LeRobot dataset ({error!r}); is it damaged?") from error
        if not 0 < info.fps < 1e6:
            raise DataError(f"{path} says fps {info.fps}; it must be a rate above 0")
        return info


def _check_version(version: str, folder: Path) -> None:
    if version.startswith("v2"):
        raise DataError(
            f"{folder} is a LeRobot dataset of version {version}, and {VERSION} is read; convert it with "
            "`python -m lerobot.datasets.v30.convert_dataset_v21_to_v30 --repo-id=... --root=...`"
        )
    if not version.startswith("v3."):
        raise DataError(f"{folder} is a LeRobot dataset of version {version}; {VERSION} is read")
