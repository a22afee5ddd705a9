"""A journal's file that is read while it is being written."""

import os
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import pytest

from robot_rl.data import mcap_file
from robot_rl.data.journal import Journal, JournalReader
from robot_rl.exceptions import DataError
from tests.robot_rl.data import episodes

MADE = list(episodes.stream(12, images=True))


def test_a_file_that_grows_between_looks_is_neither_torn_nor_damaged(tmp_path, monkeypatch, caplog):
    with Journal(tmp_path, episodes.schema(images=True), sync=False) as journal:
        for record in MADE[:4]:
            journal.append(record)
        left = iter(MADE[4:])
        fstat = os.fstat

        def growing(descriptor):
            """The size, outdated at once: three more records are there before it is looked at."""
            found = fstat(descriptor)
            for record in islice(left, 3):
                journal.append(record)
            return found

        with monkeypatch.context() as patch:
            patch.setattr(os, "fstat", growing)
            reader = JournalReader(tmp_path)
    assert 4 <= reader.next_sequence <= len(MADE)
    assert all(map(episodes.same, reader.read(), MADE))
    assert not caplog.records


def test_what_is_half_written_is_waited_for(tmp_path, monkeypatch, caplog):
    with Journal(tmp_path, episodes.schema(images=True), sync=False) as journal:
        for record in MADE[:3]:
            journal.append(record)
        path = tmp_path / "00000.mcap"
        before = path.read_bytes()
        journal.append(MADE[3])
        after = path.read_bytes()
        half = len(before) + (len(after) - len(before)) // 2
        path.write_bytes(after[:half])
        monkeypatch.setattr(mcap_file.time, "sleep", lambda _: path.write_bytes(after))
        reader = JournalReader(tmp_path)
        assert reader.next_sequence == 4 and not caplog.records
        monkeypatch.setattr(mcap_file.time, "sleep", lambda _: None)
        path.write_bytes(after[:half])
        assert JournalReader(tmp_path).next_sequence == 3
        assert ["ends torn" in record.message for record in caplog.records] == [True]
        path.write_bytes(after)


def test_damage_in_the_middle_of_a_file_that_grows_is_still_named(tmp_path, monkeypatch):
    with Journal(tmp_path, episodes.schema(images=True), sync=False) as journal:
        for record in MADE[:8]:
            journal.append(record)
        path, file = tmp_path / "00000.mcap", journal._files[0]
        content = bytearray(path.read_bytes())
        content[file.starts[3] - mcap_file.MESSAGE.size] ^= 0xFF
        path.write_bytes(content)
        left = iter(MADE[8:])
        monkeypatch.setattr(mcap_file.time, "sleep", lambda _: [journal.append(record) for record in islice(left, 1)])
        with pytest.raises(DataError, match=r"damaged at byte \d+, before its end"):
            JournalReader(tmp_path)


WRITER = """
import sys
from pathlib import Path
from robot_rl.data.journal import Journal
from tests.robot_rl.data import episodes
made = list(episodes.stream(200, images=True))
with Journal(Path(sys.argv[1]), episodes.schema(images=True), sync=False) as journal:
    for number in range(int(sys.argv[2])):
        journal.append(episodes.dataclasses.replace(made[number % 200], sequence=number))
"""


def test_a_journal_is_read_while_another_process_writes_it(tmp_path, caplog):
    """Whatever is read at whatever moment is the beginning of what is written, and nobody is told of damage."""
    made = {(step.episode, step.step): step for step in episodes.stream(200, images=True)}
    total = 6_000
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "journal"), str(total)], cwd=Path(__file__).parents[3]
    )
    try:
        end = time.monotonic() + 120
        while not any((tmp_path / "journal").glob("*.mcap")):
            assert time.monotonic() < end and writer.poll() is None
        counts = []
        while writer.poll() is None:
            reader = JournalReader(tmp_path / "journal")
            counts.append(reader.next_sequence)
            for sequence in range(max(0, reader.next_sequence - 3), reader.next_sequence):
                step = reader.transition(sequence)
                assert (step.action == made[step.episode, step.step].action).all() and step.sequence == sequence
    finally:
        writer.kill()
        writer.wait()
    assert counts == sorted(counts) and len(set(counts)) > 5
    assert JournalReader(tmp_path / "journal").next_sequence == total
    assert not [record for record in caplog.records if "torn" in record.message]
