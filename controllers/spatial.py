"""Rotation maths on unit quaternions xyzw (ROS order), compiled and free of allocation.

Each function writes to `out` and returns it; without `out` it makes a new array. `out` may be an input.
Angles in rad; rotation vectors (3,) point along the axis with the angle as length.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from controllers.interface import Array

SMALL = 1e-12
"""Below this sine of the half angle (rad), first-order series are exact in double precision."""


@njit(cache=True)
def copy(a: Array, out: Array) -> Array:
    """Writes a (n,) to out. A slice assignment would compile seconds of shape checks with it."""
    for i in range(out.shape[0]):
        out[i] = a[i]
    return out


@njit(cache=True)
def multiply(a: Array, b: Array, out: Array | None = None) -> Array:
    """Hamilton product a b (4,): first rotate by b, then by a."""
    if out is None:
        out = np.empty(4)
    ax, ay, az, aw = a[0], a[1], a[2], a[3]
    bx, by, bz, bw = b[0], b[1], b[2], b[3]
    out[0] = aw * bx + ax * bw + ay * bz - az * by
    out[1] = aw * by - ax * bz + ay * bw + az * bx
    out[2] = aw * bz + ax * by - ay * bx + az * bw
    out[3] = aw * bw - ax * bx - ay * by - az * bz
    return out


@njit(cache=True)
def conjugate(a: Array, out: Array | None = None) -> Array:
    """Inverse rotation (4,) of a unit quaternion."""
    if out is None:
        out = np.empty(4)
    out[0], out[1], out[2], out[3] = -a[0], -a[1], -a[2], a[3]
    return out


@njit(cache=True)
def normalise(a: Array, out: Array | None = None) -> Array:
    """Unit quaternion (4,) along `a`; the identity if `a` is zero."""
    if out is None:
        out = np.empty(4)
    norm = math.sqrt(a[0] * a[0] + a[1] * a[1] + a[2] * a[2] + a[3] * a[3])
    if norm < SMALL:
        out[0], out[1], out[2], out[3] = 0.0, 0.0, 0.0, 1.0
    else:
        out[0], out[1], out[2], out[3] = a[0] / norm, a[1] / norm, a[2] / norm, a[3] / norm
    return out


@njit(cache=True)
def rotate(a: Array, v: Array, out: Array | None = None) -> Array:
    """Vector v (3,) turned by the unit quaternion a."""
    if out is None:
        out = np.empty(3)
    x, y, z, w = a[0], a[1], a[2], a[3]
    vx, vy, vz = v[0], v[1], v[2]
    tx = 2.0 * (y * vz - z * vy)
    ty = 2.0 * (z * vx - x * vz)
    tz = 2.0 * (x * vy - y * vx)
    out[0] = vx + w * tx + y * tz - z * ty
    out[1] = vy + w * ty + z * tx - x * tz
    out[2] = vz + w * tz + x * ty - y * tx
    return out


@njit(cache=True)
def log(a: Array, out: Array | None = None) -> Array:
    """Rotation vector (3,) of a unit quaternion along the shortest arc: length in [0, pi]."""
    if out is None:
        out = np.empty(3)
    sign = 1.0 if a[3] >= 0.0 else -1.0
    sine = math.sqrt(a[0] * a[0] + a[1] * a[1] + a[2] * a[2])
    scale = 2.0 * sign
    if sine > SMALL:
        scale = sign * 2.0 * math.atan2(sine, sign * a[3]) / sine
    out[0], out[1], out[2] = scale * a[0], scale * a[1], scale * a[2]
    return out


@njit(cache=True)
def exp(v: Array, out: Array | None = None) -> Array:
    """Unit quaternion (4,) of a rotation vector (3,)."""
    if out is None:
        out = np.empty(4)
    x, y, z = v[0], v[1], v[2]
    angle = math.sqrt(x * x + y * y + z * z)
    scale = 0.5 if angle < SMALL else math.sin(0.5 * angle) / angle
    out[0], out[1], out[2], out[3] = scale * x, scale * y, scale * z, math.cos(0.5 * angle)
    return out


@njit(cache=True)
def slerp(a: Array, b: Array, fraction: float, out: Array | None = None) -> Array:
    """Unit quaternion (4,) at `fraction` of the shortest arc from a (0) to b (1)."""
    if out is None:
        out = np.empty(4)
    cosine = a[0] * b[0] + a[1] * b[1] + a[2] * b[2] + a[3] * b[3]
    sign = 1.0 if cosine >= 0.0 else -1.0
    sx, sy, sz, sw = sign * b[0] - a[0], sign * b[1] - a[1], sign * b[2] - a[2], sign * b[3] - a[3]
    chord = 0.5 * math.sqrt(sx * sx + sy * sy + sz * sz + sw * sw)
    half = 2.0 * math.asin(min(1.0, chord))
    from_a, from_b = 1.0 - fraction, sign * fraction
    if half > 1e-6:
        from_a = math.sin(from_a * half) / math.sin(half)
        from_b = sign * math.sin(fraction * half) / math.sin(half)
    for i in range(4):
        out[i] = from_a * a[i] + from_b * b[i]
    return normalise(out, out)


@njit(cache=True)
def matrix(a: Array, out: Array | None = None) -> Array:
    """Rotation matrix (3, 3) of a unit quaternion."""
    if out is None:
        out = np.empty((3, 3))
    x, y, z, w = a[0], a[1], a[2], a[3]
    out[0, 0], out[0, 1], out[0, 2] = 1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)
    out[1, 0], out[1, 1], out[1, 2] = 2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)
    out[2, 0], out[2, 1], out[2, 2] = 2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)
    return out
