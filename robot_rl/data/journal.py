"""An actor's journal: every step on its disk before anybody else hears of it.

A folder of MCAP files, one for each time that the journal was opened, ROS 2 messages inside, so that `mcap`,
Foxglove and rosbags read it. A file is a complete MCAP file after every append: the new record overwrites the
end marks and brings its own. What a crash or a power cut leaves is a torn last record; everything before it
counts. Record k of the folder has sequence k.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import struct
import time
from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Self

from mcap.data_stream import ReadDataStream, RecordBuilder
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Channel, DataEnd, Footer
from mcap.writer import MCAP0_MAGIC, IndexType, Writer

from robot_rl.data.codec import begins_episode, continues, encode, intact, join, unpack
from robot_rl.data.schema import MESSAGE_TYPE, Schema
from robot_rl.data.transition import Transition
from robot_rl.exceptions import DataError

TOPIC = "/transition"
_CHANNEL = 1
_RECORD = struct.Struct("<BQ")  # opcode, bytes that follow
_MESSAGE = struct.Struct("<BQHIQQ")  # the same, channel, sequence, log time, publish time
_NUMBER = struct.Struct("<HI")  # channel, sequence: what a message's body starts with
_MAYBE_MESSAGE = re.compile(rb"\x05(?=.{7}\x00\x01\x00)", re.DOTALL)
_log = logging.getLogger(__name__)


def _end_marks() -> bytes:
    builder = RecordBuilder()
    DataEnd(0).write(builder)
    Footer(0, 0, 0).write(builder)
    return builder.end() + MCAP0_MAGIC


_END = _end_marks()


def _head(schema: Schema) -> bytes:
    """What a file starts with: the message definition, and the schema in the channel's metadata."""
    stream = BytesIO()
    writer = Writer(stream, use_chunking=False, index_types=IndexType.NONE)
    writer.start("ros2", "robot_rl")
    kind = writer.register_schema(MESSAGE_TYPE, "ros2msg", schema.message_definition().encode())
    writer.register_channel(TOPIC, "cdr", kind, {"schema": schema.to_json()})
    writer.flush()
    return stream.getvalue()


@dataclass
class _File:
    """Where the records of one file are. first: sequence of its first record; end: byte behind the last."""

    path: Path
    first: int
    end: int = 0
    complete: bool = True
    starts: array[int] = field(default_factory=lambda: array("Q"))
    sizes: array[int] = field(default_factory=lambda: array("Q"))

    @property
    def next(self) -> int:
        """Sequence behind the last record."""
        return self.first + len(self.starts)

    def note(self, start: int, stop: int) -> None:
        """Remember the record whose message is at bytes `start` to `stop`, the newest."""
        self.sizes.append(stop - start)
        self.starts.append(start)  # last: a reader in another thread counts by it
        self.end = stop


def _scan(path: Path, first: int) -> tuple[_File, Schema]:
    """Walk the records of a file. Raises `DataError` for damage that a crash cannot explain."""
    file, schema = _File(path, first), None
    with path.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        if stream.read(len(MCAP0_MAGIC)) != MCAP0_MAGIC:
            raise DataError(f"{path} is no MCAP file; move it out of the journal's folder")
        position = len(MCAP0_MAGIC)
        while len(head := os.pread(stream.fileno(), _RECORD.size + _NUMBER.size, position)) >= _RECORD.size:
            opcode, length = _RECORD.unpack_from(head)
            start, stop = position + _RECORD.size, position + _RECORD.size + length
            if stop > size or not Opcode.HEADER <= opcode < Opcode.DATA_END:
                break
            if opcode == Opcode.CHANNEL and schema is None:
                schema = _read_schema(os.pread(stream.fileno(), length, start), path)
            if opcode == Opcode.MESSAGE and length > _MESSAGE.size - _RECORD.size:
                channel, sequence = _NUMBER.unpack_from(head, _RECORD.size)
                if channel == _CHANNEL and sequence != file.next & 0xFFFFFFFF:
                    break
                if channel == _CHANNEL:
                    file.note(position + _MESSAGE.size, stop)
            position = file.end = stop
        if schema is None:
            raise DataError(f"{path} is no journal of transitions: it has no '{TOPIC}' with its schema")
        file.complete = os.pread(stream.fileno(), len(_END) + 1, file.end) == _END
        if not file.complete:
            _judge_tail(file, stream)
    return file, schema


def _read_schema(channel: bytes, path: Path) -> Schema:
    try:
        record = Channel.read(ReadDataStream(BytesIO(channel)))
        if record.topic == TOPIC and record.id == _CHANNEL:
            return Schema.from_json(record.metadata["schema"])
    except (McapError, ValueError, KeyError, struct.error) as error:
        raise DataError(f"{path} has a damaged head ({error!r}); restore it from a copy") from error
    raise DataError(f"{path} holds '{record.topic}', not '{TOPIC}'; it is no journal of transitions")


def _judge_tail(file: _File, stream: BinaryIO) -> None:
    """Tell a torn tail (logged, left out) from damage in the middle (`DataError`)."""
    if file.starts and file.starts[-1] + file.sizes[-1] == file.end:
        stream.seek(file.starts[-1])
        if not intact(stream.read(file.sizes[-1])):
            file.end = file.starts.pop() - _MESSAGE.size
            file.sizes.pop()
    stream.seek(file.end)
    tail = stream.read()
    for match in _MAYBE_MESSAGE.finditer(tail):
        _, length = _RECORD.unpack_from(tail, match.start())
        if intact(tail[match.start() + _MESSAGE.size : match.start() + _RECORD.size + length]):
            raise DataError(f"{file.path} is damaged at byte {file.end}, before its end; restore it from a copy")
    if not _END.startswith(tail):
        _log.warning("%s: torn tail of %d bytes after record %d left out", file.path, len(tail), file.next - 1)


class JournalReader:
    """The records of a journal's folder, by sequence. Raises `DataError` where it is none, or damaged."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self._files: list[_File] = []
        schemas: list[Schema] = []
        for path in sorted(self.folder.glob("*.mcap")):
            file, schema = _scan(path, self.next_sequence)
            self._files.append(file)
            schemas.append(schema)
        if not schemas:
            raise DataError(f"{folder} holds no journal (*.mcap); check the path")
        self.schema = schemas[0]
        for file, schema in zip(self._files, schemas, strict=True):
            if schema != self.schema:
                raise DataError(f"{file.path} was written with another schema than {self._files[0].path.name}")

    @property
    def next_sequence(self) -> int:
        """How many records there are: the sequence of the next one."""
        return self._files[-1].next if self._files else 0

    def message(self, sequence: int, whole: bool = False) -> bytes:
        """The message of a record as written; `whole`: with the images that the record before holds."""
        file = self._file(sequence)
        index = sequence - file.first
        with file.path.open("rb") as stream:
            data = os.pread(stream.fileno(), file.sizes[index], file.starts[index])
        if not (whole and self.schema.images):
            return data
        return encode(self.transition(sequence), self.schema)

    def transition(self, sequence: int) -> Transition:
        """The transition of a record."""
        record = self._unpack(sequence)
        shared = len(record.observation) < len(self.schema.observation)
        return join(record, self.schema, self._unpack(sequence - 1) if shared and sequence else None)

    def read(self, start_sequence: int = 0) -> Iterator[Transition]:
        """All transitions from `start_sequence` on, in order."""
        previous: Transition | None = None
        for sequence in range(start_sequence, self.next_sequence):
            if previous is None:
                previous = self.transition(sequence)
            else:
                previous = join(self._unpack(sequence), self.schema, previous)
            yield previous

    def episodes(self) -> int:
        """How many episodes were begun. Images are not decoded."""
        return sum(begins_episode(self.message(sequence), self.schema) for sequence in range(self.next_sequence))

    def _file(self, sequence: int) -> _File:
        if not 0 <= sequence < self.next_sequence:
            raise DataError(f"{self.folder} has no record {sequence}; it ends before {self.next_sequence}")
        return self._files[bisect_right(self._files, sequence, key=lambda file: file.first) - 1]

    def _unpack(self, sequence: int) -> Transition:
        try:
            return unpack(self.message(sequence), self.schema)
        except DataError as error:
            raise DataError(f"record {sequence} in {self._file(sequence).path}: {error}") from error


def read_journal(folder: Path, start_sequence: int = 0) -> Iterator[Transition]:
    """The transitions of a journal from `start_sequence` on; a torn tail is left out with one line of log.

    Raises `DataError` for a folder without a journal, and for damage.
    """
    return JournalReader(folder).read(start_sequence)


class Journal(JournalReader):
    """A journal open for appending, by one process at a time and one thread. Every opening starts a new file.

    sync: whether `append` returns only once the disk has the record. append_seconds: how long the last ones took.
    """

    def __init__(self, folder: Path, schema: Schema, sync: bool = True) -> None:
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(folder)
        try:
            if any(folder.glob("*.mcap")):
                super().__init__(folder)
                if self.schema != schema:
                    raise DataError(f"{folder} was written with another schema, of task '{self.schema.task}'")
                _repair(self._files)
            else:
                self.folder, self.schema, self._files = folder, schema, []
            self._stream = self._start_file()
        except BaseException:
            os.close(self._lock)
            raise
        self._sync = sync
        self._last: Transition | None = None
        self.append_seconds: deque[float] = deque(maxlen=100_000)

    def _start_file(self) -> BinaryIO:
        number = int(self._files[-1].path.stem) + 1 if self._files else 0
        path = self.folder / f"{number:05d}.mcap"
        fresh = path.with_suffix(".new")
        head = _head(self.schema)
        with fresh.open("wb") as stream:
            stream.write(head + _END)
            stream.flush()
            os.fsync(stream.fileno())
        fresh.rename(path)
        os.fsync(self._lock)
        self._files.append(_File(path, self.next_sequence, end=len(head)))
        return path.open("r+b", buffering=0)

    def append(self, transition: Transition) -> bytes:
        """Write a transition to disk, synced, and return its message.

        Raises `DataError` where it does not fit: another form, a wrong sequence, a full disk. Then nothing
        was changed.
        """
        began = time.perf_counter()
        if transition.sequence != self.next_sequence:
            raise DataError(f"{self.folder} wants record {self.next_sequence} next, not {transition.sequence}")
        shares = self._last is not None and continues(transition, self._last)
        data = encode(transition, self.schema, whole=not shares)
        stamp = min(max(int(transition.next_stamp * 1e9), 0), 2**63 - 1)
        number = transition.sequence & 0xFFFFFFFF
        size = _MESSAGE.size - _RECORD.size + len(data)
        self._write(_MESSAGE.pack(Opcode.MESSAGE, size, _CHANNEL, number, stamp, stamp) + data)
        self._last = transition
        self.append_seconds.append(time.perf_counter() - began)
        return data

    def _write(self, record: bytes) -> None:
        """Put a record over the end marks, with its own, in one write; then sync."""
        file = self._files[-1]
        left = memoryview(record + _END)
        try:
            self._stream.seek(file.end)
            while left:
                left = left[self._stream.write(left) :]
            if self._sync:
                os.fdatasync(self._stream.fileno())
        except OSError as error:
            self._stream.truncate(file.end)
            raise DataError(f"{file.path} cannot grow ({error.strerror}); free space and resume the run") from error
        stop = file.end + len(record)
        file.note(file.end + _MESSAGE.size, stop)

    def close(self) -> None:
        """Let another writer have the folder."""
        if not self._stream.closed:
            os.fsync(self._stream.fileno())
            self._stream.close()
            os.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _lock(folder: Path) -> int:
    """The folder's descriptor, locked until it is closed or the process dies."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise DataError(f"{folder} is being written by another process; stop that one first") from error
    return descriptor


def _repair(files: list[_File]) -> None:
    """Cut torn tails off and end each file as other programs expect."""
    for file in files:
        if not file.complete:
            with file.path.open("r+b") as stream:
                stream.truncate(file.end)
                stream.seek(file.end)
                stream.write(_END)
                stream.flush()
                os.fsync(stream.fileno())
            file.complete = True
