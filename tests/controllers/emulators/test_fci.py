"""pylibfranka, as it comes from PyPI, against the emulator in a process of its own, in lockstep."""

import socket
import subprocess
import sys

import numpy as np
import pylibfranka
import pytest

import tasks
from controllers.emulators.control import Control
from controllers.emulators.fci import Emulator
from controllers.emulators.wire import HEADER, ROBOT_PORT, Command
from controllers.exceptions import ControllersError
from controllers.twin.plant import Plant
from tests.controllers.emulators.clients import HOME, ONTO_THE_SOCKET, connect, hold, idle_torque, lower, newest, pull

Mode = pylibfranka.RobotMode


def names(errors):
    return [name for name in dir(errors) if not name.startswith("_") and getattr(errors, name) is True]


def test_a_client_connects_and_reads_where_the_arm_is(robot):
    state = robot.read_once()
    assert state.robot_mode == Mode.Idle
    np.testing.assert_allclose(state.q, HOME, atol=1e-6)
    assert state.O_ddP_O == [0.0, 0.0, pytest.approx(-9.81)]
    assert names(state.current_errors) == []


def test_a_client_s_dynamics_are_the_twin_s(robot, control):
    """But for the rotors, which the maker's model leaves out as well: they are behind the torque sensors."""
    seen = []
    hold(robot, 300, HOME + 0.1, seen=seen)
    model, twin = robot.load_model(), Plant(tasks.load("peg_insert"))
    rotors = np.diag(twin.model.dof_armature[:7])
    for state in seen[::60]:
        twin.views.q[:], twin.views.dq[:] = state.q, state.dq
        vector = twin.state_vector()
        twin.set_state_vector(vector)
        mass = np.array(model.mass(state)).reshape(7, 7) + rotors
        np.testing.assert_allclose(mass, twin.arms[0].mass, atol=2e-3)
        np.testing.assert_allclose(model.coriolis(state), twin.arms[0].bias, atol=2e-3)
        np.testing.assert_allclose(model.gravity(state), twin.arms[0].gravity, atol=2e-2)
        jacobian = np.array(model.zero_jacobian(state)).reshape(7, 6).T
        np.testing.assert_allclose(jacobian, twin.arms[0].jacobian, atol=1e-5)
        np.testing.assert_allclose(state.O_T_EE[12:15], twin.arms[0].pose.position, atol=1e-5)


def test_torque_control_moves_the_arm_in_lockstep_with_its_commands(robot, control):
    goal = HOME + np.array([0.05, 0, 0, 0, 0, 0, 0.05])
    before = control.state()["time"]
    state = hold(robot, 800, goal)
    assert state.control_command_success_rate == 1.0
    np.testing.assert_allclose(state.q, goal, atol=0.01)
    assert control.state()["time"] - before >= 0.8


def test_the_same_commands_move_it_the_same_to_the_bit(robot, control):
    ends = []
    for _ in range(2):
        control.teleport_home()
        control.reset_scene(3)
        lower(robot, 1500, ONTO_THE_SOCKET)
        hold(robot, 200, HOME + 0.03)
        ends.append(control.state()["state_vector"][1:])
    np.testing.assert_array_equal(*ends)


def test_contact_is_felt_as_the_force_of_the_hand_on_the_world(robot, control):
    """The peg lowered onto the socket beside the hole, and 1 cm further: 10 N at 1000 N/m."""
    state = lower(robot, 2000, ONTO_THE_SOCKET)
    assert state.O_F_ext_hat_K[2] == pytest.approx(-10.0, abs=2.5)
    assert control.state()["sim"]["peak_force"][0] > 8.0
    in_base, in_hand = np.array(state.O_F_ext_hat_K[:3]), np.array(state.K_F_ext_hat_K[:3])
    np.testing.assert_allclose(np.array(state.O_T_EE).reshape(4, 4).T[:3, :3] @ in_hand, in_base, atol=1e-3)


def test_a_collision_is_a_reflex_that_a_person_recovers_from(robot):
    robot.set_collision_behavior([40.0] * 7, [40.0] * 7, [2.0] * 6, [5.0] * 6)
    seen = []
    with pytest.raises(pylibfranka.ControlException, match="cartesian_reflex"):
        lower(robot, 2000, ONTO_THE_SOCKET, seen)
    assert any(state.cartesian_contact[2] for state in seen)
    state = robot.read_once()
    assert state.robot_mode == Mode.Reflex
    assert names(state.current_errors) == ["cartesian_reflex"]
    assert state.cartesian_collision[2] == 1.0
    with pytest.raises(pylibfranka.CommandException, match="not possible"):
        robot.start_torque_control()
    robot.automatic_error_recovery()
    state = robot.read_once()
    assert state.robot_mode == Mode.Idle
    assert names(state.last_motion_errors) == ["cartesian_reflex"]
    hold(robot, 50, np.array(state.q))


def test_a_torque_step_is_a_discontinuity(robot):
    motion = robot.start_torque_control()
    idle_torque(motion, 1)
    motion.readOnce()
    motion.writeOnce(pylibfranka.Torques([0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0]))
    with pytest.raises(pylibfranka.ControlException, match="controller_torque_discontinuity"):
        motion.readOnce()


@pytest.mark.parametrize(
    "mode", [pylibfranka.ControllerMode.JointImpedance, pylibfranka.ControllerMode.CartesianImpedance]
)
@pytest.mark.parametrize("kind", ["joint_position", "joint_velocity", "cartesian_pose", "cartesian_velocity"])
def test_a_motion_generator_moves_the_arm(robot, kind, mode):
    motion = getattr(robot, f"start_{kind}_control")(mode)
    first, _ = motion.readOnce()
    count = 600
    for number in range(count):
        phase = 2 * np.pi * (number + 1) / count
        way, speed = 0.03 * (phase - np.sin(phase)) / (2 * np.pi), 0.05 * (1 - np.cos(phase))
        if kind == "joint_position":
            command = pylibfranka.JointPositions((np.array(first.q_d) + way * np.eye(7)[0]).tolist())
        elif kind == "joint_velocity":
            command = pylibfranka.JointVelocities((speed * np.eye(7)[0]).tolist())
        elif kind == "cartesian_pose":
            command = pylibfranka.CartesianPose((np.array(first.O_T_EE_c) + way * np.eye(16)[14]).tolist())
        else:
            command = pylibfranka.CartesianVelocities((speed * np.eye(6)[2]).tolist())
        command.motion_finished = number == count - 1
        motion.writeOnce(command)
        if number < count - 1:
            state, _ = motion.readOnce()
    if kind.startswith("joint"):
        assert state.q[0] - first.q[0] == pytest.approx(0.03, abs=1e-3)
    else:
        assert state.O_T_EE[14] - first.O_T_EE[14] == pytest.approx(0.03, abs=1e-3)


def test_a_stop_preempts_a_motion(robot):
    motion = robot.start_torque_control()
    idle_torque(motion, 1)
    robot.stop()
    with pytest.raises(pylibfranka.ControlException, match="preempted"):
        idle_torque(motion)


def test_lost_commands_are_counted_and_twenty_in_a_row_are_too_many(robot, control):
    control.fault("drop", share=0.2)
    state = hold(robot, 300)
    assert 0.6 < state.control_command_success_rate < 0.95
    control.fault("clear")
    motion = robot.start_torque_control()
    idle_torque(motion, 5)
    control.fault("drop", count=19)
    idle_torque(motion, 40)
    control.fault("drop", count=20)
    with pytest.raises(pylibfranka.ControlException, match="communication_constraints_violation"):
        idle_torque(motion, 40)


def test_late_and_overtaken_commands_still_hold_the_arm(robot, control):
    control.fault("delay", cycles=3)
    control.fault("reorder", share=0.2)
    state = hold(robot, 300)
    np.testing.assert_allclose(state.q, HOME, atol=0.02)
    assert state.control_command_success_rate < 0.99


@pytest.mark.parametrize("name", ["joint_reflex", "power_limit_violation"])
def test_a_reflex_by_service_ends_the_motion(robot, control, name):
    motion = robot.start_torque_control()
    idle_torque(motion, 1)
    motion.readOnce()
    control.fault("reflex", name=name)
    motion.writeOnce(pylibfranka.Torques([0.0] * 7))
    with pytest.raises(pylibfranka.ControlException, match=name):
        motion.readOnce()


def test_the_user_stop_ends_the_motion_until_it_is_released(robot, control):
    motion = robot.start_torque_control()
    idle_torque(motion, 1)
    control.fault("stop")
    with pytest.raises(pylibfranka.ControlException, match="User Stop"):
        idle_torque(motion)
    del motion
    assert newest(robot).robot_mode == Mode.UserStopped
    with pytest.raises(pylibfranka.CommandException):
        robot.automatic_error_recovery()
    control.fault("release")
    hold(robot, 50)


def test_a_cut_connection_is_an_exception_and_the_next_client_finds_the_error(emulator, control):
    robot = connect(emulator.address, control)
    motion = robot.start_torque_control()
    idle_torque(motion, 1)
    control.fault("disconnect")
    with pytest.raises(pylibfranka.NetworkException):
        idle_torque(motion)
    del motion, robot
    assert control.state()["errors"] == ["communication_constraints_violation"]
    hold(connect(emulator.address, control), 50)


def test_a_second_client_is_turned_away(emulator, robot):
    with pytest.raises(pylibfranka.NetworkException):
        pylibfranka.Robot(emulator.address, pylibfranka.RealtimeConfig.kIgnore)
    hold(robot, 50)


@pytest.mark.parametrize(
    "request_",
    [
        b"\xff" * 12,
        HEADER.pack(Command.CONNECT, 1, HEADER.size + 1) + b"\x00",
        HEADER.pack(Command.MOVE, 1, HEADER.size + 8) + bytes(8),
        HEADER.pack(Command.SET_LOAD, 1, HEADER.size + 5) + bytes(5),
    ],
    ids=["noise", "short connect", "short move", "torn number"],
)
def test_what_is_no_request_ends_the_connection_and_nothing_else(emulator, control, request_):
    with socket.create_connection((emulator.address, ROBOT_PORT), timeout=5) as client:
        client.sendall(request_)
        assert client.recv(1) == b""
    connect(emulator.address, control).stop()


def test_the_hand_answers_while_the_arm_rests(emulator, control):
    hand = pylibfranka.Gripper(emulator.address)
    assert hand.read_once().width == pytest.approx(0.0175, abs=1e-6)
    assert hand.read_once().max_width == 0.08
    assert not hand.move(0.05, 0.1)
    assert hand.grasp(0.0175, 0.1, 20.0, 0.002, 0.002)
    assert hand.read_once().is_grasped
    assert hand.stop()


def test_an_arm_with_a_hand_that_moves():
    with Emulator(task="pick_cube") as emulator:
        hand = pylibfranka.Gripper(emulator.address)
        assert hand.move(0.03, 0.1)
        assert hand.read_once().width == pytest.approx(0.03, abs=1e-3)
        assert hand.homing()
        assert not hand.grasp(0.04, 0.1, 20.0)


def test_an_arm_that_comes_up_in_a_fault_without_a_hand():
    with Emulator(task="reach", fault="joint_reflex", no_gripper=True) as emulator:
        robot = pylibfranka.Robot(emulator.address, pylibfranka.RealtimeConfig.kIgnore)
        assert robot.read_once().robot_mode == Mode.Reflex
        assert names(robot.read_once().current_errors) == ["joint_reflex"]
        with pytest.raises(pylibfranka.NetworkException, match="refused"):
            pylibfranka.Gripper(emulator.address)
        with pytest.raises(ControllersError, match="cannot listen"):
            Emulator(address=emulator.address).start()
        robot.automatic_error_recovery()
        assert newest(robot).robot_mode == Mode.Idle


def test_faults_come_when_they_were_planned():
    with (
        Emulator(task="reach", at=[(0.2, "reflex:power_limit_violation")]) as emulator,
        Control(emulator.address) as control,
    ):
        robot = connect(emulator.address, control)
        seen = []
        with pytest.raises(pylibfranka.ControlException, match="power_limit_violation"):
            hold(robot, 400, np.array(robot.read_once().q), seen)
        assert 150 < len(seen) <= 201


def test_another_firmware_is_turned_down_at_connect():
    with (
        Emulator(task="reach", server_version=5) as emulator,
        pytest.raises(pylibfranka.FrankaException, match="version"),
    ):
        pylibfranka.Robot(emulator.address, pylibfranka.RealtimeConfig.kIgnore)


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["--task", "nothing"], "there is no task 'nothing'"),
        (["--fault", "joint_reflexx"], "did you mean 'joint_reflex'"),
        (["--at", "1", "rain"], "there is no fault 'rain' to plan"),
        (["--at", "x", "stop"], "give seconds, and a fault"),
        (["--drop", "2"], "give a number from 0 to 1"),
        (["--address", "192.0.2.1"], "cannot listen on 192.0.2.1:1337"),
    ],
)
def test_a_mistake_is_one_sentence(arguments, sentence):
    command = [sys.executable, "-m", "controllers.emulators.fci", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_nobody_answers_where_no_emulator_is():
    with pytest.raises(ControllersError, match="no emulator answers"):
        Control("127.0.250.250")


def test_requests_that_there_are_not_are_refused(control):
    for request in ({"do": "dance"}, {"do": "fault", "kind": "rain"}, {"do": "reset_scene"}):
        with pytest.raises(ControllersError, match="refuses"):
            control.ask(**request)


def test_a_scene_can_be_put_back(robot, control):
    before = control.state()["state_vector"]
    hold(robot, 200, HOME + 0.05)
    control.set_state_vector(before)
    np.testing.assert_array_equal(control.state()["state_vector"][1:], before[1:])
    for _ in range(100):  # packets sent before may still be on their way
        q = robot.read_once().q
        if np.allclose(q, HOME, atol=1e-6):
            break
    np.testing.assert_allclose(q, HOME, atol=1e-6)
    assert pull(robot.load_model(), robot.read_once(), HOME).shape == (7,)
