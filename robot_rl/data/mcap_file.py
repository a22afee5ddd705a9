"""One file of a journal, as MCAP: how it starts, where its records are, and what a crash left of it.

A file is a complete MCAP file after every append: the new record overwrites the end marks and brings its own.
What a crash or a power cut leaves is a torn last record; everything before it counts.
"""

from __future__ import annotations

import json
import logging
import mmap
import os
import re
import struct
import time
from array import array
from dataclasses import asdict, dataclass, field
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from mcap.data_stream import ReadDataStream, RecordBuilder
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Channel, DataEnd, Footer
from mcap.writer import MCAP0_MAGIC, IndexType, Writer

from robot_rl.data.codec import intact
from robot_rl.data.schema import LABEL_FIELDS, LABEL_TYPE, MESSAGE_TYPE, Schema
from robot_rl.exceptions import DataError

TOPICS = {"transition": "/transition", "label": "/label"}
TRANSITION, LABEL = 1, 2
"""Channels, in the order of `TOPICS`."""

MESSAGE = struct.Struct("<BQHIQQ")
"""What lies before a message's bytes: opcode, bytes that follow, channel, sequence, log time, publish time."""

_RECORD = struct.Struct("<BQ")  # opcode, bytes that follow
_START = struct.Struct("<BQHI")  # the same, channel, sequence: what a message starts with
_HEAD = (Opcode.HEADER, Opcode.SCHEMA, Opcode.CHANNEL)  # records before the first message
_MAYBE_MESSAGE = re.compile(rb"\x05(?=.{7}\x00[\x01\x02]\x00)", re.DOTALL)
_PATIENCE = 64  # times its length is how much of a tail is summed up in the search for records
_LOOKS = 100
SETTLE = 0.01
"""Time, s, after which a file that is being written is longer."""
_log = logging.getLogger(__name__)


def _end_marks() -> bytes:
    builder = RecordBuilder()
    DataEnd(0).write(builder)
    Footer(0, 0, 0).write(builder)
    return builder.end() + MCAP0_MAGIC


END = _end_marks()
"""What a complete file ends with."""


def head(schema: Schema) -> bytes:
    """What a file starts with: the message definitions; the schema and every member's unit in the metadata."""
    stream = BytesIO()
    writer = Writer(stream, use_chunking=False, index_types=IndexType.NONE)
    writer.start("ros2", "robot_rl")
    for name, kind, definition, members in (
        ("transition", MESSAGE_TYPE, schema.message_definition(), schema.members),
        ("label", LABEL_TYPE, schema.label_definition(), LABEL_FIELDS),
    ):
        number = writer.register_schema(kind, "ros2msg", definition.encode())
        metadata = {"schema": schema.to_json(), "members": json.dumps([asdict(member) for member in members])}
        writer.register_channel(TOPICS[name], "cdr", number, metadata)
    writer.flush()
    return stream.getvalue()


def message(channel: int, sequence: int, stamp: float, data: bytes) -> bytes:
    """The MCAP record of a message. stamp: s."""
    time = min(max(int(stamp * 1e9), 0), 2**63 - 1)
    size = MESSAGE.size - _RECORD.size + len(data)
    return MESSAGE.pack(Opcode.MESSAGE, size, channel, sequence & 0xFFFFFFFF, time, time) + data


@dataclass
class JournalFile:
    """Where the records of one file are. first: sequence of its first record; end: byte behind the last.

    schema: that its records were written with. steps: how many of its records are transitions.
    """

    path: Path
    first: int
    schema: Schema
    end: int = 0
    complete: bool = True
    starts: array[int] = field(default_factory=lambda: array("Q"))
    sizes: array[int] = field(default_factory=lambda: array("Q"))
    channels: bytearray = field(default_factory=bytearray)
    steps: int = 0

    @property
    def next(self) -> int:
        """Sequence behind the last record."""
        return self.first + len(self.starts)

    def note(self, channel: int, start: int, stop: int) -> None:
        """Remember the record of a channel whose message is at bytes `start` to `stop`, the newest."""
        self.channels.append(channel)
        self.steps += channel == TRANSITION
        self.sizes.append(stop - start)
        self.starts.append(start)  # last: a reader in another thread counts by it
        self.end = stop

    def forget(self) -> None:
        """Forget the newest record."""
        self.end = self.starts.pop() - MESSAGE.size
        self.sizes.pop()
        self.steps -= self.channels.pop() == TRANSITION

    def repair(self) -> None:
        """Cut a torn tail off and end the file as other programs expect."""
        if self.complete:
            return
        with self.path.open("r+b") as stream:
            stream.truncate(self.end)
            stream.seek(self.end)
            stream.write(END)
            stream.flush()
            os.fsync(stream.fileno())
        self.complete = True


def scan(path: Path, first: int, last: bool = True) -> JournalFile:
    """Walk the records of a file. last: no file follows, so its end may be torn, or be written at this moment.

    Raises `DataError` for damage that a crash cannot explain.
    """
    if not path.is_file():
        raise DataError(f"{path} is no file; move it out of the journal's folder")
    try:
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            file = _begin(path, first, stream, size)
            if last:
                _walk_to_end(file, stream, size)
                return file
            _walk(file, stream, size)
            file.complete = _ends(file, stream, size)
            if not file.complete:
                raise DataError(f"{path} is damaged at byte {file.end}, before its end; restore it from a copy")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    return file


def _walk_to_end(file: JournalFile, stream: BinaryIO, size: int) -> None:
    """All records of a file that may be growing: those that were there whole at one moment of this call.

    A look counts what lies in the bytes that the file had when it began: Linux lengthens a file behind what it has
    written. An end that is neither whole nor left behind by the next look, nor longer then, is nobody's work any more.
    """
    for _ in range(_LOOKS):
        before = file.end
        _walk(file, stream, size)
        whole = _last_is_whole(file, stream)
        if whole and (_ends(file, stream, size) or (file.complete is False and file.end > before)):
            file.complete = True
            return
        file.complete = False
        time.sleep(SETTLE)
        known, size = size, os.fstat(stream.fileno()).st_size
        if size == known:
            break
    _judge_tail(file, stream, min(known, size))


def _begin(path: Path, first: int, stream: BinaryIO, size: int) -> JournalFile:
    """The file with its schema; its records begin at `end`, or behind more of its head."""
    descriptor = stream.fileno()
    if os.pread(descriptor, len(MCAP0_MAGIC), 0) != MCAP0_MAGIC:
        raise DataError(f"{path} is no MCAP file; move it out of the journal's folder")
    position = len(MCAP0_MAGIC)
    while len(start := os.pread(descriptor, _RECORD.size, position)) == _RECORD.size:
        opcode, length = _RECORD.unpack(start)
        body, position = position + _RECORD.size, position + _RECORD.size + length
        if position > size or opcode not in _HEAD:
            break
        if opcode == Opcode.CHANNEL:
            return JournalFile(path, first, _read_schema(os.pread(descriptor, length, body), path), end=position)
    raise DataError(f"{path} is no journal of transitions: it has no '{TOPICS['transition']}' with its schema")


def _walk(file: JournalFile, stream: BinaryIO, size: int) -> None:
    """Note the records behind the last that is known, in the file's first `size` bytes, up to what is none."""
    while len(start := os.pread(stream.fileno(), _START.size, file.end)) >= _RECORD.size:
        opcode, length = _RECORD.unpack_from(start)
        stop = file.end + _RECORD.size + length
        if stop > size:
            return
        if opcode in _HEAD and not file.starts:
            file.end = stop
        elif (channel := _follows(start, file)) is not None:
            file.note(channel, file.end + MESSAGE.size, stop)
        else:
            return


def _ends(file: JournalFile, stream: BinaryIO, size: int) -> bool:
    """Whether the end marks, and nothing else, are behind the last record of a file of `size` bytes."""
    return size == file.end + len(END) and os.pread(stream.fileno(), len(END), file.end) == END


def _last_is_whole(file: JournalFile, stream: BinaryIO) -> bool:
    """Whether the last record is intact; it is forgotten otherwise.

    It is looked at also where the end marks stand: a power cut may leave a hole before them.
    """
    if not file.starts or intact(os.pread(stream.fileno(), file.sizes[-1], file.starts[-1])):
        return True
    file.forget()
    return False


def _follows(start: bytes, file: JournalFile) -> int | None:
    """The channel of a record that starts so, where it can be the message after the file's last."""
    if start[0] != Opcode.MESSAGE or len(start) < _START.size:
        return None
    _, length, channel, sequence = _START.unpack(start)
    follows = length > MESSAGE.size - _RECORD.size and sequence == file.next & 0xFFFFFFFF
    return channel if follows and channel in (TRANSITION, LABEL) else None


def _read_schema(channel: bytes, path: Path) -> Schema:
    try:
        record = Channel.read(ReadDataStream(BytesIO(channel)))
        if record.topic == TOPICS["transition"] and record.id == TRANSITION:
            return Schema.from_json(record.metadata["schema"])
    except (McapError, ValueError, KeyError, struct.error) as error:
        raise DataError(f"{path} has a damaged head ({error!r}); restore it from a copy") from error
    raise DataError(f"{path} holds '{record.topic}', not '{TOPICS['transition']}'; it is no journal of transitions")


def _judge_tail(file: JournalFile, stream: BinaryIO, size: int) -> None:
    """Tell a torn tail (logged, left out) from damage in the middle (`DataError`) of a file of `size` bytes."""
    with mmap.mmap(stream.fileno(), size, access=mmap.ACCESS_READ) as content:
        if _holds_record(content, file.end):
            raise DataError(f"{file.path} is damaged at byte {file.end}, before its end; restore it from a copy")
    left = size - file.end
    _log.warning("%s ends torn: %d bytes left out, %d records before them are whole", file.path, left, len(file.starts))


def _holds_record(content: mmap.mmap, start: int) -> bool:
    """Whether an intact message lies somewhere behind `start`; also where a search would take too long to tell.

    One at `start` itself, whose number is wrong, is the record that was being written.
    """
    left = _PATIENCE * (len(content) - start)
    for match in _MAYBE_MESSAGE.finditer(content, start + 1):
        _, length = _RECORD.unpack_from(content, match.start())
        begin, stop = match.start() + MESSAGE.size, match.start() + _RECORD.size + length
        if begin < stop <= len(content):
            left -= stop - begin
            if left < 0 or intact(content[begin:stop]):
                return True
    return False
