"""Folders that are there as a whole or not at all, whoever is killed while writing them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from robot_rl.data.formats.whole import MARK, refuse_taken, whole, write_set
from robot_rl.data.journal import JournalReader
from robot_rl.exceptions import DataError
from tests.robot_rl.data import episodes

WRITER = """
import sys
from robot_rl.data.formats.whole import write_set
from tests.robot_rl.data import episodes
from pathlib import Path
def steps():
    yield from episodes.stream(8)
    print("half way", flush=True)
    sys.stdin.read()
write_set(Path(sys.argv[1]), episodes.schema(), steps())
"""


@pytest.fixture
def writer(tmp_path):
    """A process in the middle of writing `tmp_path / "set"`."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "set")],
        cwd=Path(__file__).parents[4],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "half way\n"
    yield process
    process.kill()
    process.communicate()


def test_what_a_kill_left_is_removed_by_the_next_command_for_that_folder(writer, tmp_path, caplog):
    with pytest.raises(DataError, match=r"set\.part is there: another command is writing it"):
        write_set(tmp_path / "set", episodes.schema(), episodes.stream(4))
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    assert (tmp_path / "set.part" / "00000.mcap").exists() and not (tmp_path / "set").exists()
    refuse_taken(tmp_path / "set")  # as a dry run does: nothing is removed for it
    assert (tmp_path / "set.part").exists()
    write_set(tmp_path / "set", episodes.schema(), episodes.stream(4))
    assert [record.message for record in caplog.records] == [
        f"{tmp_path / 'set.part'} is what a command that was killed left: removed"
    ]
    assert JournalReader(tmp_path / "set").next_sequence == 4
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    assert not (tmp_path / "set" / MARK).exists()


def test_what_a_kill_left_for_another_folder_is_named(writer, tmp_path, caplog):
    write_set(tmp_path / "other", episodes.schema(), episodes.stream(4))
    assert not caplog.records  # it is being written
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    write_set(tmp_path / "one more", episodes.schema(), episodes.stream(4))
    assert [record.message for record in caplog.records] == [
        f"{tmp_path / 'set.part'} is what a command that was killed left: remove it"
    ]
    assert (tmp_path / "set.part").exists()


def test_a_folder_of_a_person_is_never_removed(tmp_path):
    (tmp_path / "set.part").mkdir()
    (tmp_path / "set.part" / "thesis.txt").write_text("years of work")
    with (
        pytest.raises(DataError, match=r"set\.part is there: .* it is not ours; wait, or move it away"),
        whole(tmp_path / "set"),
    ):
        pytest.fail("it was begun")
    assert (tmp_path / "set.part" / "thesis.txt").exists()
