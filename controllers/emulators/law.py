"""The robot's own controllers: joint and Cartesian impedance, and what holds the arm between motions.

The maker publishes no law, only its stiffness. These follow the desired motion with the arm's inertia, critically
damped for it.
"""

from __future__ import annotations

import math

from numba import njit

from controllers import spatial
from controllers.emulators import generators, kinematics
from controllers.emulators.wire import JOINTS, Controller
from controllers.impedance import Record, cholesky, solve_lower
from controllers.interface import Array
from controllers.twin.loop import Views

EXTERNAL, JOINT_IMPEDANCE = int(Controller.EXTERNAL), int(Controller.JOINT_IMPEDANCE)
BRAKING = 40.0
"""Rate at which the arm loses its speed when a motion ends, 1/s."""
STANDSTILL = 0.005
"""rad/s of every joint at which braking has ended."""
POSTURE = 20.0
"""Stiffness towards the desired joints that the Cartesian controller leaves to what the hand does not feel, Nm/rad."""


@njit(cache=True)
def torque(v: Views, robot: Record) -> None:
    """work.torque (n,) <- the torque of the running motion, Nm without gravity."""
    if robot.controller == EXTERNAL:
        spatial.copy(robot.command.tau_J_d, robot.work.torque)
    elif robot.controller == JOINT_IMPEDANCE:
        joint_impedance(v, robot)
    else:
        cartesian_impedance(v, robot)


@njit(cache=True)
def rest(v: Views, robot: Record) -> None:
    """work.torque (n,) <- what brakes the arm, then holds it at the desired joints."""
    state, work = robot.state, robot.work
    if robot.holding == 1:
        for i in range(JOINTS):
            state.dq_d[i], state.ddq_d[i] = 0.0, 0.0
        generators.command_desired(robot)
        joint_impedance(v, robot)
        return
    fastest = 0.0
    for i in range(JOINTS):
        fastest = max(fastest, abs(state.dq[i]))
        work.torque[i] = work.coriolis[i]
        for j in range(JOINTS):
            work.torque[i] -= BRAKING * v.arm_mass[i, j] * state.dq[j]
        limit = robot.limits.torque[i] - abs(work.gravity[i] + work.mismatch[i])
        work.torque[i] = min(max(work.torque[i], -limit), limit)
    generators.desire_measured(robot)
    if fastest < STANDSTILL:
        robot.holding = 1


@njit(cache=True)
def joint_impedance(v: Views, robot: Record) -> None:
    """work.torque (n,) <- M ddq_d + c + K (q_d - q) + D (dq_d - dq).

    What is desired is meant for the cycle's end, what is measured is from its start: the errors are those of the start.
    """
    state, work, dt = robot.state, robot.work, robot.dt
    for i in range(JOINTS):
        stiffness = robot.joint_stiffness[i]
        damping = 2.0 * math.sqrt(stiffness * v.arm_mass[i, i])
        work.torque[i] = work.coriolis[i] + stiffness * (state.q_d[i] - state.dq_d[i] * dt - state.q[i])
        work.torque[i] += damping * (state.dq_d[i] - state.ddq_d[i] * dt - state.dq[i])
        for j in range(JOINTS):
            work.torque[i] += v.arm_mass[i, j] * state.ddq_d[j]


@njit(cache=True)
def cartesian_impedance(v: Views, robot: Record) -> None:
    """work.torque (n,) <- M ddq_d + c + J^T (K e + D de) + posture; e, K, D along the axes of the stiffness frame."""
    state, work, drive = robot.state, robot.work, robot.work.drive
    kinematics.jacobian(work.axes[:], work.anchors[:], state.O_T_EE[12:15], work.jacobian[:])
    kinematics.quaternion_of(state.O_T_EE[:], work.turn[:])
    kinematics.quaternion_of(state.O_T_EE_d[:], work.other_turn[:])
    spatial.conjugate(work.turn[:], work.turn[:])
    spatial.multiply(work.other_turn[:], work.turn[:], work.other_turn[:])
    spatial.log(work.other_turn[:], work.error[3:])
    for i in range(3):
        work.error[i] = state.O_T_EE_d[12 + i] - state.O_T_EE[12 + i]
    for i in range(6):
        work.error[i] -= state.O_dP_EE_d[i] * robot.dt
        work.solved[i] = state.O_dP_EE_d[i]
        for k in range(JOINTS):
            work.solved[i] -= work.jacobian[i, k] * state.dq[k]
    # work.turn is the end effector's inverse: into its axes, then into the stiffness frame's
    kinematics.quaternion_of(state.EE_T_K[:], work.other_turn[:])
    spatial.conjugate(work.other_turn[:], work.other_turn[:])
    spatial.multiply(work.other_turn[:], work.turn[:], work.turn[:])
    for part in (0, 3):
        spatial.rotate(work.turn[:], work.error[part : part + 3], work.error[part : part + 3])
        spatial.rotate(work.turn[:], work.solved[part : part + 3], work.solved[part : part + 3])
    _felt_mass(v.arm_mass, work)
    for i in range(6):
        stiffness = robot.cartesian_stiffness[i]
        drive[i] = stiffness * work.error[i] + 2.0 * math.sqrt(stiffness * work.felt[i]) * work.solved[i]
    spatial.conjugate(work.turn[:], work.turn[:])
    for part in (0, 3):
        spatial.rotate(work.turn[:], drive[part : part + 3], drive[part : part + 3])
    _posture(robot, v.arm_mass)
    for i in range(JOINTS):
        work.torque[i] = work.coriolis[i] + work.column[i]
        for k in range(6):
            work.torque[i] += work.jacobian[k, i] * drive[k]
        for j in range(JOINTS):
            work.torque[i] += v.arm_mass[i, j] * state.ddq_d[j]


@njit(cache=True)
def _felt_mass(mass: Array, work: Record) -> None:
    """work.felt (6,) <- mass (kg, kg m2) of the hand along each axis of the stiffness frame, the others free."""
    cholesky(mass, work.mass)
    for row in range(6):
        for i in range(6):
            work.axis[i] = 0.0
        part = 3 * (row // 3)
        work.axis[row] = 1.0
        spatial.conjugate(work.turn[:], work.other_turn[:])
        spatial.rotate(work.other_turn[:], work.axis[part : part + 3], work.axis[part : part + 3])
        for k in range(JOINTS):
            work.column[k] = 0.0
            for i in range(6):
                work.column[k] += work.jacobian[i, k] * work.axis[i]
        solve_lower(work.mass, work.column)
        mobility = 0.0
        for k in range(JOINTS):
            mobility += work.column[k] ** 2
        work.felt[row] = 1.0 / max(mobility, 1e-3)


@njit(cache=True)
def _posture(robot: Record, mass: Array) -> None:
    """work.column (n,) <- pull towards the desired joints, less what the hand would feel of it at rest."""
    state, work = robot.state, robot.work
    for i in range(JOINTS):
        damping = 2.0 * math.sqrt(POSTURE * mass[i, i])
        work.column[i] = POSTURE * (state.q_d[i] - state.q[i]) + damping * (state.dq_d[i] - state.dq[i])
    for i in range(6):
        work.solved[i] = 0.0
        for k in range(JOINTS):
            work.solved[i] += work.jacobian[i, k] * work.column[k]
    generators.least_norm(work.jacobian, work.solved, work.gram, work.step)
    for i in range(JOINTS):
        work.column[i] -= work.step[i]
