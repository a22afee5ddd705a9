import importlib
from pathlib import Path

import numpy as np
import pytest

import tasks
from controllers import spatial
from controllers.twin import TwinCell


def test_an_unknown_task_is_refused_with_the_choices():
    sentence = r"no task 'peg_insrt' \(did you mean 'peg_insert'\?\); choose one of .*peg_insert,"
    with pytest.raises(tasks.UnknownTask, match=sentence):
        tasks.load("peg_insrt")


@pytest.mark.parametrize("name", tasks.names())
def test_a_task_hangs_together(name):
    task = tasks.load(name)
    assert task.name == name
    folder = Path(importlib.import_module(f"tasks.{name}").__file__).parent
    assert (folder / "README.md").is_file()
    low, high = task.workspace.low, task.workspace.high
    reach = task.start_noise[:3]
    assert (task.start.position - reach >= low).all(), "a start pose lies outside the workspace"
    assert (task.start.position + reach <= high).all(), "a start pose lies outside the workspace"
    arm = TwinCell(task).read().arm
    away = np.abs(arm.pose.position - task.start.position)
    assert away.max() < 0.03, f"home is {away} m from the start pose"
    turn = spatial.log(spatial.multiply(spatial.conjugate(task.start.quaternion), arm.pose.quaternion))
    assert np.linalg.norm(turn) < 0.05


@pytest.mark.parametrize("name", tasks.names())
def test_the_expert_succeeds_and_an_idle_arm_does_not(name, episodes):
    runs = [episodes(name, seed) for seed in range(5)]
    assert sum(run.success for run in runs) >= 4
    assert not episodes(name, 0, act=lambda env: np.zeros(env.action_space.shape, np.float32)).success
