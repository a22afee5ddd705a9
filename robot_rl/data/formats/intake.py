"""What of foreign data comes in, and as what: names, shapes and types chosen once, then applied block by block."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controllers.settings import suggest
from robot_rl.data.formats.mapping import ImportMap, Scale
from robot_rl.data.formats.pieces import pieces
from robot_rl.data.schema import Field, Schema
from robot_rl.data.transition import Transition
from robot_rl.exceptions import DataError

LARGEST_VECTOR = 4096
"""Numbers that an observation without a picture may have; what is larger is a depth image or a point cloud."""
LARGEST_MAPS = 65536
"""Numbers that a frozen backbone's maps of one picture may have."""
TOLERANCE = 1e-3
"""By how much an action may be outside [-1, 1]: rounding; it is cut off."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Want:
    """What is asked of an import. schema: of the task that the data is for, if of one; size: (h, w) of the images."""

    map: ImportMap = field(default_factory=ImportMap)
    schema: Schema | None = None
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class Column:
    """A foreign observation: shape and dtype of one step's value."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


@dataclass
class Notices:
    """What a person should know of an import, by kind, each once and with a count."""

    counts: dict[str, int] = field(default_factory=dict)

    def add(self, text: str, count: int = 1) -> None:
        """Count something; `text` has a {} for how many."""
        self.counts[text] = self.counts.get(text, 0) + count

    def lines(self) -> list[str]:
        return [text.format(f"{count:,}") for text, count in self.counts.items()]


@dataclass
class Source:
    """Foreign experience, opened: its form is known, its steps come when they are asked for.

    steps: how many to expect, if known. notices: grow while `transitions` are read.
    """

    schema: Schema
    transitions: Iterator[Transition]
    steps: int | None
    notices: Notices


Convert = Callable[[NDArray], NDArray]


@dataclass(frozen=True)
class Chosen:
    """A field of the schema, where it comes from in which form, and how a block (n, ...) of values is converted."""

    field: Field
    source: str
    column: Column
    convert: Convert


def choose(columns: Mapping[str, Column], want: Want, notices: Notices) -> list[Chosen]:
    """The fields that come in, sorted by name. Raises `DataError` where what is asked for is not there."""
    named = want.map.names
    for ours, theirs in named.items():
        if theirs not in columns:
            raise DataError(f"the map's observation '{ours}' is '{theirs}', unknown here; {suggest(theirs, columns)}")
    pairs = named or {name: name for name in columns}
    wanted = {item.name: item for item in want.schema.observation} if want.schema is not None else None
    chosen, left_out = [], []
    for ours, theirs in sorted(pairs.items()):
        if wanted is not None and ours not in wanted:
            left_out.append(f"{ours} (not observed in {want.schema.task})" if want.schema else ours)
            continue
        found = _as_wanted(columns[theirs], wanted[ours] if wanted else None)
        found = found or _convertible(columns[theirs], want.size)
        if found is None:
            column = columns[theirs]
            left_out.append(f"{ours} ({column.dtype} {column.shape}: neither numbers nor a picture)")
            continue
        shape, dtype, convert = found
        chosen.append(Chosen(Field(ours, shape, dtype), theirs, columns[theirs], convert))
    if left_out:
        notices.add("left out: " + ", ".join(left_out).replace("{", "{{").replace("}", "}}"))
    if not chosen:
        raise DataError(f"none of the observations can be used: {', '.join(left_out) or 'there is none'}; map them")
    return chosen


def make_schema(task: str, chosen: list[Chosen], size: int, names: tuple[str, ...], want: Want, where: str) -> Schema:
    """The schema of the import: the task's own where it fits. Raises `DataError` where the task wants another.

    size: of the foreign action; names: what the data calls its parts, if it does.
    """
    names = want.map.scale.names or names
    if want.schema is not None:
        task = want.schema.task
        names = want.schema.actions if not names and len(want.schema.actions) == size else names
    names = names or tuple(f"action_{index}" for index in range(size))
    if len(names) != size:
        raise DataError(f"{where} has actions of {size} numbers, not {len(names)} ({', '.join(names)})")
    found = Schema(task, tuple(item.field for item in chosen), names)
    return found if want.schema is None else _fit(found, want.schema, where)


def _fit(found: Schema, wanted: Schema, where: str) -> Schema:
    """`wanted`, if what was found has its names, shapes and types."""
    if found.actions != wanted.actions:
        raise DataError(
            f"{where} has actions {', '.join(found.actions)}, but {wanted.task} has {', '.join(wanted.actions)}; "
            "name them in the map, or leave --task out"
        )
    have = {item.name: item for item in found.observation}
    differ = []
    for item in wanted.observation:
        if item.name not in have:
            differ.append(f"'{item.name}' is missing")
        elif (have[item.name].shape, have[item.name].dtype) != (item.shape, item.dtype):
            other = have[item.name]
            differ.append(f"'{item.name}' is {other.dtype} {other.shape}, not {item.dtype} {item.shape}")
    if differ:
        raise DataError(
            f"{where} does not observe as {wanted.task} does: {', '.join(differ)}; "
            "map the names, resize the images, or leave --task out"
        )
    return wanted


def _convertible(column: Column, size: tuple[int, int] | None) -> tuple[tuple[int, ...], str, Convert] | None:
    """Shape, dtype and conversion of a column, or None where it cannot be observed here."""
    shape, dtype = column.shape, column.dtype
    if dtype == np.uint8 and len(shape) == 3 and shape[2] in (1, 3) and min(shape) > 0:
        if size is None or size == shape[:2]:
            return shape, "uint8", np.ascontiguousarray
        return (*size, shape[2]), "uint8", lambda block: np.stack([resize(image, size) for image in block])
    numbers = int(np.prod(shape, dtype=np.int64))
    if dtype == np.float16 and len(shape) == 4 and 0 < numbers <= LARGEST_MAPS:  # (crops, h, w, channels), as exported
        return shape, "float16", np.ascontiguousarray
    if dtype.kind not in "fiub" or len(shape) > 2 or not 0 < numbers <= LARGEST_VECTOR:
        return None
    whole = shape or (1,)
    return whole, "float32", lambda block: _float32(block).reshape(len(block), *whole)


def _as_wanted(column: Column, field: Field | None) -> tuple[tuple[int, ...], str, Convert] | None:
    """Numbers in the shape that the task has them in, backbones' maps in float16, where a format keeps plain rows."""
    if field is None or field.is_image or column.dtype.kind != "f" or column.shape == field.shape:
        return None
    if math.prod(column.shape) != math.prod(field.shape):
        return None
    return field.shape, field.dtype, lambda block: _float32(block).reshape(len(block), *field.shape).astype(field.dtype)


def _float32(block: NDArray) -> NDArray:
    with np.errstate(over="ignore", invalid="ignore"):  # what becomes infinite is refused by its name later
        return block.astype(np.float32)


def resize(image: NDArray, size: tuple[int, int]) -> NDArray:
    """A uint8 (h, w, 1 or 3) image of another size (h, w), each pixel the mean of what it covers."""
    from PIL import Image

    flat = image[:, :, 0] if image.shape[2] == 1 else image
    small = np.asarray(Image.fromarray(flat).resize(size[::-1], Image.Resampling.BOX))
    return small.reshape(*size, image.shape[2])


def scaled(block: NDArray, scale: Scale, where: str) -> NDArray[np.float32]:
    """Foreign actions (n, dim) as float32 in [-1, 1]. Raises `DataError` where one is outside its bounds."""
    values = block.astype(np.float64)
    if scale.low:
        low, high = (np.asarray(bound) for bound in (scale.low, scale.high))
        if low.size not in (1, block.shape[1]):
            raise DataError(f"{where}: low and high have {low.size} numbers for actions of {block.shape[1]}")
        values = 2 * (values - low) / (high - low) - 1
    over = ~(np.abs(values) <= 1 + TOLERANCE)  # NaN too
    if over.any():
        row, axis = np.argwhere(over)[0]
        raise DataError(
            f"{where}: an action is {block[row, axis]:.6g} on axis {axis}, outside its bounds; "
            "give them in the map: action: {low: [...], high: [...]}"
        )
    return np.clip(values, -1, 1).astype(np.float32)


def continuous(transitions: Iterator[Transition], notices: Notices) -> Iterator[Transition]:
    """The same, but an episode ends where a step does not observe what the step before it led to."""

    def moved(before: Transition, after: Transition) -> None:
        if after.step == 0:
            notices.add("{} times an observation is not the next one of the step before: the episode is cut there")

    return pieces(transitions, moved)
