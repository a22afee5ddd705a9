"""What an arm may do, and the compiled rules that keep it there.

The numbers are the vendor's; `SHARE` of them is what the filter lets through. Only the vendor's own limits latch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from controllers import spatial
from controllers.exceptions import ControllersError
from controllers.impedance import Record, cholesky
from controllers.interface import Array

Counts = NDArray[np.int64]

ROUNDING = 1e-7
"""m and rad; far above that of an angle near 0, which is about the root of double precision."""

SHARE = 0.8
"""Part of a vendor's limit that a command may use; for positions, of the range about its middle."""

COUNTED = ("torque", "torque_rate", "position", "velocity", "force", "power", "slowed", "fitted", "barred")
"""Rules of the compiled tick that clamp, in the order of their counters (in ticks)."""
TORQUE, TORQUE_RATE, POSITION, VELOCITY, FORCE, POWER, SLOWED, FITTED, BARRED = range(9)

JUMP = 8.0
"""A change of torque so many times what one tick allows is made by all joints in proportion. Joint by joint, as a
small one is made, the torques on the way would push where neither the old nor the new ones do."""
STOPPING = 0.05
"""A feed-forward towards the workspace's edge is held below the distance left over this time, s."""

FAULTS = ("", "stop", "invalid state", "joint position", "joint velocity", "reported by the robot")
"""Reasons of a latch, by code."""
NO_FAULT, STOPPED, INVALID_STATE, BEYOND_POSITION, BEYOND_VELOCITY, REPORTED = range(6)


JOINTWISE = ("low", "high", "velocity", "torque")
LOWERED = (*JOINTWISE, "torque_rate", "speed", "tool_speed", "stiffness", "damping", "force", "moment", "power")
"""What a cell may lower (`low`: raise), by the field of `ArmLimits`."""


@dataclass(frozen=True)
class ArmLimits:
    """A vendor's limits. Joint arrays (n,): rad, rad/s, Nm; torque_rate Nm/s.

    Joint velocity towards an end falls with the distance d left: min(velocity, sqrt(2 braking d) - offset).
    speed: Cartesian m/s, rad/s; the reference keeps to it. tool_speed: at most what the law drives the tool at (ours).
    force, moment, power: caps of what the law drives the tool with, N, Nm, W (ours).
    stiffness: highest (translation N/m, rotation Nm/rad) that the vendor allows. damping: highest that is stable
    at 1 kHz with room to spare (N s/m, Nm s/rad; ours).
    manipulability: sqrt(det J J^T) under which reference and joints slow down, a quarter of a good pose's.
    maker: limits that these were lowered from, whose breach latches; None: these.
    Raises `ControllersError` for numbers that make no sense.
    """

    low: Array
    high: Array
    velocity: Array
    velocity_offset: Array
    braking: Array
    torque: Array
    torque_rate: float
    speed: tuple[float, float]
    stiffness: tuple[float, float] = (3000.0, 300.0)
    damping: tuple[float, float] = (1000.0, 50.0)
    force: float = 100.0
    moment: float = 20.0
    power: float = 30.0
    tool_speed: tuple[float, float] = (0.5, 2.0)
    manipulability: float = 0.02
    maker: ArmLimits | None = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name != "maker" and np.isnan(np.asarray(value, dtype=float)).any():
                raise ControllersError(f"The limit '{name}' is {value}: give numbers.")
            if name not in ("low", "high", "velocity_offset", "maker") and not (np.asarray(value) > 0.0).all():
                raise ControllersError(f"The limit '{name}' is {value}: give what is above 0.")
        if not (self.low < self.high).all():
            raise ControllersError(f"Joint limits from {self.low} to {self.high} leave no range: raise the upper ones.")

    def lowered(self, **changes: Any) -> ArmLimits:
        """These limits with some lowered, for one cell; the maker's own stay the ones whose breach latches.

        Raises `ControllersError` for one that there is not, and for one beyond what it replaces.
        """
        for name, value in changes.items():
            if name not in LOWERED:
                raise ControllersError(f"There is no limit '{name}' to lower: choose from {', '.join(LOWERED)}.")
            old, new = np.asarray(getattr(self, name), dtype=float), np.asarray(value, dtype=float)
            if new.shape != old.shape:
                raise ControllersError(f"The limit '{name}' is {value}: give {old.size} numbers.")
            if not ((new >= old) if name == "low" else (new <= old)).all():
                raise ControllersError(f"The limit '{name}' is {value}, beyond the arm's {old}: give what lies within.")
        arrays = {name: np.asarray(value, dtype=float) for name, value in changes.items() if name in JOINTWISE}
        return replace(self, **{**changes, **arrays}, maker=self.maker or self)

    @property
    def soft(self) -> tuple[Array, Array]:
        """Ends (n,), (n,) of the range where no limit torque acts: `SHARE` of the vendor's about its middle."""
        middle, half = 0.5 * (self.high + self.low), 0.5 * SHARE * (self.high - self.low)
        return middle - half, middle + half


RANGES = ("low", "high", "velocity", "velocity_offset", "braking")


def bounds_type(joints: int) -> np.dtype:
    """Memory of `ArmLimits` and the workspace as the tick reads them.

    torque, torque_rate and speed are the share that commands get. soft_low, soft_high: rad.
    box (2, 3): low and high, m. start: quaternion that tilt and yaw (rad) are measured from. maker: ranges and speeds
    that latch.
    """
    names = ("soft_low", "soft_high", "torque", *RANGES)
    scalars = (
        "torque_rate",
        "force",
        "moment",
        "power",
        "linear",
        "angular",
        "tool_linear",
        "tool_angular",
        "manipulability",
        "tilt",
        "yaw",
    )
    return np.dtype(
        [
            *((name, "f8", (joints,)) for name in names),
            *((name, "f8") for name in scalars),
            ("box", "f8", (2, 3)),
            ("start", "f8", (4,)),
            ("maker", [(name, "f8", (joints,)) for name in RANGES]),
        ],
        align=True,
    )


def fill_bounds(bounds: Record, limits: ArmLimits, box: Array, start: Array, tilt: float, yaw: float) -> None:
    """Writes the limits and the workspace into a record of `bounds_type`."""
    for name in RANGES:
        bounds[name] = getattr(limits, name)
        bounds.maker[name] = getattr(limits.maker or limits, name)
    bounds.soft_low, bounds.soft_high = limits.soft
    bounds.torque, bounds.torque_rate = SHARE * limits.torque, SHARE * limits.torque_rate
    bounds.force, bounds.moment, bounds.power = limits.force, limits.moment, limits.power
    bounds.linear, bounds.angular = SHARE * limits.speed[0], SHARE * limits.speed[1]
    bounds.tool_linear = min(bounds.linear, limits.tool_speed[0])
    bounds.tool_angular = min(bounds.angular, limits.tool_speed[1])
    bounds.manipulability = limits.manipulability
    bounds.box, bounds.start = box, spatial.normalise(np.asarray(start, dtype=float))
    bounds.tilt, bounds.yaw = tilt, yaw


@njit(cache=True)
def clamp_position(bounds: Record, position: Array) -> bool:
    """Moves position (3,) into the box; True if it was outside."""
    moved = False
    for i in range(3):
        inside = min(max(position[i], bounds.box[0, i]), bounds.box[1, i])
        moved = moved or inside != position[i]
        position[i] = inside
    return moved


@njit(cache=True)
def swing_twist(bounds: Record, quaternion: Array) -> tuple[float, float, float, float]:
    """Splits a turn from the start pose: (tilt, its axis x, y in the start's tool plane, yaw about the tool axis).

    tilt in [0, pi], yaw in (-pi, pi], rad; rotation = start swing(tilt about x, y) twist(yaw about z).
    """
    s, q = bounds.start, quaternion
    x = s[3] * q[0] - s[0] * q[3] - s[1] * q[2] + s[2] * q[1]
    y = s[3] * q[1] + s[0] * q[2] - s[1] * q[3] - s[2] * q[0]
    z = s[3] * q[2] - s[0] * q[1] + s[1] * q[0] - s[2] * q[3]
    w = s[3] * q[3] + s[0] * q[0] + s[1] * q[1] + s[2] * q[2]
    half = math.atan2(z, w)
    axis_x = math.cos(half) * x - math.sin(half) * y
    axis_y = math.sin(half) * x + math.cos(half) * y
    size = math.hypot(axis_x, axis_y)
    tilt = 2.0 * math.atan2(size, math.hypot(z, w))
    if size > 0.0:
        axis_x, axis_y = axis_x / size, axis_y / size
    yaw = 2.0 * half
    if yaw > math.pi:
        yaw -= 2.0 * math.pi
    elif yaw <= -math.pi:
        yaw += 2.0 * math.pi
    return tilt, axis_x, axis_y, yaw


@njit(cache=True)
def inside(bounds: Record, position: Array, quaternion: Array) -> bool:
    """Whether a pose lies in the workspace, rounding aside: what was clamped to its edge is inside."""
    for i in range(3):
        if not bounds.box[0, i] - ROUNDING <= position[i] <= bounds.box[1, i] + ROUNDING:
            return False
    tilt, _, _, yaw = swing_twist(bounds, quaternion)
    return tilt <= bounds.tilt + ROUNDING and abs(yaw) <= bounds.yaw + ROUNDING


@njit(cache=True)
def clamp_rotation(bounds: Record, quaternion: Array) -> bool:
    """Turns a unit quaternion (4,) to within tilt and yaw of the start's; True if it was outside."""
    tilt, axis_x, axis_y, yaw = swing_twist(bounds, quaternion)
    if tilt <= bounds.tilt and abs(yaw) <= bounds.yaw:
        return False
    half_tilt = 0.5 * min(tilt, bounds.tilt)
    half_yaw = 0.5 * min(max(yaw, -bounds.yaw), bounds.yaw)
    sx, sy, sw = axis_x * math.sin(half_tilt), axis_y * math.sin(half_tilt), math.cos(half_tilt)
    z, w = math.sin(half_yaw), math.cos(half_yaw)
    quaternion[0] = sx * w + sy * z
    quaternion[1] = sy * w - sx * z
    quaternion[2] = sw * z
    quaternion[3] = sw * w
    spatial.multiply(bounds.start, quaternion, quaternion)
    return True


@njit(cache=True)
def clamp_feed(bounds: Record, position: Array, quaternion: Array, twist: Array) -> None:
    """Slows twist (6,), m/s and rad/s in base, before the tool at a pose leaves the workspace; none leads out of it."""
    for i in range(3):
        up = max(0.0, bounds.box[1, i] - position[i]) / STOPPING
        down = max(0.0, position[i] - bounds.box[0, i]) / STOPPING
        twist[i] = min(max(twist[i], -down), up)
    tilt, _, _, yaw = swing_twist(bounds, quaternion)
    left = math.inf
    if bounds.tilt < math.pi:
        left = bounds.tilt - tilt
    if bounds.yaw < math.pi:
        left = min(left, bounds.yaw - abs(yaw))
    fastest = max(0.0, left) / STOPPING
    speed = math.sqrt(twist[3] ** 2 + twist[4] ** 2 + twist[5] ** 2)
    if speed > fastest:
        for i in range(3, 6):
            twist[i] *= fastest / speed


@njit(cache=True)
def speed_limit(ranges: Record, joint: int, q: float, sign: float) -> float:
    """The vendor's joint speed (rad/s) at q, moving towards the end that `sign` points to. ranges: has `RANGES`."""
    left = ranges.high[joint] - q if sign > 0.0 else q - ranges.low[joint]
    braking = math.sqrt(2.0 * ranges.braking[joint] * max(0.0, left)) - ranges.velocity_offset[joint]
    return min(ranges.velocity[joint], max(0.0, braking))


@njit(cache=True)
def fault(bounds: Record, q: Array, dq: Array) -> tuple[int, int]:
    """(code, joint) of the first vendor limit that the arm is beyond, else (NO_FAULT, 0)."""
    for j in range(q.shape[0]):
        if q[j] > bounds.maker.high[j] or q[j] < bounds.maker.low[j]:
            return BEYOND_POSITION, j
        if abs(dq[j]) > speed_limit(bounds.maker, j, q[j], dq[j]):
            return BEYOND_VELOCITY, j
    return NO_FAULT, 0


@njit(cache=True)
def cap_wrench(bounds: Record, drive: Array, velocity: Array, counts: Counts) -> None:
    """Scales drive (6,) in N, Nm to the caps of force, moment, and power into the motion velocity (6,)."""
    power = 0.0
    for part in (0, 3):
        size = math.sqrt(drive[part] ** 2 + drive[part + 1] ** 2 + drive[part + 2] ** 2)
        cap = bounds.force if part == 0 else bounds.moment
        if size > cap:
            counts[FORCE] += 1
            for i in range(part, part + 3):
                drive[i] *= cap / size
        for i in range(part, part + 3):
            power += drive[i] * velocity[i]
    if power > bounds.power:
        counts[POWER] += 1
        for i in range(6):
            drive[i] *= bounds.power / power


@njit(cache=True)
def fit_drive(bounds: Record, drive: Array, bias: Array, torque: Array, counts: Counts) -> None:
    """Takes as much of the drive (n,) out of torque (n,) + bias (n,), Nm, as keeps every joint within its limit.

    All joints give up the same share: clamped one by one, the weakest alone would give way, and what is left would
    push the tool elsewhere.
    """
    share = 1.0
    for j in range(torque.shape[0]):
        excess = abs(torque[j] + bias[j]) - bounds.torque[j]
        part = drive[j] if torque[j] + bias[j] > 0.0 else -drive[j]
        if excess > 0.0 and part > 0.0:
            share = min(share, max(0.0, 1.0 - excess / part))
    if share < 1.0:
        counts[FITTED] += 1
        for j in range(torque.shape[0]):
            torque[j] -= (1.0 - share) * drive[j]


@njit(cache=True)
def guard_joints(bounds: Record, mass: Array, q: Array, dq: Array, dt: float, torque: Array, counts: Counts) -> None:
    """Keeps torque (n,) in Nm from driving a joint past its soft range; counts speeds above `SHARE` of the vendor's.

    Past the range, what drives the joint further is faded out (wholly within the first half of what is left to the
    vendor's limit, so no task force can win) and a spring brings it back. Its damper is bounded by the joint's own
    inertia, which keeps it stable at one step of dt (s).
    """
    for j in range(q.shape[0]):
        side = 1.0 if q[j] > bounds.soft_high[j] else -1.0
        depth = max(q[j] - bounds.soft_high[j], bounds.soft_low[j] - q[j])
        if depth > 0.0:
            counts[POSITION] += 1
            band = 0.5 * (bounds.high[j] - bounds.soft_high[j])
            outward = max(0.0, torque[j] * side)
            stiffness = bounds.torque[j] / band
            damping = min(2.0 * math.sqrt(stiffness * mass[j, j]), 0.5 * mass[j, j] / dt)
            torque[j] -= side * (min(1.0, depth / band) * outward + stiffness * depth) + damping * dq[j]
        if abs(dq[j]) > SHARE * speed_limit(bounds, j, q[j], dq[j]):
            counts[VELOCITY] += 1


@njit(cache=True)
def fit_torque(bounds: Record, bias: Array, torque: Array, counts: Counts) -> None:
    """Shrinks torque (n,) as a whole until no joint is beyond its limit with bias (n,), Nm: it still points there."""
    share = 1.0
    for j in range(torque.shape[0]):
        if abs(torque[j] + bias[j]) > bounds.torque[j]:
            room = bounds.torque[j] - (bias[j] if torque[j] > 0.0 else -bias[j])
            share = min(share, max(0.0, room / abs(torque[j]))) if torque[j] != 0.0 else share
    if share < 1.0:
        counts[FITTED] += 1
        for j in range(torque.shape[0]):
            torque[j] *= share


@njit(cache=True)
def limit_torque(bounds: Record, sent: Array, dt: float, torque: Array, counts: Counts) -> None:
    """Clamps torque (n,) to `SHARE` of the vendor's, then its change against `sent` (n,) to that of the rate.

    A change that takes long (`JUMP`) is made by all joints in proportion.
    """
    step, most = bounds.torque_rate * dt, 0.0
    for j in range(torque.shape[0]):
        clamped = min(max(torque[j], -bounds.torque[j]), bounds.torque[j])
        if clamped != torque[j]:
            counts[TORQUE] += 1
        torque[j] = clamped
        most = max(most, abs(clamped - sent[j]))
    if most > JUMP * step:
        for j in range(torque.shape[0]):
            torque[j] = sent[j] + (torque[j] - sent[j]) * (step / most)
    for j in range(torque.shape[0]):
        slow = min(max(torque[j], sent[j] - step), sent[j] + step)
        if slow != torque[j] or most > JUMP * step:
            counts[TORQUE_RATE] += 1
        torque[j] = min(max(slow, -bounds.torque[j]), bounds.torque[j])


@njit(cache=True)
def manipulability(jacobian: Array, square: Array) -> float:
    """sqrt(det J J^T) of a jacobian (6, n): 0 at a singularity. square (6, 6) is memory."""
    for i in range(6):
        for j in range(i + 1):
            total = 0.0
            for k in range(jacobian.shape[1]):
                total += jacobian[i, k] * jacobian[j, k]
            square[i, j] = total
    return cholesky(square, square)


@njit(cache=True)
def pace(bounds: Record, dexterity: float, q: Array, dq: Array, counts: Counts) -> float:
    """Share (0 to 1) of its speed that the reference may use: less near a singularity or a joint's speed limit.

    dexterity: `manipulability`. Never zero at a singularity, or the arm could not leave it.
    """
    share = min(1.0, max(0.05, dexterity / bounds.manipulability))
    for j in range(q.shape[0]):
        vendor = speed_limit(bounds, j, q[j], 1.0 if dq[j] > 0.0 else -1.0)
        excess = abs(dq[j]) - SHARE * vendor
        if excess > 0.0:
            share = min(share, max(0.05, 1.0 - excess / (0.5 * (1.0 - SHARE) * vendor + 1e-9)))
    if share < 1.0:
        counts[SLOWED] += 1
    return share
