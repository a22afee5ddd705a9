"""Each reflex of the emulated Franka, driven to a share of the maker's limit: what the tests and the figures both use.

A case puts the arm, in torque control or with a motion generator, at `share` times its limit for one cycle. Where no
pose of the arm could reach one limit without another, the other is lifted first, so that one alone is tested.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import mujoco
import numpy as np

import tasks
from controllers.emulators import memory, wire
from controllers.emulators.generators import least_norm, speed_limit
from controllers.emulators.kinematics import jacobian
from controllers.emulators.robot import Robot
from controllers.emulators.wire import Command, Controller, Generator
from controllers.interface import Array
from controllers.twin.plant import Plant

DT = 0.001
MIDDLE = np.array([0.0, 0.1, 0.0, -1.6, 0.0, 2.0, 0.0])
JOINTS = range(wire.JOINTS)


@dataclass(frozen=True)
class Case:
    """`drive(robot, share)` takes a resting robot to `share` of one limit; beyond it, `error` alone is raised."""

    name: str
    error: str
    drive: Callable[[Robot, float], None]


def resting_robot() -> Robot:
    """A robot with nothing in its hand and nothing to touch."""
    plant = Plant(tasks.load("reach"))
    plant.model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_CONTACT)
    return Robot(plant)


def raised(robot: Robot) -> list[str]:
    """Names of the errors that ended its motion."""
    return [wire.ERRORS[i] for i in np.flatnonzero(robot.packer.flags["reflex_reason"])]


def outcome(case: Case, robot: Robot, share: float) -> list[str]:
    """Errors that `robot` raises at `share` of the case's limit."""
    robot.recover()
    robot.abort(wire.Moved.ABORTED)
    _restore(robot)
    place(robot, MIDDLE)
    case.drive(robot, share)
    return raised(robot)


def _restore(robot: Robot) -> None:
    fresh = memory.new_robot(robot.plant.model, "fr3_flange", robot.memory.share)
    for name in ("limits", "thresholds", "joint_stiffness", "cartesian_stiffness"):
        robot.memory[name] = fresh[name]
    robot.memory.state.m_load = 0.0


def place(robot: Robot, q: Array, dq: Array | None = None) -> None:
    """Put the arm at q, moving at dq, with everything desired there too."""
    robot.views.q[:], robot.views.dq[:] = q, 0.0 if dq is None else dq
    robot.plant.set_state_vector(robot.plant.state_vector())
    robot.reset()
    if dq is not None:
        robot.memory.state.dq_d = dq


def start(robot: Robot, generator: Generator = Generator.NONE) -> None:
    """Begin a motion; the internal controller is the joint impedance's."""
    controller = Controller.EXTERNAL if generator == Generator.NONE else Controller.JOINT_IMPEDANCE
    robot.move(0, controller, generator - 1, False)


def send(robot: Robot, **fields: Array) -> None:
    """One cycle with a command of these fields."""
    command = np.zeros(1, wire.COMMAND)[0]
    for name, value in fields.items():
        command[name] = value
    robot.cycle(command)


def only(joint: int, value: float) -> Array:
    """(n,) zeros but for one joint."""
    values = np.zeros(wire.JOINTS)
    values[joint] = value
    return values


# Measured limits, in torque control.


def _position(joint: int, side: float, robot: Robot, share: float) -> None:
    limits = robot.memory.limits
    middle, half = 0.5 * (limits.high + limits.low), 0.5 * (limits.high - limits.low)
    place(robot, np.where(np.arange(wire.JOINTS) == joint, middle + side * share * half, MIDDLE))
    start(robot)
    send(robot, tau_J_d=robot.memory.state.tau_J_d)


def _velocity(joint: int, near: float, robot: Robot, share: float) -> None:
    """near: distance to the joint's upper end, rad, where the cycle ends."""
    end = MIDDLE.copy()
    end[joint] = robot.memory.limits.high[joint] - near
    speed = share * speed_limit(robot.memory, joint, end[joint], 1.0)
    place(robot, end - only(joint, speed * DT), only(joint, speed))
    start(robot)
    damping = float(robot.plant.model.dof_damping[joint])
    robot.memory.state.tau_J_d = robot.memory.work.coriolis + only(joint, damping * speed)
    send(robot, tau_J_d=robot.memory.state.tau_J_d)


def _torque(joint: int, robot: Robot, share: float) -> None:
    gravity = robot.memory.work.gravity[joint]
    side = 1.0 if gravity >= 0.0 else -1.0
    torque = only(joint, side * share * robot.memory.limits.torque[joint] - gravity)
    start(robot)
    robot.memory.state.tau_J_d = torque
    send(robot, tau_J_d=torque)


def _rate(joint: int, robot: Robot, share: float) -> None:
    start(robot)
    send(robot, tau_J_d=robot.memory.state.tau_J_d + only(joint, share * robot.memory.limits.torque_rate * DT))


# Joint motion generators.


def _generated(order: int, joint: int, generator: Generator, robot: Robot, share: float) -> None:
    """order: 1 velocity, 2 acceleration, 3 jerk of the commanded joint."""
    limits, state = robot.memory.limits, robot.memory.state
    speed = share * speed_limit(robot.memory, joint, MIDDLE[joint], 1.0) if order == 1 else 0.0
    if order == 1:
        place(robot, MIDDLE, only(joint, speed))
    start(robot, generator)
    send(robot, q_c=state.q_d + state.dq_d * DT, dq_c=state.dq_d)  # the first is checked as a start pose too
    acceleration = share * limits.acceleration if order == 2 else 0.0
    state.ddq_d[joint] = acceleration
    if order == 3:
        acceleration = share * limits.jerk * DT
    step = only(joint, state.dq_d[joint] + acceleration * DT)
    send(robot, q_c=state.q_d + step * DT, dq_c=step)


def _generated_position(joint: int, robot: Robot, share: float) -> None:
    limits = robot.memory.limits
    middle, half = 0.5 * (limits.high + limits.low), 0.5 * (limits.high - limits.low)
    place(robot, np.where(np.arange(wire.JOINTS) == joint, middle + share * half, MIDDLE))
    start(robot, Generator.JOINT_POSITION)
    send(robot, q_c=robot.memory.state.q_d)


# Cartesian motion generators.


def _cartesian(order: int, turn: bool, generator: Generator, robot: Robot, share: float) -> None:
    """order: 1 velocity, 2 acceleration, 3 jerk of the end effector along x; turn: about x."""
    robot.memory.limits.velocity, robot.memory.limits.braking, robot.memory.limits.torque = 1e3, 1e9, 1e4
    robot.memory.limits.acceleration, robot.memory.limits.jerk = 1e5, 1e9
    robot.memory.thresholds["torque_upper_acceleration"] = 1e6
    limit = float(robot.memory.limits.cartesian[3 * turn + order - 1])
    axis = np.eye(6)[3 * turn]
    state = robot.memory.state
    speed = share * limit if order == 1 else 0.0
    place(robot, MIDDLE, _joint_speeds(robot, speed * axis))
    state.O_dP_EE_c = speed * axis
    start(robot, generator)
    send(robot, **_cartesian_command(robot, speed * axis))
    acceleration = share * limit if order == 2 else 0.0
    state.O_ddP_EE_c = acceleration * axis
    if order == 3:
        acceleration = share * limit * DT
    send(robot, **_cartesian_command(robot, (speed + acceleration * DT) * axis))


def _joint_speeds(robot: Robot, twist: Array) -> Array:
    work, found = robot.memory.work, np.zeros(wire.JOINTS)
    jacobian(work.axes, work.anchors, robot.memory.state.O_T_EE[12:15], work.other[:])
    least_norm(work.other, twist.copy(), work.gram, found)
    return found


def _cartesian_command(robot: Robot, twist: Array) -> dict[str, Array]:
    pose = robot.memory.state.O_T_EE_c.reshape(4, 4).T.copy()
    pose[:3, 3] += twist[:3] * DT
    angle = twist[3] * DT
    sine, cosine = np.sin(angle), np.cos(angle)
    pose[:3, :3] = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]]) @ pose[:3, :3]
    return {"O_dP_EE_c": twist, "O_T_EE_c": pose.T.ravel()}


# Collisions and the link.


def _collision(name: str, robot: Robot, share: float) -> None:
    """A load that is configured but not there shows as an external force; the threshold is put beside it."""
    robot.configure(Command.SET_LOAD, np.array([2.0, 0, 0, 0.05] + [0.0] * 9))
    for _ in range(500):
        robot.cycle(None)
    if name == "force":
        robot.memory.thresholds["force_upper_nominal"][2] = abs(robot.memory.state.O_F_ext_hat_K[2]) / share
        robot.memory.thresholds["torque_upper_nominal"] = 1e3
    else:
        robot.memory.thresholds["torque_upper_nominal"][1] = abs(robot.memory.state.tau_ext_hat_filtered[1]) / share
        robot.memory.thresholds["force_upper_nominal"] = 1e3
    start(robot)
    send(robot, tau_J_d=robot.memory.state.tau_J_d)


def _lost(robot: Robot, share: float) -> None:
    """19 or 20 commands lost in a row."""
    start(robot)
    send(robot, tau_J_d=robot.memory.state.tau_J_d)
    for _ in range(round(memory.LOST * share) - (share < 1.0)):
        robot.cycle(None)


def _cases() -> list[Case]:
    cases = []
    for joint in JOINTS:
        number = joint + 1
        for side, end in ((1.0, "upper"), (-1.0, "lower")):
            drive = partial(_position, joint, side)
            cases.append(Case(f"position, joint {number}, {end} end", "joint_position_limits_violation", drive))
        cases += [
            Case(f"speed, joint {number}", "joint_velocity_violation", partial(_velocity, joint, 2.0)),
            Case(f"speed near its end, joint {number}", "joint_velocity_violation", partial(_velocity, joint, 0.1)),
            Case(f"torque, joint {number}", "tau_j_range_violation", partial(_torque, joint)),
            Case(f"torque rate, joint {number}", "controller_torque_discontinuity", partial(_rate, joint)),
            Case(
                f"commanded position, joint {number}",
                "joint_motion_generator_position_limits_violation",
                partial(_generated_position, joint),
            ),
        ]
        for order, (what, error) in enumerate(
            (
                ("speed", "joint_motion_generator_velocity_limits_violation"),
                ("acceleration", "joint_motion_generator_velocity_discontinuity"),
                ("jerk", "joint_motion_generator_acceleration_discontinuity"),
            ),
            start=1,
        ):
            generator = (Generator.JOINT_POSITION, Generator.JOINT_VELOCITY)[joint % 2]
            drive = partial(_generated, order, joint, generator)
            cases.append(Case(f"commanded {what}, joint {number}", error, drive))
    return cases + _cartesian_cases()


def _cartesian_cases() -> list[Case]:
    cases = []
    for generator, of in ((Generator.CARTESIAN_POSITION, "pose"), (Generator.CARTESIAN_VELOCITY, "twist")):
        for turn, kind in ((False, "translation"), (True, "rotation")):
            for order, (what, error) in enumerate(
                (
                    ("speed", "cartesian_motion_generator_velocity_limits_violation"),
                    ("acceleration", "cartesian_motion_generator_velocity_discontinuity"),
                    ("jerk", "cartesian_motion_generator_acceleration_discontinuity"),
                ),
                start=1,
            ):
                drive = partial(_cartesian, order, turn, generator)
                cases.append(Case(f"{what} of the {kind}, commanded {of}", error, drive))
    return [
        *cases,
        Case("force on the hand", "cartesian_reflex", partial(_collision, "force")),
        Case("torque on a joint", "joint_reflex", partial(_collision, "torque")),
        Case("commands lost in a row", "communication_constraints_violation", _lost),
    ]


CASES = _cases()
