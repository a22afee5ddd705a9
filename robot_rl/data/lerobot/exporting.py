"""A journal as a LeRobotDataset v3."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from robot_rl.data.demos import check_same
from robot_rl.data.formats.whole import Progress, whole
from robot_rl.data.journal import JournalReader
from robot_rl.data.label import Label, Labels
from robot_rl.data.lerobot.features import arrays, camera, features, flat, flat_after, groups
from robot_rl.data.lerobot.libraries import disk_errors
from robot_rl.data.lerobot.video import describe_video
from robot_rl.data.lerobot.writer import DatasetWriter
from robot_rl.data.schema import Schema
from robot_rl.data.transition import Observation, Transition
from robot_rl.exceptions import DataError


def export_lerobot(
    reader: JournalReader | Sequence[JournalReader],
    folder: Path,
    *,
    fps: float | None = None,
    lossless: bool = False,
    codec: str = "h264",
    labels: Iterable[Label] = (),
    progress: Progress | None = None,
) -> int:
    """Write the transitions of a journal, or several of one schema, as a new dataset; return how many they were.

    fps: frames a second that LeRobot is told; None: the control rate as the stamps show it, whole. lossless: images
    as PNG in the rows, not as video. labels: judgements from elsewhere, besides the journals' own. The folder appears
    when the dataset is complete; a crash leaves none. Raises `DataError`: the folder is taken, nothing to export,
    journals of several schemas, a full disk.
    """
    readers = [reader] if isinstance(reader, JournalReader) else list(reader)
    schema = readers[0].schema
    for other in readers:
        check_same(other.schema, schema, f"the records in {other.folder}")
    judged = Labels()
    for label in itertools.chain(*(reader.labels() for reader in readers), labels):
        judged.add(label)
    rate = fps if fps is not None else measured_rate(readers)
    if not 0 < rate < 1e6:
        raise DataError(f"fps is {rate}; it must be a rate above 0")
    videos = () if lossless else schema.images
    described = features(schema, {camera(image): describe_video(image.shape, rate, codec) for image in videos})
    with whole(folder) as part:
        writer = DatasetWriter(part, described, rate, schema.task, codec)
        try:
            count = _write(writer, _steps(readers), schema, judged, progress)
        except disk_errors() as error:
            raise DataError(f"{folder} cannot grow ({error}); free space and export again") from error
        if not count:
            raise DataError(f"{readers[0].folder} holds no transitions; there is nothing to export")
        writer.close()
    return count


def _steps(readers: Iterable[JournalReader]) -> Iterator[Transition]:
    return itertools.chain.from_iterable(reader.read() for reader in readers)


def measured_rate(readers: Sequence[JournalReader]) -> float:
    """Steps a second, whole, as the median of the first stamps has it."""
    periods = [step.next_stamp - step.stamp for step in itertools.islice(_steps(readers), 100)]
    if not periods:
        raise DataError(f"{readers[0].folder} holds no transitions; there is nothing to export")
    period = float(np.median(periods))
    if period <= 0:
        raise DataError(f"{readers[0].folder} does not show its rate: a step takes {period} s; say which fps it is")
    return float(max(1, round(1 / period)))


def _write(
    writer: DatasetWriter, steps: Iterable[Transition], schema: Schema, labels: Labels, progress: Progress | None
) -> int:
    columns, count = groups(schema), 0

    def add(observation: Observation, values: dict[str, Any]) -> None:
        pictures = {camera(image): observation[image.name] for image in schema.images}
        writer.add({**arrays(observation, columns), **values}, pictures)

    def end(last: Transition) -> None:
        add(last.next_observation, flat_after(last))
        writer.end()

    last: Transition | None = None
    for count, step in enumerate(steps, 1):
        if last is None or (step.actor, step.episode) != (last.actor, last.episode):
            if last is not None:
                end(last)
            writer.begin()
        elif not follows(step, last, schema):
            add(last.next_observation, flat_after(last))
        add(step.observation, flat(step, labels))
        last = step
        if progress is not None:
            progress(count)
    if last is not None:
        end(last)
    return count


def follows(step: Transition, last: Transition, schema: Schema) -> bool:
    """Whether `step` begins with the very observation that `last` ended with, to the bit, and nothing ended between."""
    if step.step != last.step + 1 or last.terminated or last.truncated or step.stamp != last.next_stamp:
        return False
    pairs = ((last.next_observation[field.name], step.observation[field.name]) for field in schema.observation)
    return all(before is after or before.tobytes() == after.tobytes() for before, after in pairs)
