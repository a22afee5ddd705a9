import uuid

import pytest

from robot_rl.data.register import Register, journal_identity
from robot_rl.exceptions import DataError, DiskError

LEFT, RIGHT = (str(uuid.UUID(int=number)) for number in (3, 4))


def test_a_journal_keeps_its_identity_and_another_has_another(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one = journal_identity(tmp_path / "one")
    assert journal_identity(tmp_path / "one") == one == str(uuid.UUID(one))
    assert journal_identity(tmp_path / "two") != one
    (tmp_path / "one").rename(tmp_path / "moved")
    assert journal_identity(tmp_path / "moved") == one


def test_a_damaged_identity_is_refused(tmp_path):
    (tmp_path / "identity").write_bytes(b"\xff nonsense")
    with pytest.raises(DataError, match="which is no UUID; restore it from a copy"):
        journal_identity(tmp_path)


def test_a_register_outlives_its_process(tmp_path):
    path = tmp_path / "register.json"
    register = Register(path)
    assert register.journal("actor0") is None
    register.enter("actor0", LEFT)
    register.enter("actor1", RIGHT)
    register.enter("actor0", LEFT)
    again = Register(path)
    assert (again.journal("actor0"), again.journal("actor1")) == (LEFT, RIGHT)
    assert [file.name for file in tmp_path.iterdir()] == ["register.json"]


@pytest.mark.parametrize("text", ["", "[]", "3", '{"actor0": 3}', '{"actor0": "x"}', '{"actor0"', "\x00"])
def test_a_damaged_register_is_refused(tmp_path, text):
    (tmp_path / "register.json").write_text(text)
    with pytest.raises(DataError, match="is damaged .*; restore it from a copy"):
        Register(tmp_path / "register.json")


def test_a_register_that_cannot_be_written_is_one_sentence(tmp_path):
    register = Register(tmp_path / "gone" / "register.json")
    with pytest.raises(DiskError, match="cannot be written"):
        register.enter("actor0", LEFT)
    assert register.journal("actor0") is None
