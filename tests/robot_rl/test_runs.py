import dataclasses
import os
import subprocess
import sys
import uuid

import pytest

from robot_rl.config import LearnerConfig, RunConfig
from robot_rl.exceptions import ConfigError, RunFolderError
from robot_rl.runs import RunFolder, default_path


@pytest.fixture
def config(tmp_path):
    return RunConfig("reach", steps=100, seed=3, run=tmp_path / "a" / "run")


def test_create_makes_every_part_and_open_reads_it_back(config):
    run = RunFolder.create(config)
    for part in (run.checkpoints, run.journal, run.report, run.logs):
        assert part.is_dir()
    assert RunFolder.open(run.path).config() == config


def test_folder_can_be_moved(config, tmp_path):
    RunFolder.create(config).path.rename(tmp_path / "elsewhere")
    assert RunFolder.open(tmp_path / "elsewhere").config().run == tmp_path / "elsewhere"


def test_existing_run_is_never_overwritten(config):
    before = RunFolder.create(config).config_file.read_bytes()
    with pytest.raises(RunFolderError, match="exists; go on with --resume, or name another --run"):
        RunFolder.create(dataclasses.replace(config, seed=9))
    assert RunFolder.open(config.run).config_file.read_bytes() == before


def test_folder_of_something_else_is_refused(config):
    config.run.mkdir(parents=True)
    (config.run / "thesis.tex").write_text("x")
    with pytest.raises(RunFolderError, match="is no run folder"):
        RunFolder.create(config)


def test_file_in_the_way(config):
    config.run.parent.mkdir()
    config.run.write_text("x")
    with pytest.raises(RunFolderError, match="is no run folder"):
        RunFolder.create(config)


def test_empty_folder_is_fine(config):
    config.run.mkdir(parents=True)
    assert RunFolder.create(config).config_file.exists()


def test_folder_that_cannot_be_made(config, tmp_path):
    (tmp_path / "a").write_text("a file where a folder should be")
    with pytest.raises(RunFolderError, match="cannot be made"):
        RunFolder.create(config)


def test_open_of_nothing_names_the_runs_there_are(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunFolderError, match="there is no run folder nope; runs/ holds none"):
        RunFolder.open("nope")
    RunFolder.create(dataclasses.replace(config, run=tmp_path / "runs" / "mine"))
    with pytest.raises(RunFolderError, match="the newest here: runs/mine"):
        RunFolder.open("nope")
    with pytest.raises(RunFolderError, match="holds no config.yaml"):
        RunFolder.open(tmp_path)


def test_default_path(config):
    name = default_path(config).name
    assert name.startswith("reach-")
    assert name.endswith("-seed3")


def test_resume_changes_what_may_change(config):
    run = RunFolder.create(config)
    config = run.resumed({"steps": 200, "transport": "inprocess", "seed": 3, "resume": True, "run": run.path})
    assert (config.steps, config.transport, config.resume) == (200, "inprocess", True)


@pytest.mark.parametrize("overrides", [{"seed": 4}, {"agent": "sac"}, {"learner": {"utd": 9}}, {"demos": "3"}])
def test_resume_refuses_what_makes_it_another_run(config, overrides):
    run = RunFolder.create(config)
    with pytest.raises(ConfigError, match="cannot become"):
        run.resumed(overrides)


def test_resume_takes_values_that_are_the_same(config):
    run = RunFolder.create(config)
    learner = LearnerConfig()
    assert run.resumed({"learner": {"utd": learner.utd}, "demos": config.demos}).steps == 100


def test_one_process_at_a_time(config):
    run = RunFolder.create(config)
    code = f"""
from robot_rl.runs import RunFolder
try:
    with RunFolder.open({str(run.path)!r}).lock():
        print("taken")
except Exception as error:
    print(error)
"""
    command = [sys.executable, "-c", code]
    with run.lock():
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert f"is in use by process {os.getpid()}" in said
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "taken\n"


def test_every_run_has_an_identity_of_its_own_for_ever(config, tmp_path):
    first, second = (RunFolder.create(dataclasses.replace(config, run=tmp_path / name)) for name in "ab")
    assert uuid.UUID(first.identity) != uuid.UUID(second.identity)
    assert RunFolder.open(first.path).identity == first.identity
    (second.path / "identity").unlink()  # a run from before there were any
    assert uuid.UUID(second.identity) == uuid.UUID(second.identity)
    (first.path / "identity").write_text("damaged")
    with pytest.raises(RunFolderError, match="identity holds 'damaged', no UUID"):
        _ = first.identity
