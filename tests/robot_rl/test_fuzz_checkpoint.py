"""Thousands of damaged and hostile checkpoints, drawn by seed: each is refused with `DataError`, or is what it was."""

import json
import os
import random
import shutil
import struct
import tempfile
from pathlib import Path

import numpy as np
import pytest

from robot_rl.checkpoint import (
    FORMAT,
    MANIFEST,
    Checkpoint,
    newest_checkpoint,
    read_checkpoint,
    save_checkpoint,
    sign,
)
from robot_rl.exceptions import ConfigError, DataError
from robot_rl.learner import Learner
from robot_rl.resume import resume
from tests.robot_rl.learning import SMALL, run_config, transition

ARRAYS = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "n": np.int64([3, 4])}
HOSTILE = [
    None, True, -1, 0, 1, 2**31, 2**63, 2**64, 10**40, -(2**63), 0.5, 1e308, float("nan"), float("inf"), "", "a",
    "../x", "/etc/passwd", "\x00", "\ud800", "F32", [], {}, [[]], [None], {"a": 1}, [1] * 1000, "x" * 100_000,
]  # fmt: skip
IMAGE = (4, 4, 3)


def damage(data: bytes, rng: random.Random, other: bytes) -> bytes:
    """A file's bytes after one mishap."""
    at, length = rng.randrange(len(data)), rng.randrange(1, 40)
    kind = rng.randrange(8)
    if kind == 0:
        return data[:at]
    if kind == 1:
        return data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]
    if kind == 2:
        return data[:at] + rng.randbytes(length) + data[at + length :]
    if kind == 3:
        return data[:at] + rng.randbytes(length) + data[at:]
    if kind == 4:
        return data[:at] + data[at + length :]
    if kind == 5:
        return data[:at] + bytes(len(data) - at)  # a file system that had the length and not yet the blocks
    if kind == 6:
        return data + rng.randbytes(length)
    return other


def replace_somewhere(value, rng: random.Random):
    """`value` with one part of it, at any depth, made hostile, removed or added."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key, kind = rng.choice(sorted(value)), rng.random()
        if kind < 0.05:
            return {k: v for k, v in value.items() if k != key}
        if kind < 0.1:
            return {**value, rng.choice(["x", "", "../x"]): rng.choice(HOSTILE)}
        return {**value, key: replace_somewhere(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.9:
        at = rng.randrange(len(value))
        return [*value[:at], replace_somewhere(value[at], rng), *value[at + 1 :]]
    return rng.choice(HOSTILE)


def forge(path: Path, state) -> None:
    """Put `state` into a checkpoint, with right checksums."""
    content = json.loads(json.loads((path / MANIFEST).read_bytes())["body"])
    (path / MANIFEST).write_bytes(sign({**content, "state": state}))


@pytest.fixture
def folder():
    """In memory where there is such a place: thousands of small files."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as name:
        yield Path(name)


def test_any_damage_to_any_file_is_refused_and_the_one_before_is_used(folder):
    rng = random.Random(0)
    for title in ("first", "second"):
        path = save_checkpoint(folder, title, {"agent": ARRAYS, "policy": b"bytes"}, {"title": title, "k": [1, "a"]})
    whole = {file.name: file.read_bytes() for file in path.iterdir()}
    before = read_checkpoint(path)
    refusals = []
    for _ in range(4000):
        name = rng.choice(sorted(whole))
        (path / name).write_bytes(damage(whole[name], rng, rng.choice(list(whole.values()))))
        try:
            found = read_checkpoint(path)
        except DataError as error:
            refusals.append(str(error))
            if len(refusals) % 20 == 0:
                assert newest_checkpoint(folder).state["title"] == "first"
        else:
            assert (dict(found.files), found.state) == (dict(before.files), before.state)
        (path / name).write_bytes(whole[name])
    assert len(refusals) > 3500 and all(str(path) in refusal for refusal in refusals)


@pytest.mark.parametrize(
    "manifest",
    [
        b"", b"[]", b"null", b"0", b"{}", b'{"sha256": 1, "body": 2}', b'{"body": "{}"}', b"\xff\xfe", b"[" * 200_000,
        b'{"a":' * 100_000, sign({}), sign({"format": FORMAT}), sign({"format": FORMAT, "files": [], "state": {}}),
        sign({"format": FORMAT, "files": {"a": 1}, "state": {}}), sign({"format": FORMAT, "files": {}, "state": 3}),
        sign({"format": FORMAT, "files": {"../other": {"sha256": "", "bytes": 0}}, "state": {}}),
        sign({"format": FORMAT, "files": {"/etc/hostname": {"sha256": "", "bytes": 0}}, "state": {}}),
        sign({"format": FORMAT, "files": {MANIFEST: {"sha256": "", "bytes": 0}}, "state": {}}),
        sign({"format": 10**30, "files": {}, "state": {}}),
    ],
)  # fmt: skip
def test_a_hostile_manifest_is_refused(tmp_path, manifest):
    path = save_checkpoint(tmp_path, "first", {"policy": b"bytes"}, {})
    (path / MANIFEST).write_bytes(manifest)
    with pytest.raises(DataError, match=str(path)):
        read_checkpoint(path)


def test_a_folder_or_a_pipe_in_place_of_a_file_is_refused(tmp_path):
    path = save_checkpoint(tmp_path, "first", {"policy": b"bytes"}, {})
    (path / "policy").unlink()
    (path / "policy").mkdir()
    with pytest.raises(DataError, match="policy is missing"):
        read_checkpoint(path)
    (path / "policy").rmdir()
    os.mkfifo(path / "policy")  # reading it would never end
    with pytest.raises(DataError, match="policy is missing"):
        read_checkpoint(path)


def test_hostile_safetensors_with_right_checksums_are_refused_or_arrays(tmp_path):
    rng = random.Random(1)
    path = save_checkpoint(tmp_path, "first", {"agent": ARRAYS}, {})
    whole = (path / "agent").read_bytes()
    size = struct.unpack("<Q", whole[:8])[0]
    header, body = json.loads(whole[8 : 8 + size]), whole[8 + size :]
    refusals = []
    for index in range(4000):
        if index % 2:
            text = json.dumps(replace_somewhere(header, rng)).encode()
            length = rng.choice([len(text), len(text), len(text), 0, 2**31, 2**63, 2**64 - 1, len(text) + 1])
            forged = struct.pack("<Q", length) + text + body
        else:
            forged = damage(whole, rng, b"")
        try:
            arrays = Checkpoint(path, {"agent": forged}, {}).arrays("agent")
        except DataError as error:
            refusals.append(str(error))
        else:
            assert all(isinstance(array, np.ndarray) and array.nbytes <= len(forged) for array in arrays.values())
    assert len(refusals) > 2000 and all(str(path) in refusal for refusal in refusals)


@pytest.fixture(scope="module", params=[None, IMAGE], ids=["vectors", "images"])
def trained(request, tmp_path_factory):
    """(checkpoint's folder, replay's folder, an example, the steps) of a learner that has died."""
    folder = tmp_path_factory.mktemp("trained")
    steps = [transition(i, image=request.param, step=i % 5, episode=f"e{i // 5}") for i in range(30)]
    demos = [transition(i, actor="expert", image=request.param) for i in range(5)]
    learner = Learner(run_config(), steps[0].observation, 2, demos, replay=folder / "replay")
    learner.receive(steps[:20])
    while learner.ready():
        learner.update_block()
    learner.save(folder / "checkpoints")
    learner.close()
    return folder, steps


def test_a_hostile_state_with_right_checksums_is_refused_or_can_be_learnt_on_from(trained, folder):
    """What restores is whole: it takes in what follows, learns from it, and forgets what is old."""
    run, steps = trained
    rng = random.Random(2)
    (original,) = (run / "checkpoints").iterdir()
    state = read_checkpoint(original).state
    path = folder / original.name
    shutil.copytree(original, path)
    more = {name: [transition(i, actor=name, image=image_of(steps)) for i in range(150)] for name in ("actor0", "new")}
    refusals = []
    for _ in range(100 if image_of(steps) else 400):
        forge(path, replace_somewhere(state, rng))
        learner = Learner(run_config(), steps[0].observation, 2, None, replay=run / "replay")
        try:
            learner.restore(read_checkpoint(path))
        except (DataError, ConfigError) as error:
            refusals.append(str(error))
        else:
            assert len(learner.experience.online) <= SMALL.capacity
            for records in more.values():
                learner.receive(records)
            if learner.ready():
                learner.update_block()
        learner.close()
    assert len(refusals) > 40 and all(str(path) in refusal for refusal in refusals)


def image_of(steps):
    return IMAGE if "wrist" in steps[0].observation else None


def test_damage_anywhere_in_a_run_goes_back_to_what_is_whole(trained, folder):
    """Through `resume`: after any damage to the only checkpoint, what comes back is all of it, or begins anew."""
    run, steps = trained
    rng = random.Random(3)
    (original,) = (run / "checkpoints").iterdir()
    kept = {"whole": 0, "agent": 0, "none": 0}
    for _ in range(60):
        shutil.copytree(run, folder / "run")
        victim = rng.choice(sorted(p for p in (folder / "run" / "checkpoints" / original.name).iterdir()))
        victim.write_bytes(damage(victim.read_bytes(), rng, b"{}"))
        told: list[str] = []
        learner = resume(
            folder / "run" / "checkpoints",
            lambda demos: Learner(run_config(), steps[0].observation, 2, demos, replay=folder / "run" / "replay"),
            lambda: [transition(i, actor="expert", image=image_of(steps)) for i in range(5)],
            told.append,
        )
        found = {(20, 5): "whole", (0, 5): "agent", (0, 0): "none"}[learner.received, learner.version]
        kept[found] += 1
        assert (found == "whole") == (told == []) and len(told) <= 1
        assert found == "whole" or original.name in told[0]
        learner.receive(steps)
        assert learner.received == 30 or found == "none"
        learner.close()
        shutil.rmtree(folder / "run")
    assert kept["agent"] and kept["none"]
