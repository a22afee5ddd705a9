import dataclasses

import numpy as np
import pytest

import tasks
from controllers.interface import GripperState, Pose, PoseTarget
from controllers.twin import TwinCell
from robot_rl.resets.scripted import ScriptedReset
from tasks.drawer.task import DOWN, HANDLE, OPEN, SLACK, TRAVEL
from tasks.handle import HIDDEN

DONE = np.array([0.0, -OPEN - HIDDEN - SLACK - 0.001, 0.0])
"""From the shut handle to where the reward counts, m."""
GRIPPED, WIDE = 0.0, 0.036
UP = np.array([0.0, 0.0, 0.06])


@pytest.fixture(scope="module")
def cell():
    cell = TwinCell(tasks.load("drawer"))
    yield cell
    cell.close()


def go(cell, seed, *stations, ticks=25):
    """From a fresh start with drawer shut, through stations (offset from the taught handle, gripper width)."""
    reading = ScriptedReset(cell.task)(cell, seed)
    for offset, width in stations:
        for _ in range(ticks):
            cell.command(PoseTarget(Pose(HANDLE + np.array(offset), DOWN), reading.tick), width)
            reading = cell.wait()
    return reading


def judged(cell, reading):
    return cell.task.reward(reading)[1], cell.task.verify(reading)


def test_the_cabinet_hides_within_five_millimetres_and_its_drawer_is_shut(cell):
    places = []
    for seed in range(100):
        cell.reset_scene(seed)
        reading = cell.read()
        places.append(reading.sim["handle_position"] - HANDLE)
        assert reading.sim["drawer_opening"][0] == 0.0
    largest = np.abs(places).max(axis=0)
    assert (largest[:2] > 0.9 * HIDDEN).all()
    assert (largest <= HIDDEN + 1e-6).all()
    assert largest[2] < 1e-6


@pytest.mark.parametrize("seed", range(6))
def test_grasping_the_taught_handle_and_pulling_opens_it_wherever_it_is(cell, seed):
    around, pulled = (0, 0, 0), (0, -TRAVEL - 0.01, 0)
    reading = go(cell, seed, ((0, 0, 0.05), WIDE), (around, WIDE), (around, GRIPPED), (pulled, GRIPPED))
    assert judged(cell, reading) == (True, True)
    assert reading.sim["drawer_opening"][0] > 0.95 * TRAVEL


def test_a_gripper_that_closes_on_nothing_beyond_the_handle_is_no_success(cell):
    """It goes the way of the pull above the bar, then down where the bar would be, and closes."""
    over = (0, 0, 0.06)
    reading = go(cell, 0, (over, WIDE), (DONE + UP, WIDE), (DONE, WIDE), (DONE, GRIPPED))
    assert np.linalg.norm(reading.arm.pose.position - HANDLE - DONE) < 0.01
    assert judged(cell, reading) == (False, False)


def test_a_bar_that_was_let_go_is_no_success_nor_one_that_was_pushed_shut(cell):
    around, pulled = (0, 0, 0), (0, -TRAVEL - 0.01, 0)
    opened = (((0, 0, 0.05), WIDE), (around, WIDE), (around, GRIPPED), (pulled, GRIPPED))
    left = go(cell, 1, *opened, (pulled, WIDE), ((0, -TRAVEL, 0.06), WIDE))
    assert left.sim["drawer_opening"][0] > OPEN
    assert judged(cell, left) == (False, False)
    pushed = go(cell, 1, *opened, (around, GRIPPED))
    assert pushed.sim["drawer_opening"][0] < 0.02
    assert judged(cell, pushed) == (False, False)


def test_a_drawer_hooked_open_from_behind_the_bar_without_a_grasp_is_no_success(cell):
    """Closed fingers pull the bar along: what they measure does not tell whether it is there. It gets free."""
    behind, away = (0, 0.03, 0), (0, -TRAVEL - 0.01, 0)
    reading = go(cell, 2, ((0, 0.03, 0.06), GRIPPED), (behind, GRIPPED), (away, GRIPPED))
    assert reading.sim["drawer_opening"][0] > 0.5 * TRAVEL
    assert cell.task.reward(reading) == (0.0, False)
    go(cell, 3)


def test_fingers_that_go_as_low_as_they_may_and_press_against_the_bar_come_free(cell):
    for side in (-1, 1):
        go(cell, 4, ((0, 0.045 * side, 0.06), GRIPPED), ((0, 0.045 * side, -0.05), GRIPPED), ((0, 0, -0.05), GRIPPED))
        go(cell, 5)


def test_the_reward_counts_no_wall_no_lifted_hand_and_no_half_way(cell):
    reading = go(cell, 0)
    there = dataclasses.replace(reading.arm.pose, position=HANDLE + DONE)

    def seen(pose, width, grasped=True):
        arm = dataclasses.replace(reading.arm, pose=pose)
        return cell.task.reward(dataclasses.replace(reading, arm=arm, gripper=GripperState(width, grasped)))[1]

    assert seen(there, 0.012)
    assert not seen(there, 0.03)
    assert not seen(there, 0.004)
    assert not seen(there, 0.012, grasped=False)
    assert not seen(dataclasses.replace(there, position=there.position + UP / 2), 0.012)
    assert not seen(dataclasses.replace(there, position=there.position - DONE / 10), 0.012)
