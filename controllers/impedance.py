"""The control law: Cartesian impedance without inertia shaping, one compiled function for every arm.

    tau = J^T (K clip(e) - D (J dq - v_ff)) + N^T tau_posture - c M dq + bias

e = (p_ref - p, Log(R_ref R^T)) in base, along the shortest arc. K, D and the clip are diagonal in the
compliance frame (tool or base), turned into base each tick. N is dynamically consistent, so the posture
torque does not accelerate the tool; its damping is proportional to the mass matrix, hence positive and
stable at any step. c is zero but while latched. Linear parts first (m, N), then angular (rad, Nm).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from controllers import spatial
from controllers.interface import Array

PIVOT_FLOOR = 1e-6
"""Least Cholesky pivot: keeps the nullspace finite at a singularity, exact elsewhere."""


class LawArrays(NamedTuple):
    """What the law reads. stiffness, damping (6,), clip (12,), twist (6,) in base: see `PoseTarget`.

    joint_damping (1,): c above, 1/s. tool_frame (1,): 1.0 compliance frame is the tool's, 0.0 the base.
    posture (n,): rad. posture_gains (2,): stiffness Nm/rad, damping 1/s (times the mass matrix).
    """

    stiffness: Array
    damping: Array
    clip: Array
    twist: Array
    joint_damping: Array
    tool_frame: Array
    posture: Array
    posture_gains: Array


class Scratch(NamedTuple):
    """Memory of one tick. error, drive, damper (6,): pose error, and the wrenches it and motion cause, in base."""

    error: Array
    drive: Array
    damper: Array
    velocity: Array
    rotation: Array
    quaternion: Array
    factor: Array
    half: Array
    inverse: Array
    task: Array
    posture: Array
    joint: Array
    torque: Array


def scratch(joints: int) -> Scratch:
    """Preallocated memory for an arm of `joints` joints."""
    six = [np.zeros(6) for _ in range(4)]
    return Scratch(
        *six, np.zeros((3, 3)), np.zeros(4), np.zeros((joints, joints)), np.zeros((joints, 6)), np.zeros((6, 6)),
        np.zeros(6), np.zeros(joints), np.zeros(joints), np.zeros(joints),
    )  # fmt: skip


@njit(cache=True)
def cholesky(matrix, factor):
    """Lower factor (n, n) of a symmetric positive matrix (n, n); pivots are floored. Returns their product."""
    product = 1.0
    for i in range(matrix.shape[0]):
        for j in range(i + 1):
            total = matrix[i, j]
            for k in range(j):
                total -= factor[i, k] * factor[j, k]
            if i == j:
                factor[i, i] = math.sqrt(max(total, PIVOT_FLOOR))
                product *= factor[i, i]
            else:
                factor[i, j] = total / factor[j, j]
    return product


@njit(cache=True)
def solve_lower(factor, x):
    """x (n,) <- L^-1 x in place."""
    for i in range(x.shape[0]):
        for k in range(i):
            x[i] -= factor[i, k] * x[k]
        x[i] /= factor[i, i]


@njit(cache=True)
def solve_upper(factor, x):
    """x (n,) <- L^-T x in place."""
    for i in range(x.shape[0] - 1, -1, -1):
        for k in range(i + 1, x.shape[0]):
            x[i] -= factor[k, i] * x[k]
        x[i] /= factor[i, i]


@njit(cache=True)
def pose_error(position, quaternion, reference_position, reference_quaternion, work, error):
    """error (6,) <- (p_ref - p, Log(R_ref R^T)) in base, m and rad, along the shortest arc."""
    for i in range(3):
        error[i] = reference_position[i] - position[i]
    spatial.conjugate(quaternion, work)
    spatial.multiply(reference_quaternion, work, work)
    spatial.log(work, error[3:])


@njit(cache=True)
def task_wrench(law, jacobian, dq, position, quaternion, reference_position, reference_quaternion, work):
    """work.drive (6,) <- K clip(e) + D v_ff and work.damper (6,) <- -D J dq, both on the tool in base, N and Nm."""
    pose_error(position, quaternion, reference_position, reference_quaternion, work.quaternion, work.error)
    frame = spatial.matrix(quaternion, work.rotation)
    if law.tool_frame[0] == 0.0:
        for i in range(3):
            for j in range(3):
                frame[i, j] = 1.0 if i == j else 0.0
    for i in range(6):
        work.velocity[i] = 0.0
        for j in range(dq.shape[0]):
            work.velocity[i] += jacobian[i, j] * dq[j]
        work.drive[i] = 0.0
        work.damper[i] = 0.0
    for part in (0, 3):
        for axis in range(3):
            error, velocity, feed = 0.0, 0.0, 0.0
            for i in range(3):
                error += frame[i, axis] * work.error[part + i]
                velocity += frame[i, axis] * work.velocity[part + i]
                feed += frame[i, axis] * law.twist[part + i]
            row = part + axis
            error = min(max(error, law.clip[row]), law.clip[6 + row])
            drive = law.stiffness[row] * error + law.damping[row] * feed
            for i in range(3):
                work.drive[part + i] += frame[i, axis] * drive
                work.damper[part + i] -= frame[i, axis] * law.damping[row] * velocity


@njit(cache=True)
def posture_torque(law, jacobian, mass, q, dq, work):
    """work.posture (n,) <- N^T (k (q_home - q) - d M dq), Nm; N^T = I - J^T (J M^-1 J^T)^-1 J M^-1."""
    n = q.shape[0]
    stiffness, damping = law.posture_gains[0], law.posture_gains[1]
    for i in range(n):
        work.posture[i] = stiffness * (law.posture[i] - q[i])
        for j in range(n):
            work.posture[i] -= damping * mass[i, j] * dq[j]
        work.joint[i] = work.posture[i]
    cholesky(mass, work.factor)
    for column in range(6):
        for i in range(n):
            work.half[i, column] = jacobian[column, i]
        solve_lower(work.factor, work.half[:, column])
    for i in range(6):
        for j in range(i + 1):
            total = 0.0
            for k in range(n):
                total += work.half[k, i] * work.half[k, j]
            work.inverse[i, j] = total
    solve_lower(work.factor, work.joint)
    for i in range(6):
        work.task[i] = 0.0
        for k in range(n):
            work.task[i] += work.half[k, i] * work.joint[k]
    cholesky(work.inverse, work.inverse)
    solve_lower(work.inverse, work.task)
    solve_upper(work.inverse, work.task)
    for i in range(n):
        for k in range(6):
            work.posture[i] -= jacobian[k, i] * work.task[k]


@njit(cache=True)
def joint_torque(law, jacobian, mass, q, dq, work):
    """work.torque (n,) <- J^T (drive + damper) + N^T tau_posture - c M dq, Nm, without the bias."""
    posture_torque(law, jacobian, mass, q, dq, work)
    for i in range(q.shape[0]):
        total = work.posture[i]
        for k in range(6):
            total += jacobian[k, i] * (work.drive[k] + work.damper[k])
        for j in range(q.shape[0]):
            total -= law.joint_damping[0] * mass[i, j] * dq[j]
        work.torque[i] = total
