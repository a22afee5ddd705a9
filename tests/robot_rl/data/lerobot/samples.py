"""Small datasets for the tests of this folder, with pictures that a video codec can keep."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from robot_rl.data.journal import Journal, JournalReader
from robot_rl.data.label import Label, Record
from robot_rl.data.lerobot.layout import Feature
from robot_rl.data.lerobot.video import describe_video
from robot_rl.data.lerobot.writer import DatasetWriter
from robot_rl.data.schema import Schema
from robot_rl.data.transition import Transition

ACTIONS = ("x", "y", "gripper")
SIZE = (32, 48)


def picture(index: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Smooth, and another one for each index below 35."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    waves = (np.sin(rows / 9), np.cos(columns / 7), np.sin((rows + columns) / 11))
    return np.stack([6 * index + 20 * wave + 25 for wave in waves], axis=-1).astype(np.uint8)


def shows(image: np.ndarray, index: float) -> bool:
    """Whether an image is this picture, by its brightness, which a codec keeps; the next picture's differs by 6."""
    wanted = picture(0, image.shape[:2])[..., : image.shape[2]].astype(float).mean() + 6 * index
    return bool(abs(image.astype(float).mean() - wanted) < 3)


def observation(rng: np.random.Generator, index: int) -> dict[str, np.ndarray]:
    """Vectors of several types, one that only a simulator knows, a colour picture and a grey one."""
    return {
        "tool_pose": rng.normal(size=7).astype(np.float32),
        "gripper": rng.normal(size=1).astype(np.float32),
        "sim/cube": rng.normal(size=(2, 3)).astype(np.float32),
        "ticks": rng.integers(0, 2**40, 2),
        "touch": rng.integers(0, 2, ()).astype(bool),
        "wrist": picture(index),
        "depth": picture(index)[..., :1],
    }


def schema() -> Schema:
    return Schema.from_example("lift", observation(np.random.default_rng(0), 0), ACTIONS, {"tool_pose": ("1", "0.1 m")})


def stream(episodes: tuple[int, ...] = (5, 3), seed: int = 0) -> Iterator[Transition]:
    """Episodes of these lengths, terminated, truncated and left open in turn."""
    rng = np.random.default_rng(seed)
    sequence = 0
    for number, length in enumerate(episodes):
        before = observation(rng, 0)
        for step in range(length):
            after, last = observation(rng, step + 1), step == length - 1
            yield Transition(
                actor="actor0",
                sequence=sequence,
                episode=f"{seed}-{number}",
                step=step,
                stamp=100 + 0.1 * sequence + number,
                next_stamp=100 + 0.1 * (sequence + 1) + number,
                observation=before,
                next_observation=after,
                policy_action=rng.uniform(-1, 1, len(ACTIONS)).astype(np.float32),
                action=rng.uniform(-1, 1, len(ACTIONS)).astype(np.float32),
                intervened=bool(rng.integers(2)),
                reward=float(rng.normal()),
                terminated=last and number % 3 == 0,
                truncated=last and number % 3 == 1,
                success=last and number % 3 == 0,
                policy_version=sequence // 3,
                clamped=rng.normal(size=2).astype(np.float32),
            )
            before, sequence = after, sequence + 1


def journal(folder: Path, records: Iterable[Record] | None = None) -> JournalReader:
    with Journal(folder, schema(), sync=False) as made:
        for sequence, record in enumerate(stream() if records is None else records):
            made.append(dataclasses.replace(record, sequence=sequence))
    return JournalReader(folder)


def label(step: Transition, kind: str, value: float, **changes: Any) -> Label:
    made = Label("judge", 0, step.next_stamp, step.episode, step.step, "human", 1, kind, value)
    return dataclasses.replace(made, **changes)


FOREIGN = {
    "observation.state": Feature("observation.state", "float64", (3,), ("a", "b", "c")),
    "observation.images.top": Feature("observation.images.top", "image", (*SIZE, 3), ("height", "width", "channels")),
    "action": Feature("action", "float32", (2,), ("dx", "dy")),
    "next.reward": Feature("next.reward", "float32"),
    "next.done": Feature("next.done", "bool"),
    **{name: Feature(name, "int64") for name in ("frame_index", "episode_index", "index", "task_index")},
    "timestamp": Feature("timestamp", "float32"),
}


def video_feature(name: str, fps: float = 10) -> Feature:
    return Feature(name, "video", (*SIZE, 3), ("height", "width", "channels"), describe_video(SIZE, fps, "h264"))


def foreign(
    folder: Path,
    lengths: tuple[int, ...] = (4, 3),
    features: Mapping[str, Feature] = FOREIGN,
    fps: float = 10,
    **columns: Any,
) -> dict[str, np.ndarray]:
    """Another program's dataset: columns by name as (episode, step) -> value, or else ones that are made up here.

    The vectors that it holds, in order.
    """
    folder.mkdir(parents=True)
    writer = DatasetWriter(folder, features, fps, "stack", "h264")
    rng = np.random.default_rng(1)
    kept: dict[str, list] = {name: [] for name, feature in features.items() if len(feature.shape) == 1}
    for episode, length in enumerate(lengths):
        writer.begin()
        for step in range(length):
            values: dict[str, Any] = {"next.reward": float(step), "next.done": step == length - 1}
            for name, feature in features.items():
                if name in columns:
                    values[name] = columns[name](episode, step)
                elif name in ("observation.state", "action"):
                    values[name] = rng.uniform(-1, 1, feature.shape).astype(feature.dtype)
            pictures = {name: picture(step) for name, feature in features.items() if feature.is_image}
            values = {name: value for name, value in values.items() if name in features}
            writer.add(values, pictures)
            for name, value in values.items():
                kept[name].append(value)
        writer.end()
    writer.close()
    return {name: np.array(values) for name, values in kept.items() if values}


def rewrite(path: Path, **columns: Any) -> None:
    """Change columns of a parquet file: name to the new values, or None to drop it. Its checksums are right."""
    table = pq.read_table(path)
    for name, values in columns.items():
        index = table.column_names.index(name)
        if values is None:
            table = table.remove_column(index)
        else:
            table = table.set_column(index, name, values if isinstance(values, pa.Array) else pa.array(values))
    pq.write_table(table, path)


def keep_rows(path: Path, rows: range) -> None:
    """Keep only these rows of a parquet file."""
    pq.write_table(pq.read_table(path).slice(rows.start, len(rows)), path)


def write_tasks(path: Path, *tasks: str) -> None:
    """As pandas writes an index without a name."""
    numbers = pa.array(range(len(tasks)), pa.int64())
    pq.write_table(pa.table({"task_index": numbers, "__index_level_0__": list(tasks)}), path)
