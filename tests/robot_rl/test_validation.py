import dataclasses

import pytest

import tasks
from robot_rl.cells import check_cell, open_backend
from robot_rl.cli import main
from robot_rl.config import RunConfig, effective
from robot_rl.exceptions import ConfigError
from tasks.domain import Domain


@pytest.mark.parametrize(
    "options, said",
    [
        (["reach", "--cell", "emulated_fr3"], "robot is franka, whose world nobody draws; give --robot twin"),
        (["gym:Pendulum-v1"], "task gym:Pendulum-v1 describes no domain; leave it out"),
    ],
)
def test_a_world_that_nobody_can_draw_is_refused(capsys, options, said):
    assert main(["train", *options, "--randomise", "--dry-run"]) == 2
    assert f"randomise is on, but {said}" in capsys.readouterr().err


def test_a_task_without_a_domain_is_refused(monkeypatch):
    bare = dataclasses.replace(tasks.load("reach"), domain=Domain())
    monkeypatch.setattr("robot_rl.cells.task_of", lambda config: bare)
    with pytest.raises(ConfigError, match="task reach describes no domain; leave it out, or describe one"):
        check_cell(RunConfig("reach", randomise=True, demos="0"))


def test_the_option_opens_the_cell_with_the_task_s_domain():
    task = tasks.load("reach")
    for wanted in (False, True):
        cell = open_backend(effective(task, {"randomise": wanted}), task)
        assert cell.plant.domain == (task.domain if wanted else None)
        cell.close()
