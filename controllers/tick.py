"""One compiled control period: the state of the reference, the law, the limits, in one record of an arm.

States: `hold` keeps the reference where it was seeded, `track` follows targets, `frozen` and `ramp` are what becomes
of a stale one, `latched` holds softly until a person recovers the arm.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from controllers import barriers, impedance, limits, spatial
from controllers.impedance import Record
from controllers.interface import Array

STATES = ("hold", "track", "frozen", "ramp", "latched")
HOLD, TRACK, FROZEN, RAMP, LATCHED = range(5)

LATCH_STIFFNESS = np.array([300.0, 300.0, 300.0, 5.0, 5.0, 5.0])
LATCH_CLIP = np.array([-0.05] * 3 + [-0.3] * 3 + [0.05] * 3 + [0.3] * 3)
LATCH_DAMPING = 60.0
"""While latched: N/m and Nm/rad, m and rad, and joint damping in 1/s of the mass matrix (translation: 3 x critical)."""

POSTURE_SPEED = 0.5
"""rad/s at which the posture that the nullspace seeks goes from where the arm was measured to what a target wants."""

LIGHTEST = 1e-6
"""Least inertia of a joint, kg m2: less is no arm's."""

ZEROS = np.zeros(6)


def arrays_type(joints: int) -> np.dtype:
    """Memory of one controller: one block that a compiled loop of any arm can read and write by name.

    Poses in base, m and unit quaternions xyzw; position, quaternion: the last measured. since_target: ticks since
    a target arrived, against deadman_at (hold at once), freeze_at, ramp_at and ramp_end. sent: torque last given
    to the arm, Nm; a backend that is told what the arm received writes that here. state: index of `STATES`. fault,
    fault_joint: see `limits.FAULTS`. seeded, started: whether a pose, a torque is known. counts: ticks by rule of
    `limits.COUNTED`. posture: joint angles (n,) that targets want the nullspace to seek, rad; posed: whether
    `law.posture` is on its way there, or is to be the angles of the next measurement.
    """
    poses = [(f"{name}position", "f8", (3,)) for name in ("", "target_", "reference_")]
    poses += [(f"{name}quaternion", "f8", (4,)) for name in ("", "target_", "reference_")]
    joint = [(name, "f8", (joints,)) for name in ("sent", "bias", "posture")]
    times = [(name, "f8") for name in ("dt", "filter_time")]
    ticks = ("since_target", "deadman_at", "freeze_at", "ramp_at", "ramp_end")
    whole = [(name, "i8") for name in (*ticks, "state", "fault", "fault_joint", "seeded", "started", "posed")]
    parts = [
        ("law", impedance.law_type(joints)),
        ("bounds", limits.bounds_type(joints)),
        ("work", impedance.scratch_type(joints)),
        ("counts", "i8", (len(limits.COUNTED),)),
    ]
    return np.dtype([*poses, *joint, *times, *whole, *parts], align=True)


@njit(cache=True)
def _valid(
    sent: Array, jacobian: Array, mass: Array, q: Array, dq: Array, bias: Array, position: Array, quaternion: Array
) -> bool:
    """Whether the measured state is finite, its joints have inertia, and its quaternion is a rotation."""
    total, lightest = 0.0, math.inf
    for i in range(q.shape[0]):
        total += abs(q[i]) + abs(dq[i]) + abs(bias[i]) + abs(sent[i])
        for k in range(6):
            total += abs(jacobian[k, i])
        for j in range(q.shape[0]):
            total += abs(mass[i, j])
        lightest = min(lightest, mass[i, i])
    for i in range(3):
        total += abs(position[i])
    norm = 0.0
    for i in range(4):
        norm += quaternion[i] * quaternion[i]
    return math.isfinite(total) and lightest > LIGHTEST and abs(norm - 1.0) < 0.01


@njit(cache=True)
def hold_here(arrays: Record) -> None:
    """Reference and target go to the last measured pose, the posture to the next measured one; no feed-forward."""
    arrays.posed = 0
    spatial.copy(arrays.position, arrays.target_position)
    spatial.copy(arrays.quaternion, arrays.target_quaternion)
    spatial.copy(arrays.position, arrays.reference_position)
    spatial.copy(arrays.quaternion, arrays.reference_quaternion)
    spatial.copy(ZEROS, arrays.law.twist)


@njit(cache=True)
def latch(arrays: Record, code: int, joint: int) -> None:
    """Holds the last measured pose, softly and with heavy damping, until `Controller.recover`."""
    if arrays.state == LATCHED:
        return
    arrays.state = LATCHED
    arrays.fault, arrays.fault_joint = code, joint
    hold_here(arrays)
    spatial.copy(LATCH_STIFFNESS, arrays.law.stiffness)
    spatial.copy(ZEROS, arrays.law.damping)
    spatial.copy(LATCH_CLIP, arrays.law.clip)
    arrays.law.joint_damping = LATCH_DAMPING


@njit(cache=True)
def _age(arrays: Record) -> None:
    """Without a new target the state moves on: frozen, then a ramp to the measured pose, then hold.

    Without a person's deadman (`deadman_at`) it holds at once.
    """
    if arrays.state == HOLD or arrays.state == LATCHED:
        return
    arrays.since_target += 1
    since = arrays.since_target
    if since > arrays.deadman_at:
        arrays.state = HOLD
        hold_here(arrays)
        return
    if arrays.state == TRACK and since > arrays.freeze_at:
        arrays.state = FROZEN
        spatial.copy(arrays.reference_position, arrays.target_position)
        spatial.copy(arrays.reference_quaternion, arrays.target_quaternion)
        spatial.copy(ZEROS, arrays.law.twist)
    if arrays.state == FROZEN and since > arrays.ramp_at:
        arrays.state = RAMP
    if arrays.state == RAMP:
        share = 1.0 / max(1, arrays.ramp_end - since)
        for i in range(3):
            arrays.reference_position[i] += share * (arrays.position[i] - arrays.reference_position[i])
        turn = arrays.reference_quaternion[:]
        spatial.slerp(turn, arrays.quaternion, share, turn)
        if since >= arrays.ramp_end:
            arrays.state = HOLD
            hold_here(arrays)


@njit(cache=True)
def _follow(arrays: Record, share: float) -> None:
    """Moves the reference towards the target: a first-order filter in seconds, no faster than the vendor allows.

    share (0 to 1) of that speed may be used. A reference inside the workspace stays inside.
    """
    bounds, dt = arrays.bounds, arrays.dt
    rate = 1.0 if arrays.filter_time <= 0.0 else 1.0 - math.exp(-dt / arrays.filter_time)
    position, turn = arrays.reference_position, arrays.reference_quaternion[:]
    inside = limits.inside(bounds, position, turn)
    distance, cosine = 0.0, 0.0
    for i in range(3):
        distance += (arrays.target_position[i] - position[i]) ** 2
    for i in range(4):
        cosine += arrays.target_quaternion[i] * turn[i]
    step = min(rate, share * bounds.linear * dt / max(math.sqrt(distance), 1e-12))
    for i in range(3):
        position[i] += step * (arrays.target_position[i] - position[i])
    angle = 2.0 * math.acos(min(1.0, abs(cosine)))
    spatial.slerp(turn, arrays.target_quaternion, min(rate, share * bounds.angular * dt / max(angle, 1e-12)), turn)
    if inside:
        limits.clamp_position(bounds, position)
        limits.clamp_rotation(bounds, turn)


@njit(cache=True)
def _pose_joints(arrays: Record, q: Array) -> None:
    """The posture holds the joints where they were measured (`hold_here`), and goes to a target's only to track it.

    Else an arm whose elbow is elsewhere than the task wants it would swing as soon as it is held, or stopped.
    """
    posture, step = arrays.law.posture[:], POSTURE_SPEED * arrays.dt
    if arrays.posed == 0:
        arrays.posed = 1
        spatial.copy(q, posture)
    if arrays.state == TRACK:
        for j in range(posture.shape[0]):
            posture[j] += min(max(arrays.posture[j] - posture[j], -step), step)


@njit(cache=True)
def _fall_back(arrays: Record, tau_out: Array) -> None:
    """Without a state to control by: the last known bias alone, reached at the torque rate."""
    for j in range(tau_out.shape[0]):
        if not math.isfinite(arrays.sent[j]):
            arrays.sent[j] = arrays.bias[j]
    spatial.copy(arrays.bias, tau_out)
    limits.limit_torque(arrays.bounds, arrays.sent, arrays.dt, tau_out, arrays.counts)
    spatial.copy(tau_out, arrays.sent)


@njit(cache=True)
def _observe(arrays: Record, q: Array, dq: Array, bias: Array, position: Array, quaternion: Array) -> None:
    """Takes in the measured state, at the first tick as the place to start from; latches if it breaks a limit."""
    spatial.copy(position, arrays.position)
    spatial.normalise(quaternion, arrays.quaternion[:])
    spatial.copy(bias, arrays.bias)
    if arrays.started == 0:
        arrays.started = 1
        spatial.copy(bias, arrays.sent)
    if arrays.seeded == 0:
        arrays.seeded = 1
        hold_here(arrays)
    code, joint = limits.fault(arrays.bounds, q, dq)
    if code != limits.NO_FAULT:
        latch(arrays, code, joint)


@njit(cache=True)
def _bar(arrays: Record, jacobian: Array, mass: Array, q: Array, dq: Array, pace: float, back: bool) -> bool:
    """Keeps work.torque (n,) within the barriers and the torque limits; True if it was not."""
    bounds, work = arrays.bounds, arrays.work
    barred = barriers.bar(
        bounds, jacobian, mass, q, dq, arrays.position, arrays.quaternion, pace, back, work, arrays.counts
    )
    if barred:
        limits.fit_torque(bounds, arrays.bias, work.torque, arrays.counts)
    return barred


@njit(cache=True)
def tick(
    arrays: Record,
    jacobian: Array,
    mass: Array,
    q: Array,
    dq: Array,
    bias: Array,
    position: Array,
    quaternion: Array,
    tau_out: Array,
) -> None:
    """One control period: tau_out (n,) in Nm from the measured state.

    jacobian (6, n): tool point, linear then angular, in base. mass (n, n) kg m2. q, dq (n,) rad, rad/s. bias (n,)
    Nm: Coriolis, and gravity where the robot does not add it. position (3,) m, quaternion (4,) xyzw of the tool.
    """
    work, law, bounds = arrays.work, arrays.law, arrays.bounds
    if not _valid(arrays.sent, jacobian, mass, q, dq, bias, position, quaternion):
        latch(arrays, limits.INVALID_STATE, 0)
        _fall_back(arrays, tau_out)
        return
    _observe(arrays, q, dq, bias, position, quaternion)
    _age(arrays)
    _pose_joints(arrays, q)
    dexterity = limits.manipulability(jacobian, work.inverse[:])
    if arrays.state == TRACK:
        _follow(arrays, limits.pace(bounds, dexterity, q, dq, arrays.counts))
        limits.clamp_feed(bounds, arrays.position, arrays.quaternion, law.twist)
    impedance.pose_error(
        arrays.position, arrays.quaternion, arrays.reference_position, arrays.reference_quaternion, work
    )
    impedance.task_wrench(law, jacobian, dq, arrays.quaternion, work)
    limits.cap_wrench(bounds, work.drive, work.velocity, arrays.counts)
    impedance.posture_torque(law, jacobian, mass, q, dq, work)
    barriers.steady(arrays.dt, work)
    impedance.joint_torque(jacobian, work)
    back = limits.inside(bounds, arrays.reference_position, arrays.reference_quaternion)
    damping = law.joint_damping
    if back:
        damping = max(damping, barriers.astray(bounds, arrays.position, work.velocity))
    if damping > 0.0:
        barriers.brake(bounds, damping, mass, dq, work)
    limits.fit_drive(bounds, work.joint, bias, work.torque, arrays.counts)
    limits.guard_joints(bounds, mass, q, dq, arrays.dt, work.torque, arrays.counts)
    pace = min(1.0, dexterity / bounds.manipulability)
    _bar(arrays, jacobian, mass, q, dq, pace, back)
    total = 0.0
    for j in range(q.shape[0]):
        tau_out[j] = work.torque[j] + arrays.bias[j]
        total += abs(tau_out[j])
    if not math.isfinite(total):
        latch(arrays, limits.INVALID_STATE, 0)
        _fall_back(arrays, tau_out)
        return
    limits.limit_torque(bounds, arrays.sent, arrays.dt, tau_out, arrays.counts)
    # once more, on what the torque's rate has left of it: joint by joint, that points elsewhere
    for j in range(q.shape[0]):
        work.torque[j] = tau_out[j] - arrays.bias[j]
    if _bar(arrays, jacobian, mass, q, dq, pace, back):
        for j in range(q.shape[0]):
            tau_out[j] = work.torque[j] + arrays.bias[j]
        limits.limit_torque(bounds, arrays.sent, arrays.dt, tau_out, arrays.counts)
    spatial.copy(tau_out, arrays.sent)


@njit(cache=True)
def follow(arrays: Record, jacobian: Array, q: Array, dq: Array, position: Array, quaternion: Array) -> None:
    """One control period of the reference alone, for an arm whose law runs elsewhere; arguments as in `tick`.

    The same ageing, limits and latches; what a law may do with the reference is that law's.
    """
    unit = arrays.work.factor[:]  # the joints' inertia is that law's too
    for j in range(q.shape[0]):
        unit[j, j] = 1.0
    if not _valid(arrays.sent, jacobian, unit, q, dq, arrays.bias, position, quaternion):
        latch(arrays, limits.INVALID_STATE, 0)
        return
    _observe(arrays, q, dq, arrays.bias, position, quaternion)
    _age(arrays)
    if arrays.state == TRACK:
        dexterity = limits.manipulability(jacobian, arrays.work.inverse[:])
        _follow(arrays, limits.pace(arrays.bounds, dexterity, q, dq, arrays.counts))
