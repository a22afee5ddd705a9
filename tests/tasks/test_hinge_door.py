import dataclasses

import numpy as np
import pytest

import tasks
from controllers.interface import GripperState, Pose, PoseTarget
from controllers.twin import TwinCell
from robot_rl.resets.scripted import ScriptedReset
from tasks.handle import HIDDEN
from tasks.hinge_door.task import DOWN, HANDLE, HINGE, MARGIN, OPEN, about_hinge

GRIPPED, WIDE = 0.0, 0.036
ABOVE = np.array([0.0, 0.0, 0.06])


def at(degrees: float, behind: float = 0.0) -> np.ndarray:
    """Where the taught bar is at an angle of the door, or so far behind it, m in base."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return HINGE + np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]) @ (HANDLE - HINGE + [0, behind, 0])


OPENING = [(at(angle), GRIPPED) for angle in (0, 12, 24, 36, 50)]
GRASP = [(HANDLE + ABOVE, WIDE), (HANDLE, WIDE), *OPENING]


@pytest.fixture(scope="module")
def cell():
    cell = TwinCell(tasks.load("hinge_door"))
    yield cell
    cell.close()


def go(cell, seed, *stations, ticks=12):
    """From a fresh start with the door shut, through stations (tool point, gripper width)."""
    reading = ScriptedReset(cell.task)(cell, seed)
    for place, width in stations:
        for _ in range(ticks):
            cell.command(PoseTarget(Pose(place, DOWN), reading.tick), width)
            reading = cell.wait()
    return reading


def judged(cell, reading):
    return cell.task.reward(reading)[1], cell.task.verify(reading)


def test_the_angle_about_the_taught_hinge_is_the_door_s():
    for degrees in (0, 20, 43, 70):
        angle, away = about_hinge(at(degrees))
        assert np.degrees(angle) == pytest.approx(degrees, abs=1e-9)
        assert away == pytest.approx(0, abs=1e-12)
    assert about_hinge(at(-10))[0] < 0


def test_the_cabinet_hides_within_five_millimetres_and_its_door_is_shut(cell):
    places = []
    for seed in range(100):
        cell.reset_scene(seed)
        reading = cell.read()
        places.append(reading.sim["handle_position"] - HANDLE)
        assert reading.sim["door_angle"][0] == 0.0
    largest = np.abs(places).max(axis=0)
    assert (largest[:2] > 0.9 * HIDDEN).all()
    assert (largest <= HIDDEN + 1e-6).all()


def test_the_margin_covers_the_hidden_place_and_a_bar_off_the_tool_point():
    """At the angle that is rewarded the true door, wherever it stands, is open."""
    off = HIDDEN * np.array([[x, y, 0] for x in (-1, 1) for y in (-1, 1)])
    for moved in off:
        true = about_hinge(at(np.degrees(OPEN + MARGIN)) - moved)[0]
        assert true > OPEN


@pytest.mark.parametrize("seed", range(6))
def test_grasping_the_taught_handle_and_leading_it_round_opens_it_wherever_it_is(cell, seed):
    reading = go(cell, seed, *GRASP)
    assert judged(cell, reading) == (True, True)


def test_the_catch_holds_against_less_than_ten_newtons(cell):
    """A push at the bar, in the direction of opening, at the keeper's distance from the hinge."""
    ScriptedReset(cell.task)(cell, 0)
    hinge, lever = cell.data.joint("door_hinge"), 0.222
    for force, opens in ((8.0, False), (13.0, True)):
        cell.reset_scene(0)
        hinge.qfrc_applied[0] = force * lever
        cell.advance(500)
        hinge.qfrc_applied[0] = 0.0
        assert (hinge.qpos[0] > 0.05) == opens, force


def test_a_gripper_that_closes_on_nothing_where_the_bar_would_be_is_no_success(cell):
    there = at(45)
    reading = go(cell, 0, (HANDLE + ABOVE, WIDE), (there + ABOVE, WIDE), (there, WIDE), (there, GRIPPED), ticks=20)
    assert np.linalg.norm(reading.arm.pose.position - there) < 0.01
    assert judged(cell, reading) == (False, False)


def test_a_door_that_was_let_go_or_shut_again_is_no_success(cell):
    left = go(cell, 1, *GRASP, (at(50), WIDE), (at(50) + ABOVE, WIDE))
    assert left.sim["door_angle"][0] > OPEN
    assert judged(cell, left) == (False, False)
    shut = go(cell, 1, *GRASP, *reversed(OPENING))
    assert shut.sim["door_angle"][0] < 0.1
    assert judged(cell, shut) == (False, False)


def test_a_door_pushed_open_by_closed_fingers_or_by_another_part_is_no_success(cell):
    """Between door and bar, fingers together, the hand leads the door round: it holds nothing. It gets free."""
    inner = [(at(angle, behind=0.02), GRIPPED) for angle in (0, 12, 24, 36, 50)]
    pushed = go(cell, 2, (inner[0][0] + ABOVE, GRIPPED), *inner)
    assert pushed.sim["door_angle"][0] > 0.3
    assert cell.task.reward(pushed) == (0.0, False)
    go(cell, 3)
    cell.data.joint("door_hinge").qpos[0] = np.radians(60)  # as if something else had opened it: a link, a draught
    cell.advance(50)
    reading = cell.read()
    assert reading.sim["door_angle"][0] > OPEN
    assert judged(cell, reading) == (False, False)


def test_the_reward_asks_for_the_bar_on_its_circle(cell):
    reading = go(cell, 0)

    def seen(place, width=0.012, grasped=True):
        pose = dataclasses.replace(reading.arm.pose, position=np.asarray(place))
        arm = dataclasses.replace(reading.arm, pose=pose)
        return cell.task.reward(dataclasses.replace(reading, arm=arm, gripper=GripperState(width, grasped)))[1]

    assert seen(at(44))
    assert not seen(at(41))
    assert not seen(at(44), width=0.022)
    assert not seen(at(44), grasped=False)
    assert not seen(at(44) + ABOVE / 2)
    assert not seen(HINGE + 1.15 * (at(44) - HINGE) * [1, 1, 0] + [0, 0, HANDLE[2]])
