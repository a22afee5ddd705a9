"""One record, a transition or a label, as the CDR bytes of a ROS 2 message: the same on the wire and in a journal.

Members of fixed size come first and are one NumPy record; strings, images and a CRC-32 follow. A frame is
stored once: `observation` carries images only where the previous record's `next_observation` is not at hand.
"""

from __future__ import annotations

import dataclasses
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot_rl.data.label import Label, Record
from robot_rl.data.png import decode_png, encode_png
from robot_rl.data.schema import LABEL_FIELDS, LABEL_LAYOUT, LABEL_TEXTS, Schema
from robot_rl.data.transition import Transition
from robot_rl.exceptions import DataError

_CDR = b"\x00\x01\x00\x00"  # little-endian
_FLAT = ("sequence", "stamp", "next_stamp", "reward", "policy_version", "step", "policy_action", "action")
_FLAGS = ("intervened", "terminated", "truncated", "success")
_LABEL_FLAT = tuple(member.name for member in LABEL_FIELDS[1:])


@dataclasses.dataclass(frozen=True)
class Packed(Transition):
    """A transition whose images are still PNG, as its record has them: it is copied without decoding any.

    Its observations have the arrays alone. frames: those of `observation`, in the schema's order, then those of
    `next_observation`. An observation whose images are in the previous record has none yet.
    """

    frames: tuple[bytes, ...] = ()

    @property
    def halves(self) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
        """The frames of the two observations."""
        half = len(self.frames) // 2
        return self.frames[:half], self.frames[half:]


class NotJoined(DataError):
    """The record shares its first images with a record that was not given."""


def encode(record: Record, schema: Schema, whole: bool = True) -> bytes:
    """The message of one record; a transition that is not `whole` lacks the images that the previous record holds.

    Raises `DataError` for a record of another form.
    """
    out = _label(record, schema) if isinstance(record, Label) else _transition(record, schema, whole)
    out += bytes(-len(out) % 4)
    out += struct.pack("<I", zlib.crc32(out))
    return bytes(out)


def _transition(transition: Transition, schema: Schema, whole: bool) -> bytearray:
    schema.validate(transition, images=not isinstance(transition, Packed))
    names = (*_FLAT, *_FLAGS, *(("clamped",) if schema.version >= 2 else ()))
    record = _filled(transition, names, schema.layout)
    record["schema_hash"] = schema.hash
    for field in schema.arrays:
        record[f"observation_{field.message_name}"] = transition.observation[field.name]
        record[f"next_observation_{field.message_name}"] = transition.next_observation[field.name]
    out = bytearray(_CDR)
    out += record.tobytes()[: schema.fixed_size]
    for name in ("actor", "episode"):
        _put(out, _text(getattr(transition, name), name))
    for frame in _frames(transition, schema, whole):
        _put(out, frame)
    return out


def _frames(transition: Transition, schema: Schema, whole: bool) -> Iterator[bytes]:
    """The PNG of each image of a record; empty where the previous record has it."""
    if isinstance(transition, Packed):
        if len(transition.frames) != 2 * len(schema.images):
            raise DataError(f"the transition has {len(transition.frames)} frames, not {2 * len(schema.images)}")
        first, second = transition.halves
        yield from first if whole else (b"",) * len(first)
        yield from second
        return
    for field in schema.images:
        yield encode_png(transition.observation[field.name]) if whole else b""
    for field in schema.images:
        yield encode_png(transition.next_observation[field.name])


def _label(label: Label, schema: Schema) -> bytearray:
    record = _filled(label, _LABEL_FLAT, LABEL_LAYOUT)
    record["schema_hash"] = schema.label_hash
    out = bytearray(_CDR)
    out += record.tobytes()
    for name in LABEL_TEXTS:
        _put(out, _text(getattr(label, name), name))
    return out


def _filled(record: Record, names: Iterable[str], layout: np.dtype[Any]) -> NDArray[np.void]:
    """The members `names` of a record, where `layout` has them. Raises `DataError` for a number out of bounds."""
    out = np.zeros((), layout)
    for name in names:
        value = getattr(record, name)
        try:
            out[name] = value
            if out[name].dtype.kind in "iu" and out[name] != value:
                raise OverflowError(f"out of bounds for {out[name].dtype}")  # NumPy before 2 wraps it
        except (OverflowError, TypeError, ValueError) as error:
            raise DataError(f"{type(record).__name__.lower()}'s '{name}' is {value!r}: {error}") from error
    return out


def decode(data: bytes, schema: Schema, previous: Transition | None = None) -> Record:
    """The record of a message. Raises `DataError` for damage or another schema, and for nothing else.

    previous: the actor's transition before it, which holds the first images if the message does not
    (`NotJoined` where it is needed and missing).
    """
    record = unpack(data, schema)
    return record if isinstance(record, Label) else join(record, schema, previous)


def join(transition: Transition, schema: Schema, previous: Transition | None) -> Transition:
    """The transition with the images of its observation, taken from `previous` where they are absent."""
    if joined(transition, schema):
        return transition
    if previous is None or not continues(transition, previous):
        raise NotJoined(
            f"record {transition.sequence} of '{transition.actor}' shares its first images with the record "
            "before it; read that one first"
        )
    if isinstance(transition, Packed) and isinstance(previous, Packed):
        return dataclasses.replace(transition, frames=previous.halves[1] + transition.halves[1])
    images = {field.name: previous.next_observation[field.name] for field in schema.images}
    return dataclasses.replace(transition, observation={**transition.observation, **images})


def joined(transition: Transition, schema: Schema) -> bool:
    """Whether the transition has the images of its observation."""
    if isinstance(transition, Packed):
        return all(transition.frames)
    return len(transition.observation) == len(schema.observation)


def continues(transition: Transition, previous: Transition) -> bool:
    """Whether `transition` is the step after `previous` in one episode and one journal."""
    return (
        transition.episode == previous.episode
        and transition.step == previous.step + 1
        and transition.sequence == previous.sequence + 1
        and transition.actor == previous.actor
    )


def intact(data: bytes) -> bool:
    """Whether the message's checksum is right."""
    return len(data) > 8 and zlib.crc32(data[:-4]) == int.from_bytes(data[-4:], "little")


def peek(data: bytes, schema: Schema) -> tuple[str, int]:
    """(actor, sequence) of an intact message of this schema. Raises `DataError`."""
    record, position = _fixed(data, schema)
    return _string(data, position)[0], int(record["sequence"])


def begins_episode(data: bytes, schema: Schema) -> bool:
    """Whether an intact message of this schema is the first step of an episode. Raises `DataError`."""
    record, _ = _fixed(data, schema)
    return record.dtype == schema.layout and bool(record["step"] == 0)


def unpack(data: bytes, schema: Schema, packed: bool = False) -> Record:
    """As `decode`, but an observation whose images are in the previous record lacks them. packed: as `Packed`."""
    record, position = _fixed(data, schema)
    if record.dtype == schema.layout:
        return _unpack_transition(data, record, position, schema, packed)
    return _unpack_label(data, record, position)


def _unpack_label(data: bytes, record: np.void, position: int) -> Label:
    members: dict[str, Any] = {name: record[name].item() for name in _LABEL_FLAT}
    for name in LABEL_TEXTS:
        members[name], position = _string(data, position)
    _check_end(data, position)
    return Label(**members)


def _unpack_transition(data: bytes, record: np.void, position: int, schema: Schema, packed: bool) -> Transition:
    for name in schema.floats:
        if not np.isfinite(record[name]).all():
            raise DataError(f"the record's '{name}' holds NaN or infinity; it is damaged")
    actor, position = _string(data, position)
    episode, position = _string(data, position)
    frames = []
    for _ in range(2 * len(schema.images)):
        frame, position = _get(data, position)
        frames.append(frame)
    _check_end(data, position)
    half = len(schema.images)
    carried = all(frames[:half])
    if any(frames[:half]) and not carried:
        raise DataError("the record holds only some of its images; it is damaged")
    if not all(frames[half:]):
        raise DataError("the record lacks an image of its next observation; it is damaged")
    observation, next_observation = (
        {field.name: record[f"{where}_{field.message_name}"].copy() for field in schema.arrays}
        for where in ("observation", "next_observation")
    )
    if carried and not packed:
        observation |= _images(frames[:half], schema)
    if not packed:
        next_observation |= _images(frames[half:], schema)
    made: Callable[..., Transition] = partial(Packed, frames=tuple(frames)) if packed else Transition
    return made(
        actor=actor,
        sequence=int(record["sequence"]),
        episode=episode,
        step=int(record["step"]),
        stamp=float(record["stamp"]),
        next_stamp=float(record["next_stamp"]),
        observation=observation,
        next_observation=next_observation,
        policy_action=record["policy_action"].copy(),
        action=record["action"].copy(),
        intervened=bool(record["intervened"]),
        reward=float(record["reward"]),
        terminated=bool(record["terminated"]),
        truncated=bool(record["truncated"]),
        success=bool(record["success"]),
        policy_version=int(record["policy_version"]),
        **({"clamped": record["clamped"].copy()} if schema.version >= 2 else {}),
    )


def _fixed(data: bytes, schema: Schema) -> tuple[np.void, int]:
    """The members of fixed size, and where they end, after the checks that every message passes first.

    Their dtype tells which kind of record it is: `schema.layout` or `LABEL_LAYOUT`.
    """
    if len(data) < 16:
        raise DataError(f"a record of {len(data)} bytes is shorter than any; it is cut off")
    if data[:4] != _CDR or not intact(data):
        raise DataError("the record's checksum is wrong; it is damaged")
    found = int.from_bytes(data[4:12], "little")
    kinds = {schema.hash: (schema.layout, schema.fixed_size), schema.label_hash: (LABEL_LAYOUT, LABEL_LAYOUT.itemsize)}
    if found not in kinds:
        raise DataError(
            f"the record was written with schema {found:016x}, not {schema.hash:016x} "
            f"of task '{schema.task}'; use the version of robot_rl and the task that wrote it"
        )
    layout, size = kinds[found]
    if len(data) < 4 + layout.itemsize:
        raise DataError(f"a record of {len(data)} bytes is shorter than its schema allows; it is cut off")
    return np.frombuffer(data, layout, 1, 4)[0], 4 + size


def _check_end(data: bytes, position: int) -> None:
    if position + (-position % 4) != len(data) - 4:
        raise DataError(f"the record has {len(data)} bytes, which is not what its members take; it is damaged")


def _images(frames: list[bytes], schema: Schema) -> dict[str, NDArray[np.uint8]]:
    return {field.name: decode_png(frame, field.shape) for field, frame in zip(schema.images, frames, strict=True)}


def _put(out: bytearray, content: bytes) -> None:
    """Append a CDR string or byte sequence."""
    out += bytes(-len(out) % 4)
    out += struct.pack("<I", len(content))
    out += content


def _get(data: bytes, position: int) -> tuple[bytes, int]:
    """The string or byte sequence at `position`, and where it ends."""
    start = position + (-position % 4) + 4
    end = start + int.from_bytes(data[start - 4 : start], "little")
    if end > len(data) - 4:
        raise DataError(f"a member of the record ends at byte {end} of {len(data)}; it is damaged")
    return data[start:end], end


def _text(value: str, name: str) -> bytes:
    """A CDR string's bytes, with the zero that ends it."""
    if not value.isprintable():
        raise DataError(f"{name} {value!r} must be printable text")
    return value.encode() + b"\0"


def _string(data: bytes, position: int) -> tuple[str, int]:
    content, end = _get(data, position)
    try:
        text = content[:-1].decode()
    except UnicodeDecodeError as error:
        raise DataError(f"a name in the record is not UTF-8: {error}") from error
    if content[-1:] != b"\0" or not text.isprintable():
        raise DataError(f"a name in the record is {text[:50]!r}, which no record holds; it is damaged")
    return text, end
