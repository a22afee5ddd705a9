import numpy as np
import pytest

import tasks
from controllers.twin import TwinCell
from robot_rl.resets.scripted import ScriptedReset
from tests.tasks.pushing import push


@pytest.mark.parametrize("name", ["pcb_insert", "ram_insert"])
def test_the_socket_hides_within_a_millimetre_and_a_degree_in_yaw_too(name):
    cell, found = TwinCell(tasks.load(name)), []
    rim = cell.task.anchor.position
    for seed in range(100):
        cell.reset_scene(seed)
        site = cell.data.site("socket_rim")
        turn = np.degrees(np.arctan2(site.xmat[3], site.xmat[0]))
        tilt = np.degrees(np.arccos(np.clip(site.xmat[8], -1, 1)))
        found.append([*(np.abs(site.xpos[:2] - rim[:2]) * 1e3), abs(turn), tilt])
    largest = np.max(found, axis=0)
    assert (largest > 0.75).all()
    assert (largest < 1.02).all()


@pytest.mark.parametrize("name", ["pcb_insert", "ram_insert"])
def test_the_turn_that_the_expert_sees_is_that_of_plug_from_socket(name):
    cell = push(name, tasks.load(name).anchor.position + np.array([0.0, 0.0, 0.03]), yaw=0.1, seconds=1.0)
    assert cell.read().sim["plug_turn"][0] == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize("name", ["pcb_insert", "ram_insert"])
def test_a_reset_draws_the_plug_out_again(name):
    cell = push(name, tasks.load(name).anchor.position - np.array([0.0, 0.0, 0.012]))
    assert cell.task.verify(cell.read())
    reading = ScriptedReset(cell.task)(cell, 1)
    assert reading.sim["plug_depth"][0] < 0
