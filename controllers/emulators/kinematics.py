"""Kinematics of the arm at any joint angles, compiled: the desired pose is elsewhere than the measured one."""

from __future__ import annotations

import math

from numba import njit

from controllers import spatial
from controllers.emulators.wire import JOINTS
from controllers.impedance import Record
from controllers.interface import Array


@njit(cache=True)
def forward(chain: Record, q: Array, axes: Array, anchors: Array, position: Array, quaternion: Array) -> None:
    """Flange pose (3,), (4,) at q (n,); axes (n, 3) and anchors (n, 3) of the joints. All in base, m and xyzw.

    `quaternion` must not share memory with the chain.
    """
    half = position  # borrowed until the end of each step
    position[0], position[1], position[2] = 0.0, 0.0, 0.0
    quaternion[0], quaternion[1], quaternion[2], quaternion[3] = 0.0, 0.0, 0.0, 1.0
    x, y, z = 0.0, 0.0, 0.0
    for i in range(JOINTS + 1):
        spatial.rotate(quaternion, chain.position[i], half)
        x, y, z = x + half[0], y + half[1], z + half[2]
        spatial.multiply(quaternion, chain.quaternion[i], quaternion)
        if i == JOINTS:
            break
        anchors[i, 0], anchors[i, 1], anchors[i, 2] = x, y, z
        axis(quaternion, axes[i])
        turn_about_z(quaternion, q[i])
    position[0], position[1], position[2] = x, y, z


@njit(cache=True)
def axis(quaternion: Array, out: Array) -> None:
    """Out (3,) <- the z axis of a frame."""
    x, y, z, w = quaternion[0], quaternion[1], quaternion[2], quaternion[3]
    out[0], out[1], out[2] = 2.0 * (x * z + w * y), 2.0 * (y * z - w * x), 1.0 - 2.0 * (x * x + y * y)


@njit(cache=True)
def turn_about_z(quaternion: Array, angle: float) -> None:
    """Turns the frame (4,) about its own z by angle (rad)."""
    sine, cosine = math.sin(0.5 * angle), math.cos(0.5 * angle)
    x, y, z, w = quaternion[0], quaternion[1], quaternion[2], quaternion[3]
    quaternion[0], quaternion[1] = x * cosine + y * sine, y * cosine - x * sine
    quaternion[2], quaternion[3] = z * cosine + w * sine, w * cosine - z * sine


@njit(cache=True)
def jacobian(axes: Array, anchors: Array, point: Array, out: Array) -> None:
    """Out (6, n) <- velocity of a point (3,) that moves with the flange, linear then angular, per joint; in base."""
    for i in range(JOINTS):
        ax, ay, az = axes[i, 0], axes[i, 1], axes[i, 2]
        rx, ry, rz = point[0] - anchors[i, 0], point[1] - anchors[i, 1], point[2] - anchors[i, 2]
        out[0, i], out[1, i], out[2, i] = ay * rz - az * ry, az * rx - ax * rz, ax * ry - ay * rx
        out[3, i], out[4, i], out[5, i] = ax, ay, az


@njit(cache=True)
def apply(position: Array, quaternion: Array, frame: Array, out: Array) -> None:
    """Out (16,) <- the pose times a frame (16,), both column-major 4x4."""
    x, y, z, w = quaternion[0], quaternion[1], quaternion[2], quaternion[3]
    a, b, c = 1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)
    d, e, f = 2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)
    g, h, i = 2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)
    for column in range(4):
        u, v, t = frame[4 * column], frame[4 * column + 1], frame[4 * column + 2]
        one = frame[4 * column + 3]
        out[4 * column] = a * u + b * v + c * t + one * position[0]
        out[4 * column + 1] = d * u + e * v + f * t + one * position[1]
        out[4 * column + 2] = g * u + h * v + i * t + one * position[2]
        out[4 * column + 3] = one


@njit(cache=True)
def quaternion_of(pose: Array, out: Array) -> None:
    """Out (4,) <- the unit quaternion of a pose (16,), column-major 4x4."""
    m00, m10, m20, m01, m11, m21 = pose[0], pose[1], pose[2], pose[4], pose[5], pose[6]
    m02, m12, m22 = pose[8], pose[9], pose[10]
    trace = m00 + m11 + m22
    if trace > 0.0:
        out[0], out[1], out[2], out[3] = m21 - m12, m02 - m20, m10 - m01, 1.0 + trace
    elif m00 >= m11 and m00 >= m22:
        out[0], out[1], out[2], out[3] = 1.0 + m00 - m11 - m22, m01 + m10, m02 + m20, m21 - m12
    elif m11 >= m22:
        out[0], out[1], out[2], out[3] = m01 + m10, 1.0 + m11 - m00 - m22, m12 + m21, m02 - m20
    else:
        out[0], out[1], out[2], out[3] = m02 + m20, m12 + m21, 1.0 + m22 - m00 - m11, m10 - m01
    spatial.normalise(out, out)
