"""The robot's own controllers: as stiff as they were told, and on the path that was commanded."""

import numpy as np
import pytest

from benchmarks.reflexes import MIDDLE, place, raised, resting_robot, send
from controllers.emulators.wire import Command, Controller, Generator, Mode

HAND = "fr3_hand"


@pytest.fixture(scope="module")
def robot():
    robot = resting_robot()
    robot.configure(Command.SET_COLLISION_BEHAVIOR, np.full(52, 100.0))
    return robot


def pushed(robot, controller, force):
    """How far the hand gives way, m, to a force (3,) in N on it, held in place by a controller."""
    place(robot, MIDDLE)
    hand = robot.plant.model.body(HAND).id
    generator = Generator.CARTESIAN_POSITION
    robot.move(0, controller, generator - 1, False)
    pose = robot.memory.state.O_T_EE_c.copy()
    for count in range(1500):
        point = robot.memory.state.O_T_EE[12:15] - robot.plant.data.xipos[hand]
        robot.plant.data.xfrc_applied[hand, :3] = force * min(1.0, count / 200)
        robot.plant.data.xfrc_applied[hand, 3:] = np.cross(point, robot.plant.data.xfrc_applied[hand, :3])
        send(robot, O_T_EE_c=pose)
    assert robot.mode == Mode.MOVE, raised(robot)
    robot.plant.data.xfrc_applied[hand] = 0.0
    moved = robot.memory.state.O_T_EE[12:15] - pose[12:15]
    send(robot, O_T_EE_c=pose, motion_finished=1)
    return moved


@pytest.mark.parametrize("stiffness", [400.0, 1500.0])
def test_the_cartesian_controller_is_as_stiff_as_it_was_told(robot, stiffness):
    robot.configure(Command.SET_CARTESIAN_IMPEDANCE, np.array([stiffness] * 3 + [100.0] * 3))
    for axis in np.eye(3):
        moved = pushed(robot, Controller.CARTESIAN_IMPEDANCE, 5.0 * axis)
        assert moved @ axis == pytest.approx(5.0 / stiffness, rel=0.1)


def test_the_cartesian_controller_is_stiff_along_the_stiffness_frame(robot):
    robot.configure(Command.SET_CARTESIAN_IMPEDANCE, np.array([300.0, 3000.0, 3000.0, 100.0, 100.0, 100.0]))
    place(robot, MIDDLE)
    tool = robot.memory.state.O_T_EE.reshape(4, 4).T[:3, :3].copy()
    moved = tool.T @ pushed(robot, Controller.CARTESIAN_IMPEDANCE, tool @ np.array([5.0, 0.0, 0.0]))
    np.testing.assert_allclose(moved, [5.0 / 300.0, 0.0, 0.0], atol=2e-3)


def test_softer_joints_give_way_further(robot):
    force = np.array([0.0, 0.0, -10.0])
    robot.configure(Command.SET_JOINT_IMPEDANCE, np.full(7, 2000.0))
    stiff = np.linalg.norm(pushed(robot, Controller.JOINT_IMPEDANCE, force))
    robot.configure(Command.SET_JOINT_IMPEDANCE, np.full(7, 500.0))
    soft = np.linalg.norm(pushed(robot, Controller.JOINT_IMPEDANCE, force))
    assert soft / stiff == pytest.approx(4.0, rel=0.1)
    robot.configure(Command.SET_JOINT_IMPEDANCE, np.array([3000.0] * 3 + [2500.0] * 2 + [2000.0] * 2))


@pytest.mark.parametrize("controller", [Controller.JOINT_IMPEDANCE, Controller.CARTESIAN_IMPEDANCE])
@pytest.mark.parametrize("generator", [Generator.CARTESIAN_POSITION, Generator.CARTESIAN_VELOCITY])
def test_a_commanded_path_is_followed(robot, controller, generator):
    """A smooth stroke of 25 mm in a second; the arm is within half a millimetre of it throughout."""
    place(robot, MIDDLE)
    robot.configure(Command.SET_CARTESIAN_IMPEDANCE, np.array([2000.0] * 3 + [200.0] * 3))
    start = robot.memory.state.O_T_EE_c.copy()
    robot.move(0, controller, generator - 1, False)
    for count in range(1001):
        phase = 2 * np.pi * count / 1000
        pose, twist = start.copy(), np.zeros(6)
        pose[12] += 0.025 * (phase - np.sin(phase)) / (2 * np.pi)
        twist[0] = 0.025 * (1 - np.cos(phase))
        send(robot, O_T_EE_c=pose, O_dP_EE_c=twist)
        assert robot.mode == Mode.MOVE, raised(robot)
        assert abs(robot.memory.state.O_T_EE_c[12] - pose[12]) < 1e-4
        assert np.abs(robot.memory.state.O_T_EE[12:15] - robot.memory.state.O_T_EE_c[12:15]).max() < 5e-4
    send(robot, O_T_EE_c=pose, motion_finished=1)
    assert robot.mode == Mode.IDLE
    assert robot.memory.state.O_T_EE[12] - start[12] == pytest.approx(0.025, abs=5e-4)


def test_a_commanded_elbow_moves_and_the_hand_stays(robot):
    place(robot, MIDDLE)
    start, elbow = robot.memory.state.O_T_EE_c.copy(), robot.memory.state.elbow_c.copy()
    robot.move(0, Controller.JOINT_IMPEDANCE, Generator.CARTESIAN_POSITION - 1, False)
    for count in range(1001):
        angle = 0.1 * (count / 1000 - np.sin(2 * np.pi * count / 1000) / (2 * np.pi))
        send(robot, O_T_EE_c=start, elbow_c=elbow + np.array([angle, 0.0]), valid_elbow=1)
        assert robot.mode == Mode.MOVE, raised(robot)
    assert robot.memory.state.q[2] == pytest.approx(0.1, abs=2e-3)
    np.testing.assert_allclose(robot.memory.state.O_T_EE[12:15], start[12:15], atol=1e-3)
    send(robot, O_T_EE_c=start, motion_finished=1)
