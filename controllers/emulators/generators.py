"""Motion generators: from what the client commands to the desired joints, checked as the robot checks it.

A command that is missing is replaced by going on at the present acceleration. Each check is against the maker's
published limit; the names of the errors say which.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from controllers import spatial
from controllers.emulators import kinematics
from controllers.emulators.wire import ERRORS, JOINTS, Generator
from controllers.impedance import Record, cholesky, solve_lower, solve_upper
from controllers.interface import Array

JOINT_POSITION, JOINT_VELOCITY = int(Generator.JOINT_POSITION), int(Generator.JOINT_VELOCITY)
CARTESIAN_POSITION = int(Generator.CARTESIAN_POSITION)
START_JOINTS = ERRORS.index("joint_position_motion_generator_start_pose_invalid")
POSITION = ERRORS.index("joint_motion_generator_position_limits_violation")
START_POSE = ERRORS.index("cartesian_position_motion_generator_start_pose_invalid")
ELBOW_LIMIT = ERRORS.index("cartesian_motion_generator_elbow_limit_violation")
CARTESIAN_VELOCITY = ERRORS.index("cartesian_motion_generator_velocity_limits_violation")
ELBOW_SIGN = ERRORS.index("cartesian_motion_generator_elbow_sign_inconsistent")
START_ELBOW = ERRORS.index("cartesian_motion_generator_start_elbow_invalid")
CARTESIAN_JOINT_POSITION = ERRORS.index("cartesian_motion_generator_joint_position_limits_violation")
INVALID_FRAME = ERRORS.index("cartesian_position_motion_generator_invalid_frame")

START_JOINT, START_DISTANCE, START_ANGLE = 0.01, 0.005, 0.02
"""rad, m and rad that a first position may be from where the arm is (ours: the maker gives no number)."""
ELBOW_FLIP = -0.467002423653011
"""q4 at which the elbow is straight and its sign turns, rad."""
ROUNDING = 1e-6
"""Share by which a quotient of differences of doubles may miss a limit."""
ORTHOGONAL = 1e-4
"""How far from a rotation a commanded pose may be: it has been float32 on its way."""
SPREAD = 0.1
"""Share of the pose error that the inverse kinematics takes back in a cycle."""
IDENTITY = np.eye(4).ravel()
DAMPED = 1e-8
"""Added to J J^T: keeps the desired joints finite at a singularity."""


@njit(cache=True)
def elbow_sign(q4: float) -> float:
    """Which way the elbow (4th joint, rad) points: 1, 0 or -1."""
    if q4 > ELBOW_FLIP:
        return 1.0
    return -1.0 if q4 < ELBOW_FLIP else 0.0


@njit(cache=True)
def speed_limit(robot: Record, joint: int, q: float, sign: float) -> float:
    """The maker's joint speed (rad/s) at q towards the end that `sign` points to."""
    limits = robot.limits
    left = limits.high[joint] - q if sign > 0.0 else q - limits.low[joint]
    braking = math.sqrt(2.0 * limits.braking[joint] * max(0.0, left)) - limits.velocity_offset[joint]
    return min(limits.velocity[joint], max(0.0, braking))


@njit(cache=True)
def desire_measured(robot: Record) -> None:
    """The desired and the commanded state become the measured one, at rest but for the joints' speed."""
    state = robot.state
    for i in range(JOINTS):
        state.q_d[i], state.dq_d[i], state.ddq_d[i] = state.q[i], state.dq[i], 0.0
    for i in range(16):
        state.O_T_EE_d[i] = state.O_T_EE[i]
        state.O_T_EE_c[i] = state.O_T_EE[i]
    for i in range(2):
        state.elbow_d[i], state.elbow_c[i] = state.elbow[i], state.elbow[i]
        state.delbow_c[i], state.ddelbow_c[i] = 0.0, 0.0
    for i in range(6):
        state.O_dP_EE_c[i], state.O_ddP_EE_c[i], state.O_dP_EE_d[i] = 0.0, 0.0, 0.0


@njit(cache=True)
def follow(robot: Record) -> None:
    """One cycle of the running generator."""
    if robot.generator == JOINT_POSITION or robot.generator == JOINT_VELOCITY:
        _joints(robot)
    else:
        _cartesian(robot)


@njit(cache=True)
def _joints(robot: Record) -> None:
    """q_d, dq_d, ddq_d from commanded joints; then the pose that follows from them."""
    state, command, step = robot.state, robot.command, robot.work.step
    for i in range(JOINTS):
        if robot.finished == 1:
            step[i] = 0.0
        elif robot.fresh == 0:
            step[i] = state.dq_d[i] + state.ddq_d[i] * robot.dt
        elif robot.generator == JOINT_VELOCITY:
            step[i] = command.dq_c[i]
        else:
            step[i] = (command.q_c[i] - state.q_d[i]) / robot.dt
            if robot.started == 0 and not abs(command.q_c[i] - state.q_d[i]) <= START_JOINT:
                robot.errors[START_JOINTS] = 1
    if robot.errors[START_JOINTS] == 0:
        take_joints(robot, POSITION)
        command_desired(robot)


@njit(cache=True)
def take_joints(robot: Record, first: int) -> None:
    """Checks the speeds work.step (n,) and moves q_d by them; first: the first of four errors in a row.

    The four: position, velocity, velocity discontinuity (acceleration), acceleration discontinuity (jerk).
    """
    state, limits, step = robot.state, robot.limits, robot.work.step
    for i in range(JOINTS):
        acceleration = (step[i] - state.dq_d[i]) / robot.dt
        jerk = (acceleration - state.ddq_d[i]) / robot.dt
        position = state.q_d[i] + step[i] * robot.dt
        if not limits.low[i] <= position <= limits.high[i]:
            robot.errors[first] = 1
        if not abs(step[i]) <= speed_limit(robot, i, state.q_d[i], step[i]) * (1.0 + ROUNDING):
            robot.errors[first + 1] = 1
        if not abs(acceleration) <= limits.acceleration * (1.0 + ROUNDING):
            robot.errors[first + 2] = 1
        elif not abs(jerk) <= limits.jerk * (1.0 + ROUNDING):
            robot.errors[first + 3] = 1
        state.q_d[i], state.dq_d[i], state.ddq_d[i] = position, step[i], acceleration


@njit(cache=True)
def follow_pose(robot: Record) -> None:
    """Pose, twist and elbow that the desired joints have."""
    state, work = robot.state, robot.work
    desired_frames(robot)
    kinematics.apply(work.desired_position[:], work.desired_quaternion[:], state.F_T_EE[:], state.O_T_EE_d[:])
    kinematics.jacobian(work.desired_axes[:], work.desired_anchors[:], state.O_T_EE_d[12:15], work.other[:])
    for i in range(6):
        state.O_dP_EE_d[i] = 0.0
        for k in range(JOINTS):
            state.O_dP_EE_d[i] += work.other[i, k] * state.dq_d[k]
    state.elbow_d[0], state.elbow_d[1] = state.q_d[2], elbow_sign(state.q_d[3])


@njit(cache=True)
def command_desired(robot: Record) -> None:
    """Pose and elbow of the desired joints, also as what is commanded: nothing Cartesian commands them."""
    state = robot.state
    follow_pose(robot)
    for i in range(16):
        state.O_T_EE_c[i] = state.O_T_EE_d[i]
    for i in range(2):
        state.elbow_c[i], state.delbow_c[i], state.ddelbow_c[i] = state.elbow_d[i], 0.0, 0.0
    for i in range(6):
        state.O_dP_EE_c[i], state.O_ddP_EE_c[i] = 0.0, 0.0


@njit(cache=True)
def desired_frames(robot: Record) -> None:
    """Axes, anchors and the flange at the desired joints, into the scratch."""
    work = robot.work
    kinematics.forward(
        robot.chain,
        robot.state.q_d[:],
        work.desired_axes[:],
        work.desired_anchors[:],
        work.desired_position[:],
        work.desired_quaternion[:],
    )


@njit(cache=True)
def _cartesian(robot: Record) -> None:
    """The commanded pose or twist, checked, then desired joints that follow it."""
    state, work, twist = robot.state, robot.work, robot.work.drive
    if robot.started == 0:
        spatial.copy(state.O_T_EE_c[12:15], robot.target_position)
        kinematics.quaternion_of(state.O_T_EE_c[:], robot.target_quaternion[:])
    _commanded_twist(robot, twist)
    if robot.errors[INVALID_FRAME] == 1 or robot.errors[START_POSE] == 1:
        return
    _check_twist(robot, twist)
    _elbow(robot)
    for i in range(3):
        robot.target_position[i] += twist[i] * robot.dt
        work.point[i] = twist[3 + i] * robot.dt
    spatial.exp(work.point[:], work.turn[:])
    spatial.multiply(work.turn[:], robot.target_quaternion[:], robot.target_quaternion[:])
    spatial.normalise(robot.target_quaternion[:], robot.target_quaternion[:])
    kinematics.apply(robot.target_position[:], robot.target_quaternion[:], IDENTITY, state.O_T_EE_c[:])
    _inverse(robot, twist)
    take_joints(robot, CARTESIAN_JOINT_POSITION)
    follow_pose(robot)


@njit(cache=True)
def _commanded_twist(robot: Record, twist: Array) -> None:
    """Twist (6,) <- speed of the end effector that the command asks for, m/s and rad/s in base."""
    state, command, work = robot.state, robot.command, robot.work
    for i in range(6):
        if robot.finished == 1:
            twist[i] = 0.0
        elif robot.fresh == 0:
            twist[i] = state.O_dP_EE_c[i] + state.O_ddP_EE_c[i] * robot.dt
        else:
            twist[i] = command.O_dP_EE_c[i]
    if robot.generator != CARTESIAN_POSITION or robot.finished == 1 or robot.fresh == 0:
        return
    if not homogeneous(command.O_T_EE_c):
        robot.errors[INVALID_FRAME] = 1
        return
    kinematics.quaternion_of(command.O_T_EE_c[:], work.turn[:])
    spatial.conjugate(robot.target_quaternion[:], work.other_turn[:])
    spatial.multiply(work.turn[:], work.other_turn[:], work.turn[:])
    spatial.log(work.turn[:], work.point[:])
    distance, angle = 0.0, 0.0
    for i in range(3):
        twist[i] = (command.O_T_EE_c[12 + i] - robot.target_position[i]) / robot.dt
        twist[3 + i] = work.point[i] / robot.dt
        distance += (twist[i] * robot.dt) ** 2
        angle += work.point[i] ** 2
    if robot.started == 0 and (math.sqrt(distance) > START_DISTANCE or math.sqrt(angle) > START_ANGLE):
        robot.errors[START_POSE] = 1


@njit(cache=True)
def homogeneous(pose: Array) -> bool:
    """Whether a 4x4 (16,), column-major, is a pose."""
    for i in range(16):
        if not math.isfinite(pose[i]):
            return False
    if abs(pose[3]) + abs(pose[7]) + abs(pose[11]) + abs(pose[15] - 1.0) > ORTHOGONAL:
        return False
    for i in range(3):
        for j in range(i + 1):
            product = 0.0
            for k in range(3):
                product += pose[4 * i + k] * pose[4 * j + k]
            if abs(product - (1.0 if i == j else 0.0)) > ORTHOGONAL:
                return False
    return True


@njit(cache=True)
def _check_twist(robot: Record, twist: Array) -> None:
    """Speed, acceleration and jerk of the commanded motion, linear then angular, against the maker's limits."""
    state, limits = robot.state, robot.limits
    for part in range(2):
        speed, acceleration, jerk = 0.0, 0.0, 0.0
        for i in range(3 * part, 3 * part + 3):
            rate = (twist[i] - state.O_dP_EE_c[i]) / robot.dt
            speed += twist[i] ** 2
            acceleration += rate**2
            jerk += ((rate - state.O_ddP_EE_c[i]) / robot.dt) ** 2
            state.O_dP_EE_c[i], state.O_ddP_EE_c[i] = twist[i], rate
        if not math.sqrt(speed) <= limits.cartesian[3 * part] * (1.0 + ROUNDING):
            robot.errors[CARTESIAN_VELOCITY] = 1
        if not math.sqrt(acceleration) <= limits.cartesian[3 * part + 1] * (1.0 + ROUNDING):
            robot.errors[CARTESIAN_VELOCITY + 1] = 1
        elif not math.sqrt(jerk) <= limits.cartesian[3 * part + 2] * (1.0 + ROUNDING):
            robot.errors[CARTESIAN_VELOCITY + 2] = 1


@njit(cache=True)
def _elbow(robot: Record) -> None:
    """The commanded elbow, checked; without one, the elbow goes where the hand takes it."""
    state, command, limits = robot.state, robot.command, robot.limits
    if robot.fresh == 0 or command.valid_elbow == 0 or robot.finished == 1:
        return
    if command.elbow_c[1] != elbow_sign(state.q_d[3]):
        robot.errors[ELBOW_SIGN] = 1
    if robot.started == 0 and not abs(command.elbow_c[0] - state.elbow_c[0]) <= START_JOINT:
        robot.errors[START_ELBOW] = 1
        return
    speed = (command.elbow_c[0] - state.elbow_c[0]) / robot.dt
    acceleration = (speed - state.delbow_c[0]) / robot.dt
    jerk = (acceleration - state.ddelbow_c[0]) / robot.dt
    inside = limits.low[2] <= command.elbow_c[0] <= limits.high[2] and abs(speed) <= limits.elbow[0] * (1.0 + ROUNDING)
    if not (inside and abs(acceleration) <= limits.elbow[1] * (1.0 + ROUNDING)):
        robot.errors[ELBOW_LIMIT] = 1
    if not abs(jerk) <= limits.elbow[2] * (1.0 + ROUNDING):
        robot.errors[ELBOW_LIMIT] = 1
    state.elbow_c[0], state.elbow_c[1] = command.elbow_c[0], command.elbow_c[1]
    state.delbow_c[0], state.ddelbow_c[0] = speed, acceleration


@njit(cache=True)
def _inverse(robot: Record, twist: Array) -> None:
    """work.step (n,) <- smallest joint speeds that follow the twist, drift taken back, and the elbow if commanded."""
    state, work = robot.state, robot.work
    desired_frames(robot)
    kinematics.apply(work.desired_position[:], work.desired_quaternion[:], state.F_T_EE[:], state.O_T_EE_d[:])
    kinematics.jacobian(work.desired_axes[:], work.desired_anchors[:], state.O_T_EE_d[12:15], work.other[:])
    kinematics.quaternion_of(state.O_T_EE_d[:], work.turn[:])
    spatial.conjugate(work.turn[:], work.turn[:])
    spatial.multiply(robot.target_quaternion[:], work.turn[:], work.turn[:])
    spatial.log(work.turn[:], work.point[:])
    # where the target was before this cycle is where the desired joints should be now
    for i in range(3):
        work.solved[i] = robot.target_position[i] - twist[i] * robot.dt - state.O_T_EE_d[12 + i]
        work.solved[i] = twist[i] + SPREAD * work.solved[i] / robot.dt
        work.solved[3 + i] = twist[3 + i] + SPREAD * (work.point[i] - twist[3 + i] * robot.dt) / robot.dt
    fixed = robot.command.valid_elbow == 1
    drift = state.elbow_c[0] - state.delbow_c[0] * robot.dt - state.q_d[2]
    elbow = state.delbow_c[0] + SPREAD * drift / robot.dt if fixed else 0.0
    for i in range(6):
        if fixed:
            work.solved[i] -= work.other[i, 2] * elbow
            work.other[i, 2] = 0.0
    least_norm(work.other, work.solved, work.gram, work.step)
    if fixed:
        work.step[2] = elbow


@njit(cache=True)
def least_norm(jacobian: Array, wanted: Array, gram: Array, out: Array) -> None:
    """Out (n,) <- J^T (J J^T)^-1 wanted; wanted (6,) and gram (6, 6) are overwritten."""
    for i in range(6):
        for j in range(6):
            gram[i, j] = DAMPED if i == j else 0.0
            for k in range(JOINTS):
                gram[i, j] += jacobian[i, k] * jacobian[j, k]
    cholesky(gram, gram)
    solve_lower(gram, wanted)
    solve_upper(gram, wanted)
    for k in range(JOINTS):
        out[k] = 0.0
        for i in range(6):
            out[k] += jacobian[i, k] * wanted[i]
