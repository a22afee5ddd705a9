"""What actor and learner send each other, as bytes and text that anybody may have damaged on the way.

A parcel is a head of fixed size, the sender's name, a CRC-32 of both, and a record's own bytes with the checksum that
they have (`robot_rl.data.codec`); without a record it asks what is wanted. An answer is one line of JSON.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import struct
import uuid
import zlib
from dataclasses import dataclass

from robot_rl.exceptions import DataError

_HEAD = struct.Struct("<4sHH16s16sQI?")
"""Magic, version, bytes of the name, run, journal, end, bytes of the record, whether the sender has finished."""
_MAGIC, _VERSION = b"RRLP", 2
_CRC = 4
_LARGEST = 2**53
"""Largest sequence: what every reader of JSON takes for a whole number."""


@dataclass(frozen=True)
class Parcel:
    """One message of an actor. run, journal: UUIDs of the run and of the journal that the record lies in.

    end: the sequence behind that journal's last record when this was sent. record: the bytes of one, empty to ask what
    is wanted. finished: nothing will come behind `end`, and its sender waits until a checkpoint has all of it.
    """

    run: str
    journal: str
    actor: str
    end: int
    record: bytes = b""
    finished: bool = False

    @property
    def offset(self) -> int:
        """Where the record begins in `to_bytes`."""
        return _HEAD.size + len(self.actor.encode()) + _CRC

    def to_bytes(self) -> bytes:
        """The message."""
        name = self.actor.encode()
        run, journal = uuid.UUID(self.run).bytes, uuid.UUID(self.journal).bytes
        numbers = self.end, len(self.record), self.finished
        head = _HEAD.pack(_MAGIC, _VERSION, len(name), run, journal, *numbers) + name
        return head + zlib.crc32(head).to_bytes(_CRC, "little") + self.record

    @classmethod
    def from_bytes(cls, data: bytes) -> Parcel:
        """The parcel of a message. Raises `DataError` where it is none, damaged, or of another release."""
        if len(data) < _HEAD.size + _CRC or data[:4] != _MAGIC:
            raise DataError(f"a message of {len(data)} bytes is no parcel of experience; refused")
        _, version, length, run, journal, end, size, finished = _HEAD.unpack_from(data)
        if version != _VERSION:  # first: another one may be laid out otherwise
            raise DataError(
                f"a parcel has version {version}, not {_VERSION}; use one release of robot_rl on both sides"
            )
        stop = _HEAD.size + length
        if len(data) != stop + _CRC + size:
            raise DataError(f"a parcel of {len(data)} bytes should have {stop + _CRC + size}; refused")
        if zlib.crc32(data[:stop]) != int.from_bytes(data[stop : stop + _CRC], "little"):
            raise DataError(f"the head of a parcel of {len(data)} bytes fails its checksum; refused")
        try:
            name = data[_HEAD.size : stop].decode()
        except UnicodeDecodeError as error:
            raise DataError(f"the name in a parcel is not UTF-8 ({error}); refused") from error
        if not name or not name.isprintable() or end > _LARGEST:
            raise DataError(f"a parcel is of {name!r} and ends at {end}; refused")
        return cls(str(uuid.UUID(bytes=run)), str(uuid.UUID(bytes=journal)), name, end, data[stop + _CRC :], finished)


@dataclass(frozen=True)
class Answer:
    """What the learner of `run` says to the holder of `journal`, which delivers as `actor`.

    wanted: the sequence that it wants next: all below it have been taken. full: it takes nothing more for now.
    received: transitions that it has of all actors. refusal: why it takes nothing at all, a sentence; else empty.
    durable: the sequence up to which its newest checkpoint has this journal; what is between is in its memory alone.
    """

    run: str
    journal: str
    actor: str
    wanted: int
    full: bool = False
    received: int = 0
    refusal: str = ""
    durable: int = 0

    def to_text(self) -> str:
        """One line of JSON, with a checksum."""
        values = dataclasses.asdict(self)
        return json.dumps(values | {"checksum": _checksum(values)}, sort_keys=True)

    @classmethod
    def from_text(cls, text: str) -> Answer:
        """The answer of a line. Raises `DataError` where it is none, or damaged."""
        try:
            values = json.loads(text)
            checksum = values.pop("checksum")
            answer = cls(**values)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise DataError(f"an acknowledgement does not decode ({error}); ignored") from error
        if checksum != _checksum(values):
            raise DataError("an acknowledgement fails its checksum; ignored")
        for name, kind in cls.__annotations__.items():
            value = getattr(answer, name)
            if type(value).__name__ != kind or (kind == "int" and not 0 <= value <= _LARGEST):
                raise DataError(f"an acknowledgement's '{name}' is {value!r}; ignored")
        return answer


def _checksum(values: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]
