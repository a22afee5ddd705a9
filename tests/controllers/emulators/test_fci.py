"""pylibfranka, as it comes from PyPI, against the emulator in a process of its own."""

import numpy as np
import pylibfranka
import pytest

from controllers.emulators.control import Control
from controllers.emulators.fci import Emulator
from controllers.exceptions import ControllersError

HOME = np.array([0.0, 0.118, 0.0, -2.3937, 0.0, 2.5116, 0.7854])


@pytest.fixture(scope="module")
def emulator():
    with Emulator(task="peg_insert", clock="lockstep") as running:
        yield running


@pytest.fixture
def control(emulator):
    with Control(emulator.address) as control:
        control.fault("release")
        control.fault("clear")
        control.teleport_home()
        control.reset_scene(0)
        yield control


@pytest.fixture
def robot(emulator, control):
    robot = pylibfranka.Robot(emulator.address, pylibfranka.RealtimeConfig.kIgnore)
    robot.automatic_error_recovery()
    load = control.about["payload"]
    robot.set_load(load["mass"], load["centre"], load["inertia"])
    yield robot
    robot.stop()


def hold(robot, cycles, goal=HOME):
    """Joint stiffness towards `goal` for so many cycles; the last state."""
    motion, model = robot.start_torque_control(), robot.load_model()
    for count in range(cycles):
        state, _ = motion.readOnce()
        pull = 100.0 * (goal - state.q) - 20.0 * np.array(state.dq)
        command = pylibfranka.Torques(
            (np.array(model.coriolis(state)) + np.clip(pull, -5, 5) * min(1, count / 50)).tolist()
        )
        command.motion_finished = count == cycles - 1
        motion.writeOnce(command)
    return state


def test_a_client_connects_and_reads_where_the_arm_is(robot):
    state = robot.read_once()
    assert state.robot_mode == pylibfranka.RobotMode.Idle
    np.testing.assert_allclose(state.q, HOME, atol=1e-6)


def test_torque_control_moves_the_arm_in_lockstep_with_its_commands(robot, control):
    goal = HOME + np.array([0.05, 0, 0, 0, 0, 0, 0.05])
    start = control.state()["time"]
    state = hold(robot, 800, goal)
    assert state.control_command_success_rate == 1.0
    np.testing.assert_allclose(state.q, goal, atol=0.01)
    assert control.state()["time"] - start >= 0.8


def test_nobody_answers_where_no_emulator_is():
    with pytest.raises(ControllersError, match="no emulator answers"):
        Control("127.0.250.250")
