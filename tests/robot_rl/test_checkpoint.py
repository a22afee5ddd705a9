import hashlib
import json
import logging
import resource
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from robot_rl.checkpoint import (
    MANIFEST,
    TEMPORARY,
    best_checkpoint,
    checkpoint_names,
    newest_checkpoint,
    read_checkpoint,
    save_checkpoint,
    set_aside,
)
from robot_rl.exceptions import DataError, DiskError

ARRAYS = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "n": np.int64([3])}


def save(folder: Path, title: str = "a", score: float | None = None, keep: int = 3, **state) -> Path:
    files = {"agent.safetensors": ARRAYS, "policy": b"bytes"}
    return save_checkpoint(folder, title, files, {"title": title, **state}, score=score, keep=keep)


def test_what_was_saved_comes_back(tmp_path):
    large = {"state": 2**127 + 1, "float": 0.1}
    path = save(tmp_path, **large)
    checkpoint = read_checkpoint(path)
    assert checkpoint.state == {"title": "a", "best": None, **large}
    assert checkpoint.files["policy"] == b"bytes"
    for name, values in checkpoint.arrays("agent.safetensors").items():
        np.testing.assert_array_equal(values, ARRAYS[name])
        assert values.dtype == ARRAYS[name].dtype


def test_only_the_last_few_are_kept(tmp_path):
    for i in range(6):
        save(tmp_path, str(i))
    assert checkpoint_names(tmp_path) == ["000004-3", "000005-4", "000006-5"]


def test_the_best_is_kept_too_and_the_newer_of_equals(tmp_path):
    scores = [None, 0.5, 3.0, 1.0, 3.0, 2.0, 0.0, None, None]
    for i, score in enumerate(scores):
        path = save(tmp_path, str(i), score)
    assert checkpoint_names(tmp_path) == ["000005-4", "000007-6", "000008-7", "000009-8"]
    assert read_checkpoint(path).state["best"] == "000005-4"
    best = best_checkpoint(tmp_path)
    assert best is not None and best.path.name == "000005-4"


def test_the_best_is_the_best_that_is_sound(tmp_path):
    assert best_checkpoint(tmp_path) is None
    save(tmp_path, "first", 1.0)
    (save(tmp_path, "second", 2.0) / "policy").write_bytes(b"Bytes")
    best = best_checkpoint(tmp_path)
    assert best is not None and best.state["title"] == "first"
    (tmp_path / "000001-first" / MANIFEST).write_bytes(b"")
    assert best_checkpoint(tmp_path) is None
    assert save(tmp_path, "third").name == "000003-third"  # what cannot be read stands in nobody's way


def test_a_name_is_never_used_again_and_order_is_that_of_saving(tmp_path):
    """After going back to an older checkpoint, new ones come behind those that were left."""
    for i in (5, 6, 7):
        save(tmp_path, f"step-{i}")
    aside = set_aside(tmp_path / "000003-step-7")
    assert aside.is_dir() and checkpoint_names(tmp_path) == ["000001-step-5", "000002-step-6"]
    assert save(tmp_path, "step-7").name == "000004-step-7"
    assert set_aside(tmp_path / "000004-step-7").is_dir()
    assert save(tmp_path, "step-1").name == "000005-step-1"
    newest = newest_checkpoint(tmp_path)
    assert newest is not None and newest.state["title"] == "step-1"


def test_nothing_there_is_no_checkpoint(tmp_path):
    assert newest_checkpoint(tmp_path) is None
    assert newest_checkpoint(tmp_path / "missing") is None


def test_an_interrupted_save_is_ignored_and_cleaned_up(tmp_path):
    save(tmp_path, "first")
    (tmp_path / f"{TEMPORARY}000002-second").mkdir()
    (tmp_path / f"{TEMPORARY}000002-second" / "agent.safetensors").write_bytes(b"half")
    checkpoint = newest_checkpoint(tmp_path)
    assert checkpoint is not None and checkpoint.path.name == "000001-first"
    save(tmp_path, "second")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["000001-first", "000002-second"]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_flipped_byte_is_noticed(tmp_path, data):
    path = save(tmp_path)
    file = path / data.draw(st.sampled_from([MANIFEST, "agent.safetensors", "policy"]))
    content = bytearray(file.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 0x80
    file.write_bytes(content)
    with pytest.raises(DataError, match=str(path)):
        read_checkpoint(path)


@pytest.mark.parametrize("damage", ["truncate", "remove", "manifest", "list"])
def test_a_damaged_newest_is_named_and_the_one_before_used(tmp_path, caplog, damage):
    save(tmp_path, "first")
    newest = save(tmp_path, "second")
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
    assert checkpoint is not None and checkpoint.state["title"] == "first"
    assert str(newest) in caplog.text


def test_damage_in_what_is_not_asked_for_does_not_matter(tmp_path):
    path = save(tmp_path)
    (path / "agent.safetensors").write_bytes(b"")
    checkpoint = newest_checkpoint(tmp_path, only=("policy",))
    assert checkpoint is not None and checkpoint.files == {"policy": b"bytes"}
    (path / "policy").write_bytes(b"Bytes")
    with pytest.raises(DataError, match="every checkpoint"):
        newest_checkpoint(tmp_path, only=("policy",))


def test_all_damaged_is_an_error_that_names_them(tmp_path):
    for title in ("first", "second"):
        (save(tmp_path, title) / MANIFEST).unlink()
    with pytest.raises(DataError, match="000001-first, 000002-second"):
        newest_checkpoint(tmp_path)


def test_a_checkpoint_of_another_format_is_refused(tmp_path):
    path = save(tmp_path)
    body = json.dumps({"files": {}, "state": {}})
    (path / MANIFEST).write_text(json.dumps({"sha256": hashlib.sha256(body.encode()).hexdigest(), "body": body}))
    with pytest.raises(DataError, match="has format 1; this version reads 2"):
        read_checkpoint(path)


def test_a_full_disk_leaves_the_checkpoints_as_they_were(tmp_path):
    save(tmp_path, "before")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300, hard))
        with pytest.raises(DiskError, match=r"000002-after/agent\.safetensors cannot be written .* --resume"):
            save_checkpoint(tmp_path, "after", {"agent.safetensors": {"w": np.zeros(999)}}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in tmp_path.iterdir()] == ["000001-before"]
    assert newest_checkpoint(tmp_path).state["title"] == "before"
    assert save(tmp_path, "after").name == "000002-after"
