"""What kills, power cuts and damage leave of a journal: everything before is read, and what is not whole is told."""

import logging

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcap.reader import make_reader

from robot_rl.data import mcap_file
from robot_rl.data.journal import Journal, JournalReader, read_journal
from robot_rl.data.mcap_file import END, head
from robot_rl.exceptions import DataError
from tests.robot_rl.data import episodes
from tests.robot_rl.data.test_journal import equal, write


@pytest.fixture(autouse=True)
def nobody_writes(monkeypatch):
    """What is torn here is not being written: it need not be looked at again."""
    monkeypatch.setattr(mcap_file, "SETTLE", 0.0)


@pytest.fixture
def journal_file(tmp_path):
    """A folder with ten records in one file, and the transitions."""
    made = list(episodes.stream(10))
    write(tmp_path, made)
    return tmp_path / "00000.mcap", made


def last_record(path):
    """Where the last record starts, and where it ends."""
    file = JournalReader(path.parent)._files[-1]
    return file.starts[-1] - 31, file.end


@pytest.mark.parametrize("fill", ["cut", "zeros", "old marks"])
def test_a_torn_tail_at_every_byte_costs_the_last_record_and_one_line(journal_file, caplog, fill):
    path, made = journal_file
    content = path.read_bytes()
    start, end = last_record(path)
    for size in range(end - start):
        torn = content[: start + size]
        if fill == "zeros":  # power cut: the size was on disk, the data was not
            torn += bytes(len(content) - len(torn))
        elif fill == "old marks":  # the write stopped over the previous end marks
            torn += END[size:]
        path.write_bytes(torn)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            assert equal(read_journal(path.parent), made[:-1])
        silent = torn[start:] == END
        assert [record.levelname for record in caplog.records] == ([] if silent else ["WARNING"])


@given(st.data())
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_kill_at_any_byte_costs_at_most_the_record_being_written(tmp_path_factory, data):
    """Images that are shared, labels between, several openings: whatever the disk has is a prefix of what was made."""
    images = data.draw(st.booleans())
    every = data.draw(st.integers(1, 4))
    made = list(episodes.judged(data.draw(st.integers(1, 8)), images, length=data.draw(st.integers(1, 5)), every=every))
    folder, opened = tmp_path_factory.mktemp("journal"), data.draw(st.integers(0, len(made) - 1))
    ends = []
    for part in (made[:opened], made[opened:]):
        with Journal(folder, episodes.schema(images), sync=False) as journal:
            for record in part:
                journal.append(record)
                ends.append(journal._files[-1].end)
    path = folder / "00001.mcap"
    content = path.read_bytes()
    killed = data.draw(st.integers(opened, len(made) - 1))
    start = ends[killed - 1] if killed > opened else len(head(episodes.schema(images)))
    at = data.draw(st.integers(0, ends[killed] - start))
    hole = data.draw(st.integers(0, at)) if data.draw(st.booleans()) else at  # a block that never reached the disk
    written = content[start : start + hole] + bytes(at - hole) + content[start + at : ends[killed]] + END
    torn = written[:at] if data.draw(st.booleans()) else written[:at] + END[at:] if hole == at else written
    path.write_bytes(content[:start] + torn)
    found = list(JournalReader(folder).records())
    assert len(found) in (killed, killed + 1)
    assert equal(found, made[: len(found)])
    with Journal(folder, episodes.schema(images), sync=False) as journal:
        for record in made[len(found) :]:
            journal.append(record)
    assert equal(JournalReader(folder).records(), made)
    with path.open("rb") as stream:
        assert len(list(make_reader(stream).iter_messages())) == len(found) - opened


def test_a_hole_in_the_last_record_is_a_torn_tail(journal_file, caplog):
    """A power cut: the file's size and its end marks are on disk, a block of the record before them is not."""
    path, made = journal_file
    content = bytearray(path.read_bytes())
    start, end = last_record(path)
    content[start + 60 : end - 8] = bytes(end - 8 - start - 60)
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert equal(read_journal(path.parent), made[:-1])
    assert ["ends torn" in record.message for record in caplog.records] == [True]


def test_a_hole_in_the_number_of_the_last_record_is_a_torn_tail(journal_file):
    path, made = journal_file
    content = bytearray(path.read_bytes())
    start, _ = last_record(path)
    content[start + 11] ^= 0xFF
    path.write_bytes(content)
    assert equal(read_journal(path.parent), made[:-1])


def test_a_journal_goes_on_only_once_what_it_counts_is_on_disk(journal_file, monkeypatch):
    """Killed between writing and syncing: the file looks whole, but only this machine's memory has its end."""
    path, made = journal_file
    synced = []
    monkeypatch.setattr("robot_rl.data.journal.sync_file", synced.append)
    with Journal(path.parent, JournalReader(path.parent).schema) as journal:
        assert (synced, journal.next_sequence) == ([path], len(made))


def test_only_the_last_file_may_have_a_torn_tail(journal_file):
    path, _ = journal_file
    write(path.parent, episodes.stream(3, first=10))
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(DataError, match=r"00000\.mcap is damaged"):
        JournalReader(path.parent)


def test_torn_end_marks_cost_nothing(journal_file, caplog):
    path, made = journal_file
    content = path.read_bytes()
    for size in range(len(END)):
        path.write_bytes(content[: len(content) - len(END) + size])
        caplog.clear()
        assert equal(read_journal(path.parent), made)
        assert ["10 records before them are whole" in record.message for record in caplog.records] == [True]


@pytest.mark.parametrize("missing", [0, 1, 30, 200])
def test_opening_repairs_a_torn_file_for_other_tools_too(journal_file, missing):
    path, made = journal_file
    content = path.read_bytes()
    path.write_bytes(content[: last_record(path)[1] - missing])
    kept = 10 if missing == 0 else 9
    with Journal(path.parent, episodes.schema()) as journal:
        assert journal.next_sequence == kept
        journal.append(next(episodes.stream(1, seed=7, first=kept)))
    with path.open("rb") as stream:
        assert len(list(make_reader(stream).iter_messages())) == kept
    again = list(read_journal(path.parent))
    assert len(again) == kept + 1
    assert equal(again[:kept], made[:kept])


def test_damage_in_the_middle_is_named_and_never_skipped(journal_file):
    path, _ = journal_file
    content = path.read_bytes()
    start = JournalReader(path.parent)._files[0].starts[4]
    for byte in range(start - 31, start + 60):
        damaged = bytearray(content)
        damaged[byte] ^= 0xFF
        path.write_bytes(damaged)
        if start - 16 <= byte < start:  # the times in MCAP's own header are no part of a record
            assert len(list(read_journal(path.parent))) == 10
        else:
            with pytest.raises(DataError, match=r"00000\.mcap.* damaged"):
                list(read_journal(path.parent))


def test_a_file_that_is_no_journal_is_refused(tmp_path):
    schema = episodes.schema()
    with pytest.raises(DataError, match="no journal"):
        read_journal(tmp_path)
    for content in (b"", b"hello", b"\x89MCAP0\r\n", b"\x89MCAP0\r\n" + bytes(99)):
        (tmp_path / "00000.mcap").write_bytes(content)
        with pytest.raises(DataError, match=r"00000\.mcap"):
            read_journal(tmp_path)
        with pytest.raises(DataError, match=r"00000\.mcap"):
            Journal(tmp_path, schema)
    (tmp_path / "00000.mcap").unlink()
    Journal(tmp_path, schema).close()  # the refusals above left no lock
