from types import SimpleNamespace

import pytest

import tasks
from robot_rl.config import effective
from robot_rl.data.formats.whole import Written
from robot_rl.demos_command import run_demos


@pytest.mark.parametrize(
    "obs, wanted", [("state", "train reach --demos"), ("pixels", "train reach --obs pixels --demos")]
)
def test_a_recorded_set_comes_with_the_command_that_trains_with_it(tmp_path, monkeypatch, capsys, obs, wanted):
    monkeypatch.setattr("robot_rl.cells.open_env", lambda config: SimpleNamespace(close=lambda: None))
    monkeypatch.setattr("robot_rl.demonstrate.record_demos", lambda *_, **__: [])
    monkeypatch.setattr("robot_rl.demos_command.write_set", lambda *_: Written(21, 3, 0))
    task = tasks.load("reach")
    config = effective(task, {"obs": obs, "demos": "3", "run": tmp_path / "set"})
    assert run_demos(config, task) == 0
    out = capsys.readouterr().out
    assert "3 demonstrations, 21 steps" in out and f"robot-rl {wanted} {tmp_path / 'set'}" in out
