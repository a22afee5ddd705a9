import errno
import os
import resource
from pathlib import Path

import numpy as np
import pytest

from robot_rl.data.replay.store import FileColumn, MemoryColumn, reserve
from robot_rl.exceptions import DataError


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_reserved_memory_is_taken_when_it_is_written():
    before = resident()
    rows = reserve(10_000_000, (128, 128, 3), np.uint8)  # half a terabyte
    rows[:100] = 7
    assert rows[99, 5, 5, 1] == 7 and rows[9_999_999].sum() == 0
    assert resident() - before < 50e6


@pytest.mark.parametrize("make", ["memory", "file"])
def test_rows_are_read_as_they_were_written(tmp_path, make):
    column = (
        MemoryColumn(2000, (3,), "<f4") if make == "memory" else FileColumn(tmp_path / "x", (3,), "<f4", fresh=True)
    )
    rng = np.random.default_rng(0)
    true = {int(number): rng.normal(size=3).astype(np.float32) for number in rng.permutation(2000)[:900]}
    for number, value in true.items():
        column.write(number, value[::-1][::-1])
    assert column.rows.dtype == np.float32
    for number, value in true.items():
        np.testing.assert_array_equal(column.rows[number], value)
    column.sync()
    column.close()


def test_a_file_is_gone_on_with_unless_fresh(tmp_path):
    column = FileColumn(tmp_path / "x", (), "<u4", fresh=True)
    column.write(5, np.array(17, np.uint32))
    column.close()
    again = FileColumn(tmp_path / "x", (), "<u4", fresh=False)
    assert again.rows[5] == 17 and again.rows[4] == 0
    again.close()
    assert not len(FileColumn(tmp_path / "x", (), "<u4", fresh=True).rows)


def test_rows_cannot_be_changed_through_the_mapping(tmp_path):
    column = FileColumn(tmp_path / "x", (2,), "u1", fresh=True)
    column.write(0, np.ones(2, np.uint8))
    with pytest.raises(ValueError, match="read-only"):
        column.rows[0] = 3


def test_a_missing_and_a_torn_file_are_named(tmp_path):
    with pytest.raises(DataError, match="x does not open"):
        FileColumn(tmp_path / "x", (2,), "<f4", fresh=False)
    (tmp_path / "x").write_bytes(bytes(17))
    with pytest.raises(DataError, match="17 bytes"):
        FileColumn(tmp_path / "x", (2,), "<f4", fresh=False)


def test_a_full_disk_is_an_error_and_harms_no_row(tmp_path, monkeypatch):
    column = FileColumn(tmp_path / "x", (4,), "u1", fresh=True)
    column.write(0, np.full(4, 9, np.uint8))

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(DataError, match="No space left"):
        column.write(1, np.ones(4, np.uint8))
    monkeypatch.setattr(os, "ftruncate", full)
    with pytest.raises(DataError, match="free space"):
        column.write(10_000, np.ones(4, np.uint8))
    monkeypatch.undo()
    column.write(1, np.ones(4, np.uint8))
    np.testing.assert_array_equal(column.rows[:2], [[9] * 4, [1] * 4])
