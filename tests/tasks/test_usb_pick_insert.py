import dataclasses

import mujoco
import numpy as np
import pytest

import tasks
from controllers.interface import GripperState, Pose, PoseTarget
from controllers.twin import TwinCell
from robot_rl.resets.scripted import ScriptedReset
from tasks.usb_pick_insert.task import CLEARANCE, DEPTH, DOWN, HOLDER, PORT, STANDS, TIP, reward, verify
from tests.tasks.pushing import deepest

UP = np.array([0.0, 0.0, 0.04])
CLOSED, OPEN = 0.0, 0.04
GRIPPED = HOLDER + np.array([0.0, 0.0, STANDS])
BOTTOM = PORT + np.array([0.0, 0.0, TIP - DEPTH - 0.008])


def do(*goals: tuple[np.ndarray, float]) -> TwinCell:
    """From the start, with nothing drawn: the tool to each goal for 1.5 s, with the gripper's opening on the way."""
    cell = TwinCell(tasks.load("usb_pick_insert"), randomise=False)
    reading = ScriptedReset(cell.task)(cell, 0)
    for goal, opening in goals:
        for _ in range(15):
            cell.command(PoseTarget(Pose(goal, DOWN), reading.tick), opening)
            reading = cell.wait()
    return cell


PICK = ((GRIPPED + UP, OPEN), (GRIPPED, OPEN), (GRIPPED, CLOSED), (GRIPPED + UP, CLOSED))


@pytest.fixture(scope="module")
def inserted() -> TwinCell:
    return do(*PICK, (BOTTOM + 2 * UP, CLOSED), (BOTTOM + UP, CLOSED), (BOTTOM, CLOSED))


def test_the_port_is_wider_than_the_plug_by_the_clearance():
    cell = TwinCell(tasks.load("usb_pick_insert"), randomise=False)
    edges = [cell.model.geom(i) for i in range(cell.model.ngeom) if cell.model.geom(i).name.startswith("plug_edge")]
    assert len(edges) == 4
    for axis, wall in ((0, "end0"), (1, "side0")):
        half = abs(cell.data.geom(wall).xpos[axis] - PORT[axis]) - float(cell.model.geom(wall).size[axis])
        plug = np.abs([edge.pos[axis] for edge in edges]).max() + edges[0].size[0]
        assert 2 * (half - plug) == pytest.approx(CLEARANCE, abs=1e-9)


def test_what_is_drawn_stays_within_its_bounds_and_the_plug_stands_in_its_holder():
    cell, found = TwinCell(tasks.load("usb_pick_insert")), []
    for seed in range(50):
        cell.reset_scene(seed)
        sim = cell.read().sim
        assert sim["plug_position"][2] == pytest.approx(GRIPPED[2])
        turn = np.degrees(abs(sim["plug_turn"][0]))
        away = np.abs(sim["plug_position"] - GRIPPED)[:2] * 1e3
        found.append([*away, turn, *(np.abs(sim["socket_position"] - PORT)[:2] * 1e3)])
    assert (np.max(found, axis=0) <= [10, 10, 3.01, 0.5, 0.5]).all()
    assert (np.max(found, axis=0) >= [8, 8, 2.4, 0.4, 0.4]).all()


def test_a_plug_that_is_held_in_the_port_is_a_success_and_penetrates_little(inserted):
    reading = inserted.read()
    assert reward(reading) == (1.0, True)
    assert verify(reading)
    assert 0 < deepest(inserted, "plug_edge") < CLEARANCE / 10


def test_one_that_is_let_go_in_the_port_is_none(inserted):
    reading = inserted.read()
    assert reward(dataclasses.replace(reading, gripper=GripperState(OPEN, False))) == (0.0, False)
    assert reward(dataclasses.replace(reading, gripper=None)) == (0.0, False)


@pytest.mark.parametrize(
    ("drop", "then"),
    [(BOTTOM + UP, OPEN), (BOTTOM + 2 * UP + [0.0, 0.03, 0.0], CLOSED)],
    ids=["over the port", "beside it"],
)
def test_a_plug_that_was_dropped_is_no_success_though_the_hand_goes_where_it_would(drop, then):
    cell = do(*PICK, (GRIPPED + 2 * UP, CLOSED), (drop, CLOSED), (drop, OPEN), (BOTTOM + UP, OPEN), (BOTTOM, then))
    reading = cell.read()
    assert np.linalg.norm(reading.arm.pose.position[:2] - PORT[:2]) < 0.003, "the hand is not over the port"
    assert reward(reading) == (0.0, False)


def test_an_empty_hand_over_the_port_is_no_success():
    cell = do((BOTTOM + UP, OPEN), (BOTTOM, CLOSED))
    assert cell.read().arm.pose.position[2] < PORT[2] + TIP - 0.8 * DEPTH, "the hand is not as low as with a plug"
    assert reward(cell.read()) == (0.0, False)


def test_pressing_the_plug_onto_the_rim_is_no_success():
    cell = do(*PICK, *((BOTTOM + height + [0.004, 0.0, 0.0], CLOSED) for height in (2 * UP, UP, 0 * UP)))
    reading = cell.read()
    assert reading.arm.wrench[2] > 5.0, "the plug does not press"
    assert reading.gripper.grasped
    assert reward(reading) == (0.0, False)


def test_a_plug_that_stands_beside_the_port_is_no_success():
    cell = TwinCell(tasks.load("usb_pick_insert"), randomise=False)
    place = int(cell.model.joint("plug_free").qposadr[0])
    cell.data.qpos[place : place + 3] = [PORT[0], 0.035, TIP]
    mujoco.mj_forward(cell.model, cell.data)
    cell.changed()
    reading = cell.read()
    held = dataclasses.replace(reading, gripper=GripperState(0.008, True))
    assert reading.sim["plug_depth"][0] > DEPTH
    assert reward(held) == (0.0, False)
    assert not verify(held)


def test_the_success_of_an_episode_is_a_true_one(episodes):
    for seed in range(3):
        run = episodes("usb_pick_insert", seed)
        if run.success:
            assert verify(run.readings[-1])
