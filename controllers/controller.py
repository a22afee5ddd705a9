"""One arm's controller: who may command it, what its reference does, and the torque of one control period.

`Controller` is the only way in: every target passes its checks. `tick` is the compiled period that reads and
writes the record `Controller.arrays`, in the process that owns the arm and in one thread with `submit`.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from controllers import impedance, limits, spatial
from controllers.exceptions import ArmLatched, CommandRejected
from controllers.impedance import Record
from controllers.interface import OWNERS, Array, Pose, PoseTarget

if TYPE_CHECKING:
    from tasks.spec import Gains, Workspace

STATES = ("hold", "track", "frozen", "ramp", "latched")
HOLD, TRACK, FROZEN, RAMP, LATCHED = range(5)

LATCH_STIFFNESS = np.array([300.0, 300.0, 300.0, 5.0, 5.0, 5.0])
LATCH_CLIP = np.array([-0.05] * 3 + [-0.3] * 3 + [0.05] * 3 + [0.3] * 3)
LATCH_DAMPING = 60.0
"""While latched: N/m and Nm/rad, m and rad, and joint damping in 1/s of the mass matrix (translation: 3 x critical)."""

ZEROS = np.zeros(6)
UNIT_TOLERANCE = 1e-3


def arrays_type(joints: int) -> np.dtype:
    """Memory of one controller: one block that a compiled loop of any arm can read and write by name.

    Poses in base, m and unit quaternions xyzw; position, quaternion: the last measured. since_target: ticks since
    a target arrived, against freeze_at, ramp_at and ramp_end. sent: torque last given to the arm, Nm; a backend
    that is told what the arm received writes that here. state: index of `STATES`. fault, fault_joint: see
    `limits.FAULTS`. seeded, started: whether a pose, a torque is known. counts: ticks by rule of `limits.COUNTED`.
    """
    poses = [(f"{name}position", "f8", (3,)) for name in ("", "target_", "reference_")]
    poses += [(f"{name}quaternion", "f8", (4,)) for name in ("", "target_", "reference_")]
    joint = [(name, "f8", (joints,)) for name in ("sent", "bias")]
    times = [(name, "f8") for name in ("dt", "filter_time")]
    ticks = ("since_target", "freeze_at", "ramp_at", "ramp_end")
    whole = [(name, "i8") for name in (*ticks, "state", "fault", "fault_joint", "seeded", "started")]
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
    """Whether the measured state is finite and its quaternion a rotation."""
    total = 0.0
    for i in range(q.shape[0]):
        total += abs(q[i]) + abs(dq[i]) + abs(bias[i]) + abs(sent[i])
        for k in range(6):
            total += abs(jacobian[k, i])
        for j in range(q.shape[0]):
            total += abs(mass[i, j])
    for i in range(3):
        total += abs(position[i])
    norm = 0.0
    for i in range(4):
        norm += quaternion[i] * quaternion[i]
    return math.isfinite(total) and abs(norm - 1.0) < 0.01


@njit(cache=True)
def _hold_here(arrays: Record) -> None:
    """Reference and target go to the last measured pose; no feed-forward."""
    spatial.copy(arrays.position, arrays.target_position)
    spatial.copy(arrays.quaternion, arrays.target_quaternion)
    spatial.copy(arrays.position, arrays.reference_position)
    spatial.copy(arrays.quaternion, arrays.reference_quaternion)
    spatial.copy(ZEROS, arrays.law.twist)


@njit(cache=True)
def _latch(arrays: Record, code: int, joint: int) -> None:
    """Holds the last measured pose, softly and with heavy damping, until `Controller.recover`."""
    if arrays.state == LATCHED:
        return
    arrays.state = LATCHED
    arrays.fault, arrays.fault_joint = code, joint
    _hold_here(arrays)
    spatial.copy(LATCH_STIFFNESS, arrays.law.stiffness)
    spatial.copy(ZEROS, arrays.law.damping)
    spatial.copy(LATCH_CLIP, arrays.law.clip)
    arrays.law.joint_damping = LATCH_DAMPING


@njit(cache=True)
def _age(arrays: Record) -> None:
    """Without a new target the state moves on: frozen, then a ramp to the measured pose, then hold."""
    if arrays.state == HOLD or arrays.state == LATCHED:
        return
    arrays.since_target += 1
    since = arrays.since_target
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
            _hold_here(arrays)


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
        _hold_here(arrays)
    code, joint = limits.fault(arrays.bounds, q, dq)
    if code != limits.NO_FAULT:
        _latch(arrays, code, joint)


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
        _latch(arrays, limits.INVALID_STATE, 0)
        _fall_back(arrays, tau_out)
        return
    _observe(arrays, q, dq, bias, position, quaternion)
    _age(arrays)
    if arrays.state == TRACK:
        _follow(arrays, limits.pace(bounds, jacobian, q, dq, work.inverse[:], arrays.counts))
    impedance.pose_error(
        arrays.position, arrays.quaternion, arrays.reference_position, arrays.reference_quaternion, work
    )
    impedance.task_wrench(law, jacobian, dq, arrays.quaternion, work)
    limits.cap_wrench(bounds, work.drive, work.velocity, arrays.counts)
    impedance.joint_torque(law, jacobian, mass, q, dq, work)
    limits.guard_joints(bounds, mass, q, dq, arrays.dt, work.torque, arrays.counts)
    total = 0.0
    for j in range(q.shape[0]):
        tau_out[j] = work.torque[j] + arrays.bias[j]
        total += abs(tau_out[j])
    if not math.isfinite(total):
        _latch(arrays, limits.INVALID_STATE, 0)
        _fall_back(arrays, tau_out)
        return
    limits.limit_torque(bounds, arrays.sent, arrays.dt, tau_out, arrays.counts)
    spatial.copy(tau_out, arrays.sent)


class Controller:
    """The safety filter and the law of one arm, in the process that owns it.

    start: pose (4,) xyzw that tilt and yaw are bounded against. home: joint angles (n,) that the nullspace seeks.
    frame: of the compliance, `tool` or `base`. dt, ttl, freeze, ramp in s: control period, age at which a target
    is stale, how long the reference then stays frozen, and how long it takes from there to the measured pose.
    """

    def __init__(
        self,
        arm: limits.ArmLimits,
        gains: Gains,
        workspace: Workspace,
        *,
        home: Array,
        start: Array,
        frame: str = "tool",
        posture: tuple[float, float] = (10.0, 10.0),
        dt: float = 1e-3,
        ttl: float = 0.3,
        freeze: float = 1.0,
        ramp: float = 1.0,
    ) -> None:
        if frame not in ("tool", "base"):
            raise ValueError(f"Compliance frame '{frame}' is unknown: use 'tool' or 'base'.")
        if posture[1] <= 0.0:
            raise ValueError(f"Posture damping is {posture[1]} 1/s: give a positive one.")
        self._arm = arm
        self._gains = gains
        self._owner: str | None = None
        self._sequence: int | None = None
        self._stop_reason = ""
        self._clamps: Counter[str] = Counter()
        self.rejections: Counter[str] = Counter()
        self.arrays: Record = np.zeros(1, arrays_type(len(arm.low))).view(np.recarray)[0]
        for name in ("", "target_", "reference_"):
            self.arrays[f"{name}quaternion"] = (0.0, 0.0, 0.0, 1.0)
        limits.fill_bounds(
            self.arrays.bounds, arm, np.array([workspace.low, workspace.high]), start, workspace.tilt, workspace.yaw
        )
        self.arrays.dt, self.arrays.filter_time = dt, gains.filter_time
        self.arrays.freeze_at, self.arrays.ramp_at, self.arrays.ramp_end = (
            round(end / dt) for end in (ttl, ttl + freeze, ttl + freeze + ramp)
        )
        law = self.arrays.law
        law.tool_frame, law.posture = frame == "tool", home
        law.posture_stiffness, law.posture_damping = posture
        self._use(gains.stiffness, gains.damping, gains.clip)

    @property
    def state(self) -> str:
        """One of `STATES`."""
        return STATES[int(self.arrays.state)]

    @property
    def owner(self) -> str | None:
        """Who holds the arm."""
        return self._owner

    @property
    def reason(self) -> str:
        """Why the arm is latched; empty while it is not."""
        code, joint = int(self.arrays.fault), int(self.arrays.fault_joint)
        if code == limits.STOPPED:
            return self._stop_reason
        if code in (limits.BEYOND_POSITION, limits.BEYOND_VELOCITY):
            return f"{limits.FAULTS[code]} of joint {joint + 1} beyond the vendor's limit"
        return limits.FAULTS[code]

    @property
    def reference(self) -> Pose:
        """The filtered reference, in base."""
        return Pose(self.arrays.reference_position.copy(), self.arrays.reference_quaternion.copy())

    @property
    def clamps(self) -> dict[str, int]:
        """How often each rule has clamped: targets for `box`, `turn`, `twist`, ticks for the others."""
        return dict(self._clamps) | {
            rule: int(count) for rule, count in zip(limits.COUNTED, self.arrays.counts, strict=True) if count
        }

    def seed(self, position: Array, quaternion: Array) -> None:
        """Puts the reference at a measured pose (base, m, xyzw) of an arm at rest; a latch stays."""
        arrays = self.arrays
        arrays.position[:] = position
        spatial.normalise(np.asarray(quaternion, dtype=float), arrays.quaternion)
        _hold_here(arrays)
        arrays.seeded, arrays.started = 1, 0
        if arrays.state != LATCHED:
            arrays.state = HOLD

    def acquire(self, owner: str) -> None:
        """Hands the arm to `owner`: reference at the measured pose, the task's gains, sequence numbers anew."""
        if owner not in OWNERS:
            raise CommandRejected(f"Owner '{owner}' is unknown: use one of {', '.join(OWNERS)}.")
        self._owner, self._sequence = owner, None
        if self.arrays.state != LATCHED:
            self._restart()

    def stop(self, reason: str = "stop requested") -> None:
        """Latches the arm at the measured pose until `recover`."""
        if self.arrays.state != LATCHED:
            self._stop_reason = reason
            _latch(self.arrays, limits.STOPPED, 0)

    def recover(self) -> None:
        """Clears a latch: reference at the measured pose, the task's gains. A fault that persists latches anew."""
        self.arrays.fault = limits.NO_FAULT
        self._restart()

    def submit(self, owner: str, target: PoseTarget) -> None:
        """Checks, clamps and takes one target. Raises `CommandRejected` or `ArmLatched`; then nothing has changed."""
        stiffness, damping, clip, twist = self._check(owner, target)
        position = np.array(target.pose.position, dtype=float)
        quaternion = spatial.normalise(np.asarray(target.pose.quaternion, dtype=float))
        arrays = self.arrays
        self._clamps["box"] += limits.clamp_position(arrays.bounds, position)
        self._clamps["turn"] += limits.clamp_rotation(arrays.bounds, quaternion)
        fastest = np.repeat([arrays.bounds.linear, arrays.bounds.angular], 3)
        slow = np.clip(twist, -fastest, fastest)
        self._clamps["twist"] += bool((slow != twist).any())
        self._use(stiffness, damping, clip)
        arrays.law.twist[:] = slow
        arrays.target_position[:] = position
        arrays.target_quaternion[:] = quaternion
        arrays.since_target = 0
        arrays.state = TRACK
        self._sequence = target.sequence

    def _restart(self) -> None:
        _hold_here(self.arrays)
        self._use(self._gains.stiffness, self._gains.damping, self._gains.clip)
        self.arrays.state = HOLD

    def _use(self, stiffness: Array, damping: Array, clip: Array) -> None:
        law = self.arrays.law
        law.stiffness, law.damping, law.clip, law.joint_damping = stiffness, damping, clip, 0.0

    def _refuse(self, rule: str, message: str) -> CommandRejected:
        self.rejections[rule] += 1
        return CommandRejected(message)

    def _check(self, owner: str, target: PoseTarget) -> tuple[Array, Array, Array, Array]:
        """The target's (stiffness, damping, clip, twist), the task's where it has none; raises if a rule is broken."""
        if self.arrays.state == LATCHED:
            self.rejections["latched"] += 1
            raise ArmLatched(f"The arm is latched ({self.reason}): a person must call recover.")
        if self._owner is None or owner != self._owner:
            raise self._refuse("owner", f"Target from '{owner}' while '{self._owner}' holds the arm: acquire it first.")
        if not self.arrays.seeded:
            raise self._refuse("seed", "The arm has no measured pose yet: call seed, or run one tick.")
        if target.frame != "base":
            raise self._refuse("frame", f"Target in frame '{target.frame}': give it in 'base'.")
        if self._sequence is not None and target.sequence <= self._sequence:
            raise self._refuse(
                "sequence", f"Target {target.sequence} arrived after {self._sequence}: sequence numbers must rise."
            )
        self._vector("position", target.pose.position, 3)
        quaternion = self._vector("quaternion", target.pose.quaternion, 4)
        norm = float(np.linalg.norm(quaternion))
        if abs(norm - 1.0) > UNIT_TOLERANCE:
            raise self._refuse("quaternion", f"Quaternion of norm {norm:.4f}: give a unit quaternion xyzw.")
        return self._check_gains(target)

    def _check_gains(self, target: PoseTarget) -> tuple[Array, Array, Array, Array]:
        gains = self._gains
        stiffness = self._vector("stiffness", gains.stiffness if target.stiffness is None else target.stiffness, 6)
        damping = self._vector("damping", gains.damping if target.damping is None else target.damping, 6)
        clip = self._vector("clip", gains.clip if target.clip is None else target.clip, 12)
        twist = self._vector("twist", np.zeros(6) if target.twist is None else target.twist, 6)
        if (stiffness < 0.0).any() or (damping < 0.0).any():
            raise self._refuse("gains", f"Stiffness {stiffness} or damping {damping} is negative: give none below 0.")
        if (stiffness > np.repeat(self._arm.stiffness, 3)).any():
            raise self._refuse("gains", f"Stiffness {stiffness} is above the arm's {self._arm.stiffness}: lower it.")
        if (clip[:6] > 0.0).any() or (clip[6:] < 0.0).any():
            raise self._refuse("gains", f"Clip {clip}: give six lower bounds <= 0, then six upper bounds >= 0.")
        return stiffness, damping, clip, twist

    def _vector(self, name: str, value: Array, size: int) -> Array:
        try:
            vector = np.asarray(value, dtype=float)
        except (TypeError, ValueError) as error:
            raise self._refuse("shape", f"The target's {name} is no array of {size} numbers.") from error
        if vector.shape != (size,):
            raise self._refuse("shape", f"The target's {name} has shape {vector.shape}: give ({size},).")
        if not np.isfinite(vector).all():
            raise self._refuse("finite", f"The target's {name} is {vector}: give finite numbers.")
        return vector
