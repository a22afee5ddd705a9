import json
import logging
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from robot_rl.checkpoint import MANIFEST, TEMPORARY, newest_checkpoint, read_checkpoint, save_checkpoint
from robot_rl.exceptions import DataError

ARRAYS = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "n": np.int64([3])}


def save(folder: Path, name: str, **state) -> Path:
    return save_checkpoint(folder, name, {"agent.safetensors": ARRAYS, "policy": b"bytes"}, {"name": name, **state})


def test_what_was_saved_comes_back(tmp_path):
    large = {"state": 2**127 + 1, "float": 0.1}
    path = save(tmp_path, "1", **large)
    checkpoint = read_checkpoint(path)
    assert checkpoint.state == {"name": "1", **large}
    assert checkpoint.files["policy"] == b"bytes"
    for name, values in checkpoint.arrays("agent.safetensors").items():
        np.testing.assert_array_equal(values, ARRAYS[name])
        assert values.dtype == ARRAYS[name].dtype


def test_only_the_last_few_are_kept(tmp_path):
    for i in range(6):
        save(tmp_path, f"{i:03d}")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["003", "004", "005"]


def test_saving_again_under_a_name_replaces(tmp_path):
    save(tmp_path, "1", x=1)
    save(tmp_path, "1", x=2)
    checkpoint = newest_checkpoint(tmp_path)
    assert checkpoint is not None and checkpoint.state["x"] == 2


def test_nothing_there_is_no_checkpoint(tmp_path):
    assert newest_checkpoint(tmp_path) is None
    assert newest_checkpoint(tmp_path / "missing") is None


def test_an_interrupted_save_is_ignored_and_cleaned_up(tmp_path):
    save(tmp_path, "1")
    (tmp_path / f"{TEMPORARY}2").mkdir()
    (tmp_path / f"{TEMPORARY}2" / "agent.safetensors").write_bytes(b"half")
    checkpoint = newest_checkpoint(tmp_path)
    assert checkpoint is not None and checkpoint.path.name == "1"
    save(tmp_path, "3")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["1", "3"]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_flipped_byte_is_noticed(tmp_path, data):
    path = save(tmp_path, "1")
    file = path / data.draw(st.sampled_from([MANIFEST, "agent.safetensors", "policy"]))
    content = bytearray(file.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 0x80
    file.write_bytes(content)
    with pytest.raises(DataError, match=str(path)):
        read_checkpoint(path)


@pytest.mark.parametrize("damage", ["truncate", "remove", "manifest", "list"])
def test_a_damaged_newest_is_named_and_the_one_before_used(tmp_path, caplog, damage):
    save(tmp_path, "1")
    newest = save(tmp_path, "2")
    if damage == "truncate":
        (newest / "agent.safetensors").write_bytes((newest / "agent.safetensors").read_bytes()[:-4])
    elif damage == "remove":
        (newest / "policy").unlink()
    elif damage == "manifest":
        (newest / MANIFEST).write_text("{")
    else:
        (newest / MANIFEST).write_text(json.dumps([1]))
    with caplog.at_level(logging.WARNING):
        checkpoint = newest_checkpoint(tmp_path)
    assert checkpoint is not None and checkpoint.path.name == "1"
    assert str(newest) in caplog.text


def test_damage_in_what_is_not_asked_for_does_not_matter(tmp_path):
    path = save(tmp_path, "1")
    (path / "agent.safetensors").write_bytes(b"")
    checkpoint = newest_checkpoint(tmp_path, only=("policy",))
    assert checkpoint is not None and checkpoint.files == {"policy": b"bytes"}
    (path / "policy").write_bytes(b"Bytes")
    with pytest.raises(DataError, match="every checkpoint"):
        newest_checkpoint(tmp_path, only=("policy",))


def test_all_damaged_is_an_error_that_names_them(tmp_path):
    for name in ("1", "2"):
        (save(tmp_path, name) / MANIFEST).unlink()
    with pytest.raises(DataError, match="1, 2"):
        newest_checkpoint(tmp_path)
