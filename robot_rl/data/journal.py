"""An actor's journal: every step on its disk before anybody else hears of it.

A folder of MCAP files, one for each time that the journal was opened, ROS 2 messages inside, so that `mcap`,
Foxglove and rosbags read it (`robot_rl.data.mcap_file`). Record k of the folder has sequence k, be it a
transition or a label.
"""

from __future__ import annotations

import fcntl
import os
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np

from robot_rl.data.codec import begins_episode, continues, encode, join, joined, unpack
from robot_rl.data.label import Label, Record
from robot_rl.data.mcap_file import END, LABEL, MESSAGE, TRANSITION, JournalFile, head, message, scan
from robot_rl.data.schema import VERSION, Schema
from robot_rl.data.transition import Transition
from robot_rl.disk import disk_errors, sync_file, sync_folder
from robot_rl.exceptions import DataError


class JournalReader:
    """The records of a journal's folder, by sequence. Raises `DataError` where it is none, or damaged.

    schema: of the records as they are given, in this program's version; a file may be of an older one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self._files: list[JournalFile] = []
        paths = sorted(self.folder.glob("*.mcap"), key=lambda path: (len(path.name), path.name))
        if not paths:
            raise DataError(f"{folder} holds no journal (*.mcap); check the path")
        for path in paths:
            self._files.append(scan(path, self.next_sequence, last=path == paths[-1]))
        self.schema = self._files[0].schema.newest()
        for file in self._files:
            if file.schema.newest() != self.schema:
                raise DataError(f"{file.path} was written with another schema than {self._files[0].path.name}")

    @property
    def next_sequence(self) -> int:
        """How many records there are: the sequence of the next one."""
        return self._files[-1].next if self._files else 0

    @property
    def steps(self) -> int:
        """How many of them are transitions."""
        return sum(file.steps for file in self._files)

    def message(self, sequence: int, whole: bool = False) -> bytes:
        """The message of a record, of `schema`; `whole`: with the images that the record before holds."""
        if self._file(sequence).schema.version == VERSION and not (whole and self.schema.images):
            return self._bytes(sequence)
        return encode(self.record(sequence), self.schema)

    def record(self, sequence: int) -> Record:
        """The transition or label of this sequence."""
        return self._record(sequence, packed=False)

    def _record(self, sequence: int, packed: bool) -> Record:
        record = self._unpack(sequence, packed)
        if isinstance(record, Label) or joined(record, self.schema):
            return record
        before = self._unpack(sequence - 1, packed) if sequence else None
        return self._join(record, before if isinstance(before, Transition) else None)

    def transition(self, sequence: int) -> Transition:
        """The transition of this sequence. Raises `DataError` where that is a label."""
        record = self.record(sequence)
        if isinstance(record, Label):
            raise DataError(f"record {sequence} in {self._file(sequence).path} is a label, not a transition")
        return record

    def records(self, start_sequence: int = 0, packed: bool = False) -> Iterator[Record]:
        """All records from `start_sequence` on, in order. packed: no image is decoded (`Packed`)."""
        previous: Transition | None = None
        for sequence in range(start_sequence, self.next_sequence):
            record = self._unpack(sequence, packed) if previous is not None else self._record(sequence, packed)
            if isinstance(record, Transition):
                record = previous = self._join(record, previous)
            yield record

    def read(self, start_sequence: int = 0, packed: bool = False) -> Iterator[Transition]:
        """All transitions from `start_sequence` on, in order. packed: no image is decoded (`Packed`)."""
        return (record for record in self.records(start_sequence, packed) if isinstance(record, Transition))

    def labels(self) -> Iterator[Label]:
        """The labels, in order; nothing else is read."""
        for file in self._files:
            for index, channel in enumerate(file.channels[: len(file.starts)]):
                if channel == LABEL and isinstance(record := self._unpack(file.first + index), Label):
                    yield record

    def episodes(self) -> int:
        """How many episodes were begun. Every checksum is verified; images are not decoded."""
        return sum(map(self._episodes, self._files))

    def _episodes(self, file: JournalFile) -> int:
        count = 0
        with file.path.open("rb") as stream:
            for index, (start, size) in enumerate(zip(file.starts, file.sizes, strict=True)):
                with _naming(file, file.first + index):
                    count += begins_episode(os.pread(stream.fileno(), size, start), file.schema)
        return count

    def _file(self, sequence: int) -> JournalFile:
        if not 0 <= sequence < self.next_sequence:
            raise DataError(f"{self.folder} has no record {sequence}; it ends before {self.next_sequence}")
        return self._files[bisect_right(self._files, sequence, key=lambda file: file.first) - 1]

    def _bytes(self, sequence: int) -> bytes:
        """The message as written."""
        file = self._file(sequence)
        index = sequence - file.first
        with file.path.open("rb") as stream:
            return os.pread(stream.fileno(), file.sizes[index], file.starts[index])

    def _unpack(self, sequence: int, packed: bool = False) -> Record:
        file = self._file(sequence)
        with _naming(file, sequence):
            record = unpack(self._bytes(sequence), file.schema, packed)
            if isinstance(record, Label) != (file.channels[sequence - file.first] == LABEL):
                raise DataError("it lies in the channel of another kind of record; it is damaged")
            return record

    def _join(self, transition: Transition, previous: Transition | None) -> Transition:
        with _naming(self._file(transition.sequence), transition.sequence):
            return join(transition, self.schema, previous)


@contextmanager
def _naming(file: JournalFile, sequence: int) -> Iterator[None]:
    """What is wrong with a record, with the record and its file."""
    try:
        yield
    except DataError as error:
        raise DataError(f"record {sequence} in {file.path}: {error}") from error


def read_journal(folder: Path, start_sequence: int = 0) -> Iterator[Transition]:
    """The transitions of a journal from `start_sequence` on; a torn tail is left out with one line of log.

    Raises `DataError` for a folder without a journal, and for damage.
    """
    return JournalReader(folder).read(start_sequence)


class Journal(JournalReader):
    """A journal open for appending, by one process at a time and one thread. Every opening starts a new file.

    sync: whether `append` returns only once the disk has the record. sync_seconds: how long the last ones waited.
    """

    def __init__(self, folder: Path, schema: Schema, sync: bool = True) -> None:
        folder = Path(folder)
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            sync_folder(folder.parent)
        self._lock = _lock(folder)
        try:
            if any(folder.glob("*.mcap")):
                super().__init__(folder)
                if self.schema != schema:
                    raise DataError(f"{folder} was written with another schema, of task '{self.schema.task}'")
                with disk_errors(folder):
                    for file in self._files:
                        file.repair()
                    sync_file(self._files[-1].path)  # killed before it was: what is counted from now on must last
            else:
                self.folder, self.schema, self._files = folder, schema, []
            self._stream = self._start_file()
        except BaseException:
            os.close(self._lock)
            raise
        self._sync = sync
        self._last: Record | None = None
        self.sync_seconds: deque[float] = deque(maxlen=10_000)

    def _start_file(self) -> BinaryIO:
        path = self.folder / f"{self._next_number():05d}.mcap"
        fresh, content = path.with_suffix(".new"), head(self.schema)
        with disk_errors(path), fresh.open("wb") as stream:
            stream.write(content + END)
            stream.flush()
            os.fsync(stream.fileno())
        fresh.rename(path)
        sync_folder(self.folder)
        self._files.append(JournalFile(path, self.next_sequence, self.schema, end=len(content)))
        return path.open("r+b", buffering=0)

    def _next_number(self) -> int:
        if not self._files:
            return 0
        last = self._files[-1].path
        if not last.stem.isdecimal():
            raise DataError(f"{last} is not named as a journal's file; move it out of the folder")
        return int(last.stem) + 1

    def append(self, record: Record) -> bytes:
        """Write a record to disk, synced, and return its message.

        Raises `DataError` where it does not fit, another form or a wrong sequence, and `DiskError`. Then nothing was
        changed.
        """
        if record.sequence != self.next_sequence:
            raise DataError(f"{self.folder} wants record {self.next_sequence} next, not {record.sequence}")
        if isinstance(record, Label):
            channel, stamp, shares = LABEL, record.stamp, False
        else:
            channel, stamp = TRANSITION, record.next_stamp
            shares = isinstance(self._last, Transition) and continues(record, self._last)
        data = encode(record, self.schema, whole=not shares)
        self._write(channel, message(channel, record.sequence, stamp, data))
        self._last = record
        return data

    def flush(self) -> None:
        """Return once the disk has every record: for a journal that does not sync by itself. Raises `DiskError`."""
        if not self._stream.closed:
            with disk_errors(self._files[-1].path):
                os.fdatasync(self._stream.fileno())

    @property
    def sync_p99(self) -> float:
        """How long 99 in 100 of the last appends waited for the disk at most, s; 0 before the first."""
        return float(np.percentile(self.sync_seconds, 99)) if self.sync_seconds else 0.0

    def _write(self, channel: int, record: bytes) -> None:
        """Put a record of a channel over the end marks, with its own, in one write; then sync."""
        file = self._files[-1]
        with disk_errors(file.path):
            try:
                self._put(file.end, record + END)
                began = time.perf_counter()
                if self._sync:
                    os.fdatasync(self._stream.fileno())
            except OSError:
                self._take_back(file)
                raise
        self.sync_seconds.append(time.perf_counter() - began)
        stop = file.end + len(record)
        file.note(channel, file.end + MESSAGE.size, stop)

    def _put(self, position: int, content: bytes) -> None:
        self._stream.seek(position)
        left = memoryview(content)
        while left:
            left = left[self._stream.write(left) :]

    def _take_back(self, file: JournalFile) -> None:
        """End the file where it ended before: the old end marks' bytes are on the disk already, so they fit again."""
        try:
            self._put(file.end, END)
            self._stream.truncate(file.end + len(END))
        except OSError:  # a file system that writes each block anew; readers do without the marks
            self._stream.truncate(file.end)

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
