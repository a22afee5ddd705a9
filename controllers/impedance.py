"""The control law: Cartesian impedance without inertia shaping, one compiled function for every arm.

    tau = J^T (K clip(e) - D (J dq - v_ff)) + N^T tau_posture + bias

e = (p_ref - p, Log(R_ref R^T)) in base, along the shortest arc. K, D and the clip are diagonal in the
compliance frame (tool or base), turned into base each tick. N is dynamically consistent, so the posture
torque does not accelerate the tool; its damping is proportional to the mass matrix, hence positive and
stable at any step. Linear parts first (m, N), then angular (rad, Nm).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from controllers import spatial
from controllers.interface import Array

Record = Any
"""One element of a structured array, fields by name: `np.record`."""

PIVOT_FLOOR = 1e-6
"""Least Cholesky pivot: keeps the nullspace finite at a singularity, exact elsewhere."""


def law_type(joints: int) -> np.dtype:
    """Memory of what the law reads; stiffness, damping, clip, twist (base): see `PoseTarget`.

    joint_damping: of all joints while latched, 1/s (`barriers.brake`). tool_frame: 1 if the compliance frame is the
    tool's, 0 if the base. posture: angles that the nullspace seeks, rad, with posture_stiffness Nm/rad and
    posture_damping 1/s.
    """
    return np.dtype(
        [
            ("stiffness", "f8", (6,)),
            ("damping", "f8", (6,)),
            ("clip", "f8", (12,)),
            ("twist", "f8", (6,)),
            ("posture", "f8", (joints,)),
            ("posture_stiffness", "f8"),
            ("posture_damping", "f8"),
            ("joint_damping", "f8"),
            ("tool_frame", "i8"),
        ],
        align=True,
    )


def scratch_type(joints: int) -> np.dtype:
    """Memory of one tick. error: pose error; drive, damper: the wrenches that it and motion cause; all in base."""
    six = [(name, "f8", (6,)) for name in ("error", "velocity", "drive", "damper", "task")]
    joint = [(name, "f8", (joints,)) for name in ("posture", "joint", "torque", "whitened", "row")]
    matrices = [("factor", "f8", (joints, joints)), ("half", "f8", (6, joints)), ("inverse", "f8", (6, 6))]
    small = [("frame", "f8", (3, 3)), ("turn", "f8", (4,)), ("direction", "f8", (3,))]
    return np.dtype([*six, *joint, *matrices, *small], align=True)


@njit(cache=True)
def cholesky(matrix: Array, factor: Array) -> float:
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
def solve_lower(factor: Array, x: Array) -> None:
    """Replaces x (n,) by L^-1 x."""
    for i in range(x.shape[0]):
        for k in range(i):
            x[i] -= factor[i, k] * x[k]
        x[i] /= factor[i, i]


@njit(cache=True)
def solve_upper(factor: Array, x: Array) -> None:
    """Replaces x (n,) by L^-T x."""
    for i in range(x.shape[0] - 1, -1, -1):
        for k in range(i + 1, x.shape[0]):
            x[i] -= factor[k, i] * x[k]
        x[i] /= factor[i, i]


@njit(cache=True)
def pose_error(
    position: Array, quaternion: Array, reference_position: Array, reference_quaternion: Array, work: Record
) -> None:
    """work.error (6,) <- (p_ref - p, Log(R_ref R^T)) in base, m and rad, along the shortest arc."""
    for i in range(3):
        work.error[i] = reference_position[i] - position[i]
    turn = work.turn[:]
    spatial.multiply(reference_quaternion, spatial.conjugate(quaternion, turn), turn)
    spatial.log(turn, work.error[3:])


@njit(cache=True)
def task_wrench(law: Record, jacobian: Array, dq: Array, quaternion: Array, work: Record) -> None:
    """work.drive (6,) <- K clip(error) + D v_ff, work.damper (6,) <- -D J dq: on the tool, in base, N and Nm."""
    frame = spatial.matrix(quaternion, work.frame[:])
    if law.tool_frame == 0:
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
def posture_torque(law: Record, jacobian: Array, mass: Array, q: Array, dq: Array, work: Record) -> None:
    """work.posture (n,) <- N^T (k (q_home - q) - d M dq), Nm; N^T = I - J^T (J M^-1 J^T)^-1 J M^-1.

    work.factor (n, n) <- L with L L^T = M, work.half (6, n) <- J L^-T.
    """
    n = q.shape[0]
    stiffness, damping = law.posture_stiffness, law.posture_damping
    for i in range(n):
        work.posture[i] = stiffness * (law.posture[i] - q[i])
        for j in range(n):
            work.posture[i] -= damping * mass[i, j] * dq[j]
        work.joint[i] = work.posture[i]
    factor, half, inverse, task = work.factor[:], work.half[:], work.inverse[:], work.task[:]
    cholesky(mass, factor)
    for row in range(6):
        for i in range(n):
            half[row, i] = jacobian[row, i]
        solve_lower(factor, half[row])
    for i in range(6):
        for j in range(i + 1):
            total = 0.0
            for k in range(n):
                total += half[i, k] * half[j, k]
            inverse[i, j] = total
    solve_lower(factor, work.joint[:])
    for i in range(6):
        task[i] = 0.0
        for k in range(n):
            task[i] += half[i, k] * work.joint[k]
    cholesky(inverse, inverse)
    solve_lower(inverse, task)
    solve_upper(inverse, task)
    for i in range(n):
        for k in range(6):
            work.posture[i] -= jacobian[k, i] * task[k]


@njit(cache=True)
def joint_torque(jacobian: Array, work: Record) -> None:
    """work.torque (n,) <- J^T (drive + damper) + N^T tau_posture, Nm, without the bias.

    work.joint (n,) <- what the drive has in it, J^T drive.
    """
    for i in range(jacobian.shape[1]):
        total = work.posture[i]
        work.joint[i] = 0.0
        for k in range(6):
            work.joint[i] += jacobian[k, i] * work.drive[k]
            total += jacobian[k, i] * (work.drive[k] + work.damper[k])
        work.torque[i] = total
