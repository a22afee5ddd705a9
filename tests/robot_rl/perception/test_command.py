"""`robot-rl pretrain`."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("torch")

from robot_rl.cli import main
from robot_rl.perception import scenes
from robot_rl.perception.compact import load_compact, read_weights


@pytest.mark.parametrize(
    "arguments,said",
    [
        ([], "needs --out"),
        (["--out", "a", "--frames", "7"], "--frames is '7', but must be a whole number of at least 32."),
        (["--out", "a", "--frames", "many"], "--frames is 'many'"),
        (["--out", "a", "--tasks", "reech"], "did you mean 'reach'"),
        (["--out", "a", "--seed", "-1"], "--seed is '-1'"),
        (["--out", "there.safetensors"], "there.safetensors exists already"),
        (["--out", "no/where"], "folder that does not exist"),
    ],
)
def test_a_mistake_is_one_sentence(arguments, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.safetensors").touch()
    assert main(["pretrain", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


@pytest.mark.egl
def test_32_pictures_become_a_file_that_loads(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(scenes, "POSES", 4)
    path = tmp_path / "own.safetensors"
    assert main(["pretrain", "--out", str(path), "--frames", "32", "--tasks", "pick_cube", "--seed", "3"]) == 0
    said = capsys.readouterr().out
    assert "cube" in said and "wrist" in said and "grasped or not" in said
    load_compact(path)
    about = read_weights(path)[1]
    assert about["command"] == "robot-rl pretrain --frames 32 --tasks pick_cube --seed 3" and about["frames"] == "32"
    assert {e["camera"] for e in json.loads(about["errors"])["randomised"]} == {"wrist", "front"}
    assert [file.name for file in tmp_path.iterdir()] == ["own.safetensors"], "no state of the training is left"
