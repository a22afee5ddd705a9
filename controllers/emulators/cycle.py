"""One compiled millisecond of the robot: torque, physics, and what the robot then says of itself."""

from __future__ import annotations

from numba import njit

from controllers import spatial
from controllers.emulators import generators, kinematics, law
from controllers.emulators.memory import GRAVITY
from controllers.emulators.wire import ERRORS, JOINTS, Controller, Generator
from controllers.impedance import Record, cholesky, solve_lower, solve_upper
from controllers.interface import Array
from controllers.twin import loop
from controllers.twin.loop import Views

EXTERNAL, NONE = int(Controller.EXTERNAL), int(Generator.NONE)
JOINT_POSITION_LIMITS = ERRORS.index("joint_position_limits_violation")
JOINT_VELOCITY = ERRORS.index("joint_velocity_violation")
JOINT_REFLEX = ERRORS.index("joint_reflex")
CARTESIAN_REFLEX = ERRORS.index("cartesian_reflex")
TORQUE_DISCONTINUITY = ERRORS.index("controller_torque_discontinuity")
TORQUE_RANGE = ERRORS.index("tau_j_range_violation")

SINGULAR = 1e-3
"""sqrt(det J J^T) below which the estimated wrench is zero, as the maker documents for near a singularity."""
ACCELERATING = 0.1
"""rad/s2 of any desired joint from which the thresholds of acceleration count."""
ROUNDING = 1e-9
"""Nm that a torque may differ from a limit by arithmetic alone."""


@njit(cache=True)
def weigh(v: Views, robot: Record) -> None:
    """Torques (n,) of the joints: gravity holds all that is on the arm, mismatch is what is configured beyond that."""
    work, state = robot.work, robot.state
    loop.weigh(v)
    for i in range(JOINTS):
        work.gravity[i] = v.weight[i]
        work.coriolis[i] = v.arm_bias[i] - v.weight[i]
        work.mismatch[i] = 0.0
    _add_weight(work, state.m_load, state.F_x_Cload)
    _add_weight(work, -robot.payload_mass, robot.payload_centre)


@njit(cache=True)
def _add_weight(work: Record, mass: float, centre: Array) -> None:
    """work.mismatch (n,) += torque that holds a mass (kg) up whose centre (3,) is given in the flange's frame."""
    spatial.rotate(work.quaternion[:], centre, work.point[:])
    x, y = work.point[0] + work.position[0], work.point[1] + work.position[1]
    for i in range(JOINTS):
        lever = work.axes[i, 0] * (y - work.anchors[i, 1]) - work.axes[i, 1] * (x - work.anchors[i, 0])
        work.mismatch[i] += GRAVITY * mass * lever


@njit(cache=True)
def measure(v: Views, robot: Record) -> None:
    """Joints, pose, and what follows from them, into the state."""
    state, work = robot.state, robot.work
    for i in range(JOINTS):
        state.q[i] = v.q[i]
        state.dq[i] = v.dq[i]
        state.theta[i] = v.q[i]
        state.dtheta[i] = v.dq[i]
    kinematics.forward(robot.chain, state.q[:], work.axes[:], work.anchors[:], work.position[:], work.quaternion[:])
    kinematics.apply(work.position[:], work.quaternion[:], state.F_T_EE[:], state.O_T_EE[:])
    state.elbow[0] = state.q[2]
    state.elbow[1] = generators.elbow_sign(state.q[3])


@njit(cache=True)
def estimate(v: Views, robot: Record) -> None:
    """External torques and wrench as the robot estimates them, positive where the robot presses on the world."""
    state, work = robot.state, robot.work
    for i in range(JOINTS):
        raw = -(v.constraint[i] + work.mismatch[i])
        state.tau_ext_hat_filtered[i] += robot.share * (raw - state.tau_ext_hat_filtered[i])
        if abs(state.tau_ext_hat_filtered[i]) < 1e-12:
            state.tau_ext_hat_filtered[i] = 0.0  # numbers near the smallest double are slow to compute with
    stiffness_frame(robot)
    jacobian, gram, solved = work.jacobian, work.gram, work.solved
    kinematics.jacobian(work.axes[:], work.anchors[:], work.point[:], jacobian)
    for i in range(6):
        solved[i] = 0.0
        for k in range(JOINTS):
            solved[i] += jacobian[i, k] * state.tau_ext_hat_filtered[k]
        for j in range(6):
            gram[i, j] = 0.0
            for k in range(JOINTS):
                gram[i, j] += jacobian[i, k] * jacobian[j, k]
    regular = cholesky(gram, gram) > SINGULAR
    solve_lower(gram, solved)
    solve_upper(gram, solved)
    spatial.conjugate(work.turn[:], work.turn[:])
    for i in range(6):
        state.O_F_ext_hat_K[i] = solved[i] if regular else 0.0
    spatial.rotate(work.turn[:], state.O_F_ext_hat_K[:3], state.K_F_ext_hat_K[:3])
    spatial.rotate(work.turn[:], state.O_F_ext_hat_K[3:], state.K_F_ext_hat_K[3:])


@njit(cache=True)
def stiffness_frame(robot: Record) -> None:
    """work.point (3,) and work.turn (4,) <- the stiffness frame K in base."""
    state, work = robot.state, robot.work
    end = state.O_T_EE
    kinematics.quaternion_of(end, work.turn[:])
    spatial.rotate(work.turn[:], state.EE_T_K[12:15], work.point[:])
    for i in range(3):
        work.point[i] += end[12 + i]
    kinematics.quaternion_of(state.EE_T_K[:], work.other_turn[:])
    spatial.multiply(work.turn[:], work.other_turn[:], work.turn[:])


@njit(cache=True)
def touch(robot: Record) -> None:
    """Contacts and collisions against the thresholds; a collision in a motion is a reflex, and stays until reset."""
    state, limits = robot.state, robot.thresholds
    fastest = 0.0
    for i in range(JOINTS):
        fastest = max(fastest, abs(state.ddq_d[i]))
    nominal = fastest < ACCELERATING
    for i in range(JOINTS):
        size = abs(state.tau_ext_hat_filtered[i])
        lower = limits.torque_lower_nominal[i] if nominal else limits.torque_lower_acceleration[i]
        upper = limits.torque_upper_nominal[i] if nominal else limits.torque_upper_acceleration[i]
        state.joint_contact[i] = 1.0 if size > lower else 0.0
        if size > upper and robot.moving == 1:
            state.joint_collision[i] = 1.0
            robot.errors[JOINT_REFLEX] = 1
    for i in range(6):
        size = abs(state.O_F_ext_hat_K[i])
        lower = limits.force_lower_nominal[i] if nominal else limits.force_lower_acceleration[i]
        upper = limits.force_upper_nominal[i] if nominal else limits.force_upper_acceleration[i]
        state.cartesian_contact[i] = 1.0 if size > lower else 0.0
        if size > upper and robot.moving == 1:
            state.cartesian_collision[i] = 1.0
            robot.errors[CARTESIAN_REFLEX] = 1


@njit(cache=True)
def check_measured(robot: Record) -> None:
    """Joint positions and speeds against the maker's limits."""
    state, limits = robot.state, robot.limits
    for i in range(JOINTS):
        if state.q[i] > limits.high[i] or state.q[i] < limits.low[i]:
            robot.errors[JOINT_POSITION_LIMITS] = 1
        if abs(state.dq[i]) > generators.speed_limit(robot, i, state.q[i], state.dq[i]):
            robot.errors[JOINT_VELOCITY] = 1


@njit(cache=True)
def check_torque(robot: Record, torque: Array) -> None:
    """The torque (n,) wanted now, without gravity, against range and rate."""
    state, limits = robot.state, robot.limits
    step = limits.torque_rate * robot.dt
    for i in range(JOINTS):
        total = torque[i] + robot.work.gravity[i] + robot.work.mismatch[i]
        if not max(abs(total), abs(torque[i])) <= limits.torque[i]:
            robot.errors[TORQUE_RANGE] = 1
        if robot.controller == EXTERNAL and abs(torque[i] - state.tau_J_d[i]) > step + ROUNDING:
            robot.errors[TORQUE_DISCONTINUITY] = 1


@njit(cache=True)
def advance(v: Views, robot: Record) -> None:
    """Apply tau_J_d for one period; the physics moves on by it."""
    state, work = robot.state, robot.work
    for i in range(JOINTS):
        work.column[i] = state.tau_J_d[i] + work.mismatch[i]
    loop.push(v, work.column)
    for i in range(JOINTS):
        state.dtau_J[i] = (v.tau[i] - state.tau_J[i]) / robot.dt
        state.tau_J[i] = v.tau[i]


@njit(cache=True)
def refresh(v: Views, robot: Record) -> None:
    """Bring what follows from the joints up to date, without time passing; the desired joints become the measured."""
    measure(v, robot)
    weigh(v, robot)
    estimate(v, robot)
    generators.desire_measured(robot)


@njit(cache=True)
def run(v: Views, robot: Record) -> None:
    """One millisecond. robot.errors holds what it raised; a motion with errors is being braked already.

    robot.command is what the client sent if robot.fresh, else its last one.
    """
    state, wanted = robot.state, robot.work.torque
    for i in range(robot.errors.shape[0]):
        robot.errors[i] = 0
    if robot.moving == 1:
        if robot.generator != NONE:
            generators.follow(robot)
        law.torque(v, robot)
        check_torque(robot, wanted)
        _brake_on_error(robot)
    if robot.moving == 0:
        law.rest(v, robot)
    spatial.copy(wanted, state.tau_J_d)
    robot.started += 1
    advance(v, robot)
    measure(v, robot)
    weigh(v, robot)
    estimate(v, robot)
    touch(robot)
    if robot.moving == 1:
        if robot.generator == NONE:
            generators.desire_measured(robot)
        check_measured(robot)
        _brake_on_error(robot)


@njit(cache=True)
def _brake_on_error(robot: Record) -> None:
    """End the motion if this cycle has raised an error."""
    for i in range(robot.errors.shape[0]):
        if robot.errors[i]:
            robot.moving, robot.holding = 0, 0
