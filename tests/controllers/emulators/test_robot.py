"""The robot's modes, motions and settings, without a network."""

import numpy as np
import pytest

from benchmarks.reflexes import MIDDLE, place, raised, resting_robot, send, start
from controllers.emulators import wire
from controllers.emulators.wire import Answered, Command, Controller, Generator, Mode, Moved


@pytest.fixture(scope="module")
def made():
    return resting_robot()


@pytest.fixture
def robot(made):
    made.user_stop(False)
    made.abort(Moved.ABORTED)
    made.recover()
    made.configure(Command.SET_LOAD, np.zeros(13))
    made.configure(Command.SET_NE_TO_EE, np.eye(4).ravel())
    place(made, MIDDLE)
    made.replies.clear()
    return made


def rest(robot, count):
    for _ in range(count):
        robot.cycle(None)


def test_it_holds_still_by_itself(robot):
    rest(robot, 500)
    assert robot.settled
    np.testing.assert_allclose(robot.memory.state.q, MIDDLE, atol=1e-5)


def test_without_a_load_the_torque_is_the_weight_of_arm_and_hand(robot):
    rest(robot, 500)
    np.testing.assert_allclose(robot.memory.state.tau_J, robot.plant.arms[0].gravity, atol=1e-3)
    np.testing.assert_allclose(robot.memory.state.tau_ext_hat_filtered, 0.0, atol=1e-9)


def test_a_load_that_is_not_there_lifts_the_arm_and_is_felt(robot):
    robot.configure(Command.SET_LOAD, np.array([1.0, 0, 0, 0.1] + [0.0] * 9))
    rest(robot, 1000)
    assert robot.memory.state.O_F_ext_hat_K[2] == pytest.approx(-9.81, abs=0.01)
    assert robot.memory.state.O_T_EE[14] > 0.0


def test_a_motion_ends_where_its_client_ends_it(robot):
    start(robot, Generator.JOINT_POSITION)
    assert robot.mode == Mode.MOVE
    send(robot, q_c=robot.memory.state.q_d)
    send(robot, q_c=robot.memory.state.q_d, motion_finished=1)
    assert robot.replies == [(0, Moved.SUCCESS)]
    assert robot.mode == Mode.IDLE


@pytest.mark.parametrize(
    "controller, generator, asynchronous",
    [(Controller.JOINT_IMPEDANCE, Generator.NONE, False), (Controller.OTHER, Generator.NONE, False),
     (Controller.EXTERNAL, 9, False), (Controller.JOINT_IMPEDANCE, Generator.JOINT_POSITION, True)],
)  # fmt: skip
def test_a_motion_that_there_is_not_is_refused(robot, controller, generator, asynchronous):
    assert robot.move(1, controller, generator - 1, asynchronous) == Moved.INVALID_ARGUMENT
    assert robot.mode == Mode.IDLE


def test_a_reflex_refuses_motion_until_it_is_recovered_from(robot):
    robot.reflex(wire.ERRORS.index("joint_reflex"))
    assert robot.move(1, Controller.EXTERNAL, Generator.NONE - 1, False) == Moved.NOT_POSSIBLE
    assert robot.recover() == Answered.SUCCESS
    assert robot.move(1, Controller.EXTERNAL, Generator.NONE - 1, False) == Moved.STARTED


def test_the_reason_of_a_reflex_outlives_recovery(robot):
    start(robot)
    send(robot, tau_J_d=np.full(7, 5.0))
    assert raised(robot) == ["controller_torque_discontinuity"]
    assert robot.replies == [(0, Moved.REFLEX)]
    robot.recover()
    assert not robot.packer.flags["errors"].any()
    assert raised(robot) == ["controller_torque_discontinuity"]


def test_the_user_stop_ends_a_motion_and_refuses_recovery(robot):
    start(robot)
    send(robot, tau_J_d=robot.memory.state.tau_J_d)
    robot.user_stop(True)
    assert robot.replies == [(0, Moved.EMERGENCY)]
    assert robot.mode == Mode.USER_STOPPED
    assert robot.recover() == wire.RECOVERY_EMERGENCY
    robot.user_stop(False)
    assert robot.mode == Mode.IDLE


def test_a_moving_arm_is_braked_by_a_reflex(robot):
    place(robot, MIDDLE, np.array([1.0, 0.3, 0.5, 0.5, 0.5, 0.5, 0.5]))
    start(robot)
    send(robot, tau_J_d=robot.memory.work.coriolis + robot.memory.state.tau_J_d + 5.0)
    rest(robot, 400)
    assert robot.settled
    assert np.abs(robot.memory.state.q - MIDDLE).max() < 0.1


def test_missing_commands_are_bridged_at_constant_acceleration(robot):
    place(robot, MIDDLE, np.array([0.1] + [0.0] * 6))
    start(robot, Generator.JOINT_VELOCITY)
    send(robot, dq_c=robot.memory.state.dq_d)
    before = robot.memory.state.q_d[0]
    rest(robot, 5)
    assert robot.memory.state.q_d[0] - before == pytest.approx(0.1 * 0.005, rel=1e-6)
    assert robot.packer.flags["control_command_success_rate"] == pytest.approx(1 / 6)


def test_a_motion_waits_for_its_first_command_but_not_for_ever(robot):
    start(robot)
    rest(robot, 499)
    assert robot.mode == Mode.MOVE
    rest(robot, 1)
    assert raised(robot) == ["communication_constraints_violation"]


def test_a_first_position_must_be_where_the_arm_is(robot):
    start(robot, Generator.JOINT_POSITION)
    send(robot, q_c=robot.memory.state.q_d + 0.05)
    assert raised(robot) == ["joint_position_motion_generator_start_pose_invalid"]


def test_a_first_pose_must_be_where_the_hand_is(robot):
    start(robot, Generator.CARTESIAN_POSITION)
    pose = robot.memory.state.O_T_EE_c.copy()
    pose[12] += 0.02
    send(robot, O_T_EE_c=pose)
    assert raised(robot) == ["cartesian_position_motion_generator_start_pose_invalid"]


@pytest.mark.parametrize("spoil", [0.0, 2.0, np.nan])
def test_what_is_no_pose_is_refused(robot, spoil):
    start(robot, Generator.CARTESIAN_POSITION)
    pose = robot.memory.state.O_T_EE_c.copy()
    pose[0] = spoil
    send(robot, O_T_EE_c=pose)
    assert raised(robot) == ["cartesian_position_motion_generator_invalid_frame"]


def test_a_torque_that_is_no_number_is_a_reflex(robot):
    start(robot)
    send(robot, tau_J_d=np.full(7, np.nan))
    assert "tau_j_range_violation" in raised(robot)
    rest(robot, 100)
    assert np.isfinite(robot.memory.state.q).all()


def test_an_elbow_that_points_the_other_way_is_refused(robot):
    start(robot, Generator.CARTESIAN_POSITION)
    send(robot, O_T_EE_c=robot.memory.state.O_T_EE_c, elbow_c=np.array([0.0, 1.0]), valid_elbow=1)
    assert raised(robot) == ["cartesian_motion_generator_elbow_sign_inconsistent"]


def test_settings_are_refused_in_a_motion(robot):
    start(robot)
    assert robot.configure(Command.SET_JOINT_IMPEDANCE, np.full(7, 100.0)) == Answered.NOT_POSSIBLE


@pytest.mark.parametrize(
    "command, values",
    [(Command.SET_JOINT_IMPEDANCE, np.full(7, 2e4)), (Command.SET_CARTESIAN_IMPEDANCE, np.full(6, 5.0)),
     (Command.SET_LOAD, np.full(13, -1.0)), (Command.SET_EE_TO_K, np.zeros(16)),
     (Command.SET_COLLISION_BEHAVIOR, np.full(52, np.nan))],
)  # fmt: skip
def test_settings_that_there_are_not_are_refused(robot, command, values):
    assert robot.configure(command, values) == Answered.INVALID_ARGUMENT


def test_the_tool_is_where_its_frame_is_put(robot):
    before = robot.memory.state.O_T_EE.copy()
    longer = np.eye(4)
    longer[2, 3] = 0.1
    robot.configure(Command.SET_NE_TO_EE, longer.T.ravel())
    along = before.reshape(4, 4).T[:3, 2]
    np.testing.assert_allclose(robot.memory.state.O_T_EE[12:15], before[12:15] + 0.1 * along, atol=1e-9)
    np.testing.assert_allclose(robot.memory.state.O_T_EE_d, robot.memory.state.O_T_EE, atol=1e-6)


def test_thresholds_go_where_the_wire_says(robot):
    robot.configure(Command.SET_COLLISION_BEHAVIOR, np.arange(52.0))
    limits = robot.memory.thresholds
    assert limits["torque_lower_acceleration"][0] == 0
    assert limits["torque_upper_acceleration"][0] == 7
    assert limits["torque_lower_nominal"][0] == 14
    assert limits["torque_upper_nominal"][6] == 27
    assert limits["force_lower_acceleration"][0] == 28
    assert limits["force_upper_nominal"][5] == 51
    for name in limits.dtype.names:
        limits[name] = 100.0
