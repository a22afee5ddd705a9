"""The hand's commands over the simulated fingers."""

import pytest

import tasks
from controllers.emulators.gripper import Gripper
from controllers.emulators.wire import Gripped, GripperCommand
from controllers.twin.plant import Plant


@pytest.fixture
def hand():
    return Gripper(Plant(tasks.load("pick_cube")))


def finish(hand, limit=3000):
    """Milliseconds until a command ends, and its status."""
    for count in range(limit):
        hand.plant.push(hand.plant.bias)
        hand.step(0.001)
        if hand.replies:
            return count, hand.replies.pop()[2]
    raise AssertionError("the command never ended")


def test_a_move_takes_the_time_that_its_speed_says(hand):
    hand.start(GripperCommand.MOVE, 1, (0.03, 0.05))
    took, status = finish(hand)
    assert status == Gripped.SUCCESS
    assert 900 < took < 1400
    assert hand.width == pytest.approx(0.03, abs=0.001)


def test_homing_opens_wide(hand):
    hand.start(GripperCommand.MOVE, 1, (0.02, 0.1))
    finish(hand)
    hand.start(GripperCommand.HOMING, 2, ())
    assert finish(hand)[1] == Gripped.SUCCESS
    assert hand.width == pytest.approx(0.08, abs=0.001)


def test_grasping_nothing_is_no_success(hand):
    hand.start(GripperCommand.GRASP, 1, (0.04, 0.005, 0.005, 0.1, 20.0))
    assert finish(hand)[1] == Gripped.UNSUCCESSFUL
    assert not hand.grasped


def test_a_grasp_holds_what_is_between_the_fingers(hand):
    hand.plant.model.opt.gravity[:] = 0.0  # or it falls before the fingers have closed
    between = hand.plant.pose.position
    where = hand.plant.model.joint("cube_free").qposadr[0]
    hand.plant.data.qpos[where : where + 3] = between
    hand.plant.data.qpos[where + 3 : where + 7] = 1.0, 0.0, 0.0, 0.0
    hand.plant.set_state_vector(hand.plant.state_vector())
    hand.start(GripperCommand.GRASP, 1, (0.04, 0.01, 0.01, 0.1, 20.0))
    assert finish(hand)[1] == Gripped.SUCCESS
    assert hand.grasped


def test_a_stop_aborts_and_a_new_command_too(hand):
    hand.start(GripperCommand.MOVE, 1, (0.0, 0.1))
    hand.start(GripperCommand.STOP, 2, ())
    assert hand.replies == [(GripperCommand.MOVE, 1, Gripped.ABORTED), (GripperCommand.STOP, 2, Gripped.SUCCESS)]
    hand.replies.clear()
    hand.start(GripperCommand.MOVE, 3, (0.0, 0.1))
    hand.start(GripperCommand.HOMING, 4, ())
    assert hand.replies == [(GripperCommand.MOVE, 3, Gripped.ABORTED)]


@pytest.mark.parametrize("values", [(0.2, 0.1), (-0.01, 0.1), (0.04, 0.0)])
def test_what_no_hand_can_do_fails(hand, values):
    hand.start(GripperCommand.MOVE, 1, values)
    assert hand.replies[0][2] == Gripped.FAIL


def test_welded_fingers_do_not_reach_another_width():
    hand = Gripper(Plant(tasks.load("peg_insert")))
    assert hand.width == pytest.approx(0.0175)
    hand.start(GripperCommand.MOVE, 1, (0.04, 0.1))
    assert finish(hand)[1] == Gripped.UNSUCCESSFUL
    hand.start(GripperCommand.GRASP, 2, (0.0175, 0.002, 0.002, 0.1, 20.0))
    assert finish(hand)[1] == Gripped.SUCCESS
