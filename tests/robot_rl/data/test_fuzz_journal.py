"""Damaged journals: what is read is what was written, and where anything is missing, somebody is told."""

import logging

import numpy as np
import pytest

from robot_rl.data import mcap_file
from robot_rl.data.journal import Journal, JournalReader
from robot_rl.data.mcap_file import MESSAGE
from robot_rl.exceptions import DataError
from tests.robot_rl.data import episodes
from tests.robot_rl.data.mutations import mutate, no_code_runs, sealed

MADE = list(episodes.judged(12, images=True, length=5))


@pytest.fixture
def journal(tmp_path, monkeypatch):
    """The folder, its one file's bytes, and where its messages lie. Nobody is waited for who might be writing."""
    monkeypatch.setattr(mcap_file, "SETTLE", 0.0)
    with Journal(tmp_path, episodes.schema(images=True), sync=False) as journal:
        for record in MADE:
            journal.append(record)
        file = journal._files[0]
    return tmp_path, (tmp_path / "00000.mcap").read_bytes(), list(zip(file.starts, file.sizes, strict=True))


def test_a_damaged_journal_never_passes_for_whole(journal, caplog):
    folder, content, _ = journal
    rng, whole, torn, refused = np.random.default_rng(1), 0, 0, 0
    list(JournalReader(folder).records())
    for _ in range(2000):
        (folder / "00000.mcap").write_bytes(mutate(rng, content))
        caplog.clear()
        try:
            with no_code_runs(), caplog.at_level(logging.WARNING):
                found = list(JournalReader(folder).records())
        except DataError:
            refused += 1
            continue
        assert len(found) <= len(MADE)
        assert all(episodes.same(left, right) for left, right in zip(found, MADE, strict=False))
        if len(found) < len(MADE):
            assert ["ends torn" in record.message for record in caplog.records] == [True]
            torn += 1
        else:
            whole += 1
    assert refused > 800
    assert torn > 100
    assert whole > 5  # MCAP's own times, names and padding are no part of a record


def test_going_on_with_a_damaged_journal_loses_nothing_that_is_sound(journal):
    folder, content, _ = journal
    rng, went_on = np.random.default_rng(2), 0
    for _ in range(300):
        for path in folder.glob("*.mcap"):
            path.unlink()
        damaged = mutate(rng, content)
        (folder / "00000.mcap").write_bytes(damaged)
        try:
            with Journal(folder, episodes.schema(images=True), sync=False) as journal:
                kept = journal.next_sequence
                for record in MADE[kept:]:
                    journal.append(record)
        except DataError:
            assert (folder / "00000.mcap").read_bytes() == damaged  # what is refused is not touched
            continue
        went_on += 1
        reader = JournalReader(folder)
        assert reader.next_sequence == len(MADE)
        for sequence, record in enumerate(MADE):
            try:
                assert episodes.same(reader.record(sequence), record)
            except DataError:
                assert sequence < kept  # damaged before, and still refused
    assert went_on > 20


def test_forged_records_in_a_journal_are_refused_or_valid(journal):
    """The checksum and MCAP's lengths agree with what a record says; only the record itself is wrong."""
    folder, content, places = journal
    schema, rng, refused = episodes.schema(images=True), np.random.default_rng(3), 0
    for _ in range(1500):
        start, size = places[rng.integers(len(places))]
        forged = sealed(mutate(rng, content[start : start + size]))
        before = content[start - MESSAGE.size : start]
        opcode, _, channel, sequence, log_time, publish_time = MESSAGE.unpack(before)
        before = MESSAGE.pack(opcode, MESSAGE.size - 9 + len(forged), channel, sequence, log_time, publish_time)
        (folder / "00000.mcap").write_bytes(content[: start - MESSAGE.size] + before + forged + content[start + size :])
        try:
            with no_code_runs():
                found = list(JournalReader(folder).records())
        except DataError:
            refused += 1
            continue
        assert len(found) == len(MADE) or (len(found) == len(MADE) - 1 and start == places[-1][0])  # torn, and told
        for record in found:
            if isinstance(record, type(MADE[0])):
                schema.validate(record)
    assert refused > 500


def test_a_file_full_of_false_starts_is_judged_at_once(journal):
    """Each of them claims to be a record that reaches to the end of the file: summing all up would take hours."""
    folder, content, places = journal
    false = b"\x05" + (400_000).to_bytes(8, "little") + b"\x01\x00"
    (folder / "00000.mcap").write_bytes(content[: sum(places[3])] + false * 100_000)
    with pytest.raises(DataError, match="damaged"):
        JournalReader(folder)


@pytest.mark.parametrize("name", ["abc.mcap", "-5.mcap"])
def test_a_file_of_another_name_is_read_and_not_gone_on_with(journal, name):
    folder, _, _ = journal
    (folder / "00000.mcap").rename(folder / name)
    assert JournalReader(folder).next_sequence == len(MADE)
    with pytest.raises(DataError, match="not named"):
        Journal(folder, episodes.schema(images=True))


def test_a_folder_named_as_a_file_is_refused(journal):
    folder, _, _ = journal
    (folder / "00001.mcap").mkdir()
    with pytest.raises(DataError, match="is no file"):
        JournalReader(folder)
