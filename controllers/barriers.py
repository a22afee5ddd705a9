"""What keeps the arm from going where it could not stop in time: bounds of its acceleration, compiled.

Limits alone come too late: a torque that drives a joint can only be taken back at the rate that the robot allows, which
takes up to 0.1 s. So speeds are bounded by the distance that is left to stop in, and accelerations by the speed that is
left. An acceleration beyond its bound is brought back to it by the least change of torque, in the measure of kinetic
energy: for the tool a force at the tool, for a joint one that leaves the other joints alone. Nothing here acts as
long as the bounds are kept; then the law's torque passes untouched, bit for bit.
"""

from __future__ import annotations

import math

from numba import njit

from controllers import limits, spatial
from controllers.impedance import Record, solve_lower, solve_upper
from controllers.interface import Array
from controllers.limits import BARRED, SHARE, Counts

LINEAR_TIME, ANGULAR_TIME, JOINT_TIME = 0.03, 0.02, 0.08
"""Time, s, in which a speed may at the soonest reach its bound, and the tool its edge: shorter than any task's springs
need close to the edge, or these would be weakened there."""
BRAKING_TIME = 0.02
"""Time, s, in which a speed beyond its bound comes back to it."""
LINEAR_BRAKING, ANGULAR_BRAKING, JOINT_BRAKING = 2.0, 10.0, 5.0
"""Deceleration, m/s2 and rad/s2, that every arm has in every pose."""
EDGE = (0.002, 0.01)
"""m, rad: so far outside the workspace is still taken for its edge, for the law's own errors are of that size."""
MOBILITY = (0.02, 0.2)
"""Least inverse inertia, 1/kg and 1/(kg m2), that a tool is moved with: less is a singularity's."""
JERK = 0.2
"""Share of the torque rate that a joint alone may count on: joints that move together need each other's."""
SLOWEST = 0.1
"""Share of its speed that a joint keeps at a singularity."""
RETURN_TIME = 0.1
"""Time, s, in which a tool that is outside comes back to the edge: its path's own curve would carry it on."""
ASTRAY = (0.005, 0.02, 30.0)
"""m past the edge and m/s outwards at which a tool is wholly astray, and the damping, 1/s, of all joints then."""
STEADY = 0.5
"""Most that a tool's damper takes of its speed in one tick, for the next measurement may be late."""


@njit(cache=True)
def approach(left: float, speed: float, time: float, braking: float) -> float:
    """Speed allowed towards an edge `left` (m, rad) away, at `speed` now: one that can be braked in time."""
    distance = max(0.0, left - time * max(0.0, speed))
    return min(distance / time, math.sqrt(2.0 * braking * distance))


@njit(cache=True)
def _most(room: float, time: float, jerk: float) -> float:
    """Acceleration allowed with `room` (m/s, rad/s) to the speed's bound; below 0: beyond it.

    To the bound exponentially, and never with more than can be taken back, at `jerk`, by the time it is reached.
    """
    if room > 0.0:
        return min(room / time, math.sqrt(2.0 * jerk * room))
    return -min(-room / BRAKING_TIME, math.sqrt(-2.0 * jerk * room))


@njit(cache=True)
def _restrain(bounds: Record, jacobian: Array, work: Record, part: int, room: float, time: float, floor: float) -> bool:
    """Bounds the tool's acceleration along work.direction (3,), linear (part 0) or angular (3); True if it was more."""
    row, mobility, acceleration, lever = work.row[:], 0.0, 0.0, 1e-9
    for j in range(row.shape[0]):
        total, arm = 0.0, 0.0
        for i in range(3):
            total += work.direction[i] * work.half[part + i, j]
            arm += work.direction[i] * jacobian[part + i, j]
        row[j] = total
        mobility += total * total
        acceleration += total * work.whitened[j]
        lever = max(lever, abs(arm))
    most = _most(room, time, JERK * bounds.torque_rate * mobility / lever)
    if acceleration <= most:
        return False
    change = (acceleration - most) / max(mobility, floor)
    for j in range(row.shape[0]):
        work.whitened[j] -= change * row[j]
    return True


@njit(cache=True)
def _point(work: Record, x: float, y: float, z: float) -> None:
    work.direction[0], work.direction[1], work.direction[2] = x, y, z


@njit(cache=True)
def _slow_tool(bounds: Record, jacobian: Array, work: Record) -> bool:
    """Bounds linear and angular speed."""
    barred = False
    for part in (0, 3):
        x, y, z = work.velocity[part], work.velocity[part + 1], work.velocity[part + 2]
        speed = math.sqrt(x * x + y * y + z * z)
        if speed > 1e-6:
            _point(work, x / speed, y / speed, z / speed)
            fastest = bounds.tool_linear if part == 0 else bounds.tool_angular
            time = LINEAR_TIME if part == 0 else ANGULAR_TIME
            barred = _restrain(bounds, jacobian, work, part, fastest - speed, time, MOBILITY[part // 3]) or barred
    return barred


@njit(cache=True)
def _towards(left: float, speed: float, time: float, braking: float, back: bool) -> float:
    """Speed allowed towards an edge of the workspace; below 0: back to it, if `back` says that the reference is in."""
    if left < 0.0 and back:
        return left / RETURN_TIME
    return approach(left, speed, time, braking)


@njit(cache=True)
def _keep_in_box(bounds: Record, jacobian: Array, position: Array, back: bool, work: Record) -> bool:
    barred = False
    for axis in range(3):
        for side in (-1.0, 1.0):
            left = bounds.box[1, axis] - position[axis] if side > 0.0 else position[axis] - bounds.box[0, axis]
            speed = side * work.velocity[axis]
            room = _towards(left + EDGE[0], speed, LINEAR_TIME, LINEAR_BRAKING, back) - speed
            _point(work, 0.0, 0.0, 0.0)
            work.direction[axis] = side
            barred = _restrain(bounds, jacobian, work, 0, room, LINEAR_TIME, MOBILITY[0]) or barred
    return barred


@njit(cache=True)
def _keep_upright(bounds: Record, jacobian: Array, quaternion: Array, back: bool, work: Record) -> bool:
    """Bounds tilt and yaw: the tilt turns about its own axis, the yaw about the mean of the two tool axes."""
    tilt, axis_x, axis_y, yaw = limits.swing_twist(bounds, quaternion)
    barred, axis = False, work.direction[:]
    if bounds.tilt < math.pi:
        _point(work, axis_x, axis_y, 0.0)
        spatial.rotate(bounds.start, axis, axis)
        barred = _turn(bounds, jacobian, work, bounds.tilt - tilt, back)
    if bounds.yaw < math.pi:
        # start and tool axis, z of both: their sum turns with the yaw alone
        spatial.matrix(quaternion, work.frame[:])
        _point(work, 0.0, 0.0, 1.0)
        spatial.rotate(bounds.start, axis, axis)
        _point(work, axis[0] + work.frame[0, 2], axis[1] + work.frame[1, 2], axis[2] + work.frame[2, 2])
        size = math.sqrt(axis[0] * axis[0] + axis[1] * axis[1] + axis[2] * axis[2])
        if size > 0.1:
            _point(work, axis[0] / size, axis[1] / size, axis[2] / size)
            barred = _turn(bounds, jacobian, work, bounds.yaw - yaw, back) or barred
            _point(work, -axis[0], -axis[1], -axis[2])
            barred = _turn(bounds, jacobian, work, bounds.yaw + yaw, back) or barred
    return barred


@njit(cache=True)
def _turn(bounds: Record, jacobian: Array, work: Record, left: float, back: bool) -> bool:
    speed = 0.0
    for i in range(3):
        speed += work.direction[i] * work.velocity[3 + i]
    room = _towards(left + EDGE[1], speed, ANGULAR_TIME, ANGULAR_BRAKING, back) - speed
    return _restrain(bounds, jacobian, work, 3, room, ANGULAR_TIME, MOBILITY[1])


@njit(cache=True)
def joint_speed(bounds: Record, joint: int, q: float, dq: float, sign: float) -> float:
    """Speed (rad/s) that a joint may have towards the end that `sign` points to.

    `SHARE` of the vendor's where it will be in a moment, and one that stops half-way from the soft range to the end.
    """
    ahead = q + sign * JOINT_TIME * max(0.0, sign * dq)
    vendor = SHARE * limits.speed_limit(bounds, joint, ahead, sign)
    end = 0.5 * (bounds.high[joint] + bounds.soft_high[joint])
    left = end - q
    if sign < 0.0:
        left = q - 0.5 * (bounds.low[joint] + bounds.soft_low[joint])
    return min(vendor, approach(left, sign * dq, JOINT_TIME, JOINT_BRAKING))


@njit(cache=True)
def _keep_joints(bounds: Record, mass: Array, q: Array, dq: Array, pace: float, work: Record) -> bool:
    """Bounds each joint's acceleration, leaving the others'. pace: share (0 to 1) of its speed that a joint may use."""
    n, barred = q.shape[0], False
    spatial.copy(work.whitened, work.row)
    solve_upper(work.factor[:], work.row[:])
    for j in range(n):
        jerk = JERK * bounds.torque_rate / mass[j, j]
        up = _most(pace * joint_speed(bounds, j, q[j], dq[j], 1.0) - dq[j], JOINT_TIME, jerk)
        down = -_most(pace * joint_speed(bounds, j, q[j], dq[j], -1.0) + dq[j], JOINT_TIME, jerk)
        if down > up:  # too fast for either side: to rest
            up = down = 0.5 * (up + down)
        kept = min(max(work.row[j], down), up)
        if kept != work.row[j]:
            barred = True
            work.row[j] = kept
    if barred:  # whitened = L^T acceleration
        for i in range(n):
            total = 0.0
            for k in range(i, n):
                total += work.factor[k, i] * work.row[k]
            work.whitened[i] = total
    return barred


@njit(cache=True)
def bar(
    bounds: Record,
    jacobian: Array,
    mass: Array,
    q: Array,
    dq: Array,
    position: Array,
    quaternion: Array,
    pace: float,
    back: bool,
    work: Record,
    counts: Counts,
) -> bool:
    """Changes work.torque (n,) in Nm, without bias, so that speeds, workspace and joint ranges are kept.

    Needs work.factor, half and velocity as the law left them. pace: share (0 to 1) of its speed that a joint may use
    in this pose. back: whether a tool outside the workspace is to come back. What comes later goes before: the slowness
    near a singularity gives way to the workspace, and this to the joints' own limits.
    """
    spatial.copy(work.torque, work.whitened)
    solve_lower(work.factor[:], work.whitened[:])
    barred = False
    if pace < 1.0:
        barred = _keep_joints(bounds, mass, q, dq, max(SLOWEST, pace), work)
    barred = _slow_tool(bounds, jacobian, work) or barred
    barred = _keep_in_box(bounds, jacobian, position, back, work) or barred
    barred = _keep_upright(bounds, jacobian, quaternion, back, work) or barred
    barred = _keep_joints(bounds, mass, q, dq, 1.0, work) or barred
    if not barred:
        return False
    counts[BARRED] += 1
    n = q.shape[0]
    for i in range(n):  # torque = L whitened
        total = 0.0
        for k in range(i + 1):
            total += work.factor[i, k] * work.whitened[k]
        work.torque[i] = total
    return True


@njit(cache=True)
def steady(dt: float, work: Record) -> None:
    """Shrinks work.damper (6,) where it would take more than `STEADY` of the tool's speed in one tick of dt (s).

    Whatever gains are asked for, on whatever arm. Needs work.half as the law left it.
    """
    power, change = 0.0, 0.0
    for i in range(6):
        power -= work.damper[i] * work.velocity[i]
    for j in range(work.half.shape[1]):
        total = 0.0
        for i in range(6):
            total += work.damper[i] * work.half[i, j]
        change += total * total
    if dt * change > max(0.0, STEADY * power):
        for i in range(6):
            work.damper[i] *= max(0.0, STEADY * power) / (dt * change)


@njit(cache=True)
def astray(bounds: Record, position: Array, velocity: Array) -> float:
    """Damping (1/s) of all joints while the tool at position (3,) is outside its box and goes on, at velocity (6,).

    When what joints may do leaves no way back to the box, the arm is at least to stand.
    """
    worst = 0.0
    for i in range(3):
        up = min((position[i] - bounds.box[1, i] - EDGE[0]) / ASTRAY[0], velocity[i] / ASTRAY[1])
        down = min((bounds.box[0, i] - position[i] - EDGE[0]) / ASTRAY[0], -velocity[i] / ASTRAY[1])
        worst = max(worst, up, down)
    return ASTRAY[2] * min(1.0, worst)


@njit(cache=True)
def brake(bounds: Record, damping: float, mass: Array, dq: Array, work: Record) -> None:
    """Takes a deceleration of damping (1/s) times dq from work.torque (n,), less where it could not be taken back.

    A torque that brakes harder than sqrt(2 jerk speed) would still be there when the joint has come to rest, and
    throw it back.
    """
    n = dq.shape[0]
    for j in range(n):
        speed = abs(dq[j])
        most = math.sqrt(2.0 * JERK * bounds.torque_rate / mass[j, j] * speed)
        work.row[j] = math.copysign(min(damping * speed, most), dq[j])
    for i in range(n):
        for j in range(n):
            work.torque[i] -= mass[i, j] * work.row[j]
