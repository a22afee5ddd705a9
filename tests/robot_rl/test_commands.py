import dataclasses
from types import SimpleNamespace

import pytest

import tasks
from robot_rl.byhand import recording_of
from robot_rl.config import effective
from robot_rl.data.formats.whole import Written
from robot_rl.data.journal import read_journal
from robot_rl.demos_command import run_demos


@pytest.mark.parametrize(
    "obs, wanted", [("state", "train reach --demos"), ("pixels", "train reach --obs pixels --demos")]
)
def test_a_recorded_set_comes_with_the_command_that_trains_with_it(tmp_path, monkeypatch, capsys, obs, wanted):
    monkeypatch.setattr("robot_rl.cells.open_env", lambda config: SimpleNamespace(close=lambda: None))
    monkeypatch.setattr("robot_rl.demonstrate.record_into", lambda *_, **__: 3)
    monkeypatch.setattr("robot_rl.byhand.make_set", lambda *_: Written(21, 3, 0))
    task = tasks.load("reach")
    config = effective(task, {"obs": obs, "demos": "3", "run": tmp_path / "set"})
    assert run_demos(config, task) == 0
    out = capsys.readouterr().out
    assert "3 demonstrations, 21 steps" in out and f"robot-rl {wanted} {tmp_path / 'set'}" in out


def test_a_set_that_was_stopped_goes_on(tmp_path, monkeypatch, capsys):
    from robot_rl import demonstrate

    task = tasks.load("reach")
    config = effective(task, {"transport": "inprocess", "demos": "3"})
    assert run_demos(dataclasses.replace(config, run=tmp_path / "whole"), task) == 0
    record = demonstrate.record_into
    stops = iter([False, True])
    monkeypatch.setattr(demonstrate, "record_into", lambda *a, **k: record(*a, **k | {"stop": lambda: next(stops)}))
    parts = dataclasses.replace(config, run=tmp_path / "parts")
    assert run_demos(parts, task) == 130
    err = capsys.readouterr().err.replace("\n", "")
    assert "1 of 3 are kept in" in err and recording_of(parts.run).is_dir() and not parts.run.exists()
    monkeypatch.setattr(demonstrate, "record_into", record)
    assert run_demos(parts, task) == 0
    assert not recording_of(parts.run).exists()
    whole, again = (list(read_journal(tmp_path / name)) for name in ("whole", "parts"))
    assert [step.sequence for step in again] == list(range(len(again)))
    assert sum(step.success for step in again) == len({step.episode for step in again}) == 3
    ends = [next(i for i, step in enumerate(steps) if step.success) for steps in (whole, again)]
    first = [
        [step.action.tobytes() for step in steps[: end + 1]] for steps, end in zip((whole, again), ends, strict=True)
    ]
    assert first[0] == first[1]  # of the episode that was there already
