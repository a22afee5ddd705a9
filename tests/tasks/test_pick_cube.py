import dataclasses

import numpy as np
import pytest

import tasks
from controllers.interface import GripperState
from controllers.twin import TwinCell
from tasks.pick_cube.task import LIFT, NEAR, PLACE, reward, verify


@pytest.fixture(scope="module")
def lying():
    cell = TwinCell(tasks.load("pick_cube"))
    cell.reset_scene(0)
    return cell.read()


def lifted(reading, height: float, aside: float, grasped: bool = True):
    sim = {"cube_position": PLACE + np.array([0.0, 0.0, height]), "cube_from_tool": np.array([aside, 0.0, 0.0])}
    return dataclasses.replace(reading, gripper=GripperState(0.04, grasped), sim=sim)


def test_a_cube_that_lies_is_not_picked(lying):
    assert reward(lying) == (0.0, False)
    assert not verify(lying)


def test_a_cube_between_the_fingers_counts_once_it_is_high_enough(lying):
    assert reward(lifted(lying, LIFT + 0.001, 0.01)) == (1.0, True)
    assert reward(lifted(lying, LIFT - 0.001, 0.01)) == (0.0, False)


def test_a_cube_that_hangs_far_out_or_flies_is_no_success(lying):
    hanging = lifted(lying, LIFT + 0.01, NEAR + 0.001)
    assert reward(hanging) == (0.0, False)
    assert not verify(hanging)
    assert reward(lifted(lying, LIFT + 0.01, 0.01, grasped=False)) == (0.0, False)
