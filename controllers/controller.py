"""One arm's controller: who may command it, what its reference does, and the torque of one control period.

`Controller` is the only way in: every target passes its checks. `tick` is the compiled period that reads and
writes `Controller.arrays`; it lives in the process that owns the arm, and in one thread with `submit`.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from controllers import impedance, limits, spatial
from controllers.exceptions import ArmLatched, CommandRejected
from controllers.interface import OWNERS, Array, Pose, PoseTarget

if TYPE_CHECKING:
    from tasks.spec import Gains, Workspace

STATES = ("hold", "track", "frozen", "ramp", "latched")
HOLD, TRACK, FROZEN, RAMP, LATCHED = range(5)

LATCH_STIFFNESS = np.array([300.0, 300.0, 300.0, 5.0, 5.0, 5.0])
LATCH_CLIP = np.array([-0.05] * 3 + [-0.3] * 3 + [0.05] * 3 + [0.3] * 3)
LATCH_DAMPING = 60.0
"""While latched: N/m and Nm/rad, m and rad, and joint damping in 1/s of the mass matrix (translation: 3 x critical)."""

UNIT_TOLERANCE = 1e-3


class Arrays(NamedTuple):
    """All numbers of one controller; poses in base, m and unit quaternions xyzw.

    sent (n,): torque last given to the arm; a backend that is told what the arm received writes that here.
    state (1,): index of `STATES`. since_target (1,): ticks since a target arrived. fault (2,): code, joint.
    seeded (1,): 0 until the reference has been put at a measured pose. counts: see `limits.COUNTED`.
    clock (3,): ticks from arrival to freeze, to ramp, to the ramp's end. timing (2,): dt, filter time in s.
    """

    law: impedance.LawArrays
    bounds: limits.Bounds
    work: impedance.Scratch
    target_position: Array
    target_quaternion: Array
    reference_position: Array
    reference_quaternion: Array
    position: Array
    quaternion: Array
    sent: Array
    bias: Array
    timing: Array
    clock: NDArray[np.int64]
    state: NDArray[np.int64]
    since_target: NDArray[np.int64]
    fault: NDArray[np.int64]
    seeded: NDArray[np.int64]
    counts: NDArray[np.int64]


@njit(cache=True)
def _finite(jacobian, mass, q, dq, bias, position, quaternion) -> bool:
    total = 0.0
    for i in range(q.shape[0]):
        total += abs(q[i]) + abs(dq[i]) + abs(bias[i])
        for k in range(6):
            total += abs(jacobian[k, i])
        for j in range(q.shape[0]):
            total += abs(mass[i, j])
    for i in range(3):
        total += abs(position[i])
    for i in range(4):
        total += abs(quaternion[i])
    return math.isfinite(total)


@njit(cache=True)
def _hold_here(arrays):
    """Reference and target go to the last measured pose; no feed-forward."""
    arrays.target_position[:] = arrays.position
    arrays.target_quaternion[:] = arrays.quaternion
    arrays.reference_position[:] = arrays.position
    arrays.reference_quaternion[:] = arrays.quaternion
    arrays.law.twist[:] = 0.0


@njit(cache=True)
def _latch(arrays, code, joint):
    """Holds the last measured pose, softly and with heavy damping, until `Controller.recover`."""
    if arrays.state[0] == LATCHED:
        return
    arrays.state[0] = LATCHED
    arrays.fault[0], arrays.fault[1] = code, joint
    _hold_here(arrays)
    arrays.law.stiffness[:] = LATCH_STIFFNESS
    arrays.law.damping[:] = 0.0
    arrays.law.clip[:] = LATCH_CLIP
    arrays.law.joint_damping[0] = LATCH_DAMPING


@njit(cache=True)
def _stale(arrays):
    """Moves the state on when no target has arrived: frozen, then a ramp to the measured pose, then hold."""
    since, clock, state = arrays.since_target, arrays.clock, arrays.state
    if state[0] == HOLD or state[0] == LATCHED:
        return
    since[0] += 1
    if state[0] == TRACK and since[0] > clock[0]:
        state[0] = FROZEN
        arrays.target_position[:] = arrays.reference_position
        arrays.target_quaternion[:] = arrays.reference_quaternion
        arrays.law.twist[:] = 0.0
    if state[0] == FROZEN and since[0] > clock[1]:
        state[0] = RAMP
    if state[0] == RAMP:
        share = 1.0 / max(1, clock[2] - since[0])
        for i in range(3):
            arrays.reference_position[i] += share * (arrays.position[i] - arrays.reference_position[i])
        spatial.slerp(arrays.reference_quaternion, arrays.quaternion, share, arrays.reference_quaternion)
        if since[0] >= clock[2]:
            state[0] = HOLD
            _hold_here(arrays)


@njit(cache=True)
def _filter(arrays, share):
    """Moves the reference towards the target: a first-order filter in seconds, no faster than the vendor allows.

    share (0 to 1) of that speed may be used. A reference inside the workspace stays inside.
    """
    bounds, dt, time = arrays.bounds, arrays.timing[0], arrays.timing[1]
    rate = 1.0 if time <= 0.0 else 1.0 - math.exp(-dt / time)
    reference, target = arrays.reference_position, arrays.target_position
    distance = math.sqrt(
        (target[0] - reference[0]) ** 2 + (target[1] - reference[1]) ** 2 + (target[2] - reference[2]) ** 2
    )
    step = min(rate, share * bounds.pace[0] * dt / max(distance, 1e-12))
    for i in range(3):
        reference[i] += step * (target[i] - reference[i])
    turn, goal = arrays.reference_quaternion, arrays.target_quaternion
    tilt, _, _, yaw = limits.swing_twist(bounds, turn)
    inside = tilt <= bounds.turn[0] and abs(yaw) <= bounds.turn[1]
    cosine = abs(turn[0] * goal[0] + turn[1] * goal[1] + turn[2] * goal[2] + turn[3] * goal[3])
    angle = 2.0 * math.acos(min(1.0, cosine))
    spatial.slerp(turn, goal, min(rate, share * bounds.pace[1] * dt / max(angle, 1e-12)), turn)
    if inside:
        limits.clamp_rotation(bounds, turn)


@njit(cache=True)
def _fall_back(arrays, tau_out):
    """Without a state to control by: the last known bias alone, reached at the torque rate."""
    tau_out[:] = arrays.bias
    limits.limit_torque(arrays.bounds, arrays.sent, arrays.timing[0], tau_out, arrays.counts)
    arrays.sent[:] = tau_out


@njit(cache=True)
def tick(arrays, jacobian, mass, q, dq, bias, position, quaternion, tau_out):
    """One control period: tau_out (n,) in Nm from the measured state.

    jacobian (6, n): tool point, linear then angular, in base. mass (n, n) kg m2. q, dq (n,) rad, rad/s. bias (n,)
    Nm: Coriolis, and gravity where the robot does not add it. position (3,) m, quaternion (4,) xyzw of the tool.
    """
    work, law, bounds, dt = arrays.work, arrays.law, arrays.bounds, arrays.timing[0]
    if not _finite(jacobian, mass, q, dq, bias, position, quaternion):
        _latch(arrays, limits.NON_FINITE, 0)
        _fall_back(arrays, tau_out)
        return
    arrays.position[:] = position
    spatial.normalise(quaternion, arrays.quaternion)
    arrays.bias[:] = bias
    if arrays.seeded[0] == 0:
        arrays.seeded[0] = 1
        arrays.sent[:] = bias
        _hold_here(arrays)
    code, joint = limits.fault(bounds, q, dq)
    if code != limits.NO_FAULT:
        _latch(arrays, code, joint)
    _stale(arrays)
    if arrays.state[0] == TRACK:
        _filter(arrays, limits.pace(bounds, jacobian, q, dq, work.inverse, arrays.counts))
    impedance.task_wrench(
        law, jacobian, dq, arrays.position, arrays.quaternion,
        arrays.reference_position, arrays.reference_quaternion, work,
    )  # fmt: skip
    limits.cap_wrench(bounds, work.drive, work.velocity, arrays.counts)
    impedance.joint_torque(law, jacobian, mass, q, dq, work)
    limits.guard_joints(bounds, mass, q, dq, dt, work.torque, arrays.counts)
    for j in range(q.shape[0]):
        tau_out[j] = work.torque[j] + arrays.bias[j]
    limits.limit_torque(bounds, arrays.sent, dt, tau_out, arrays.counts)
    arrays.sent[:] = tau_out


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
        n = len(arm.low)
        self._arm = arm
        self._gains = gains
        self._owner: str | None = None
        self._sequence: int | None = None
        self._stop_reason = ""
        self.rejections: Counter[str] = Counter()
        self._clamps: Counter[str] = Counter()
        law = impedance.LawArrays(
            np.zeros(6), np.zeros(6), np.zeros(12), np.zeros(6), np.zeros(1), np.array([float(frame == "tool")]),
            np.array(home, dtype=float), np.array(posture, dtype=float),
        )  # fmt: skip
        identity = np.array([0.0, 0.0, 0.0, 1.0])
        ends = np.cumsum([round(ttl / dt), round(freeze / dt), round(ramp / dt)])
        self.arrays = Arrays(
            law=law,
            bounds=limits.bounds(arm, workspace.low, workspace.high, start, workspace.tilt, workspace.yaw),
            work=impedance.scratch(n),
            target_position=np.zeros(3), target_quaternion=identity.copy(),
            reference_position=np.zeros(3), reference_quaternion=identity.copy(),
            position=np.zeros(3), quaternion=identity.copy(),
            sent=np.zeros(n), bias=np.zeros(n), timing=np.array([dt, gains.filter_time]), clock=ends.astype(np.int64),
            state=np.array([HOLD]), since_target=np.array([0]), fault=np.array([limits.NO_FAULT, 0]),
            seeded=np.array([0]), counts=np.zeros(len(limits.COUNTED), dtype=np.int64),
        )  # fmt: skip
        self._use(gains.stiffness, gains.damping, gains.clip)

    @property
    def state(self) -> str:
        """One of `STATES`."""
        return STATES[int(self.arrays.state[0])]

    @property
    def owner(self) -> str | None:
        """Who holds the arm."""
        return self._owner

    @property
    def reason(self) -> str:
        """Why the arm is latched; empty while it is not."""
        code, joint = (int(value) for value in self.arrays.fault)
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
        arrays.seeded[0] = 1
        if arrays.state[0] != LATCHED:
            arrays.state[0] = HOLD

    def acquire(self, owner: str) -> None:
        """Hands the arm to `owner`: reference at the measured pose, the task's gains, sequence numbers anew."""
        if owner not in OWNERS:
            raise CommandRejected(f"Owner '{owner}' is unknown: use one of {', '.join(OWNERS)}.")
        self._owner, self._sequence = owner, None
        if self.arrays.state[0] != LATCHED:
            self._restart()

    def stop(self, reason: str = "stop requested") -> None:
        """Latches the arm at the measured pose until `recover`."""
        if self.arrays.state[0] != LATCHED:
            self._stop_reason = reason
            _latch(self.arrays, limits.STOPPED, 0)

    def recover(self) -> None:
        """Clears a latch: reference at the measured pose, the task's gains. A fault that persists latches anew."""
        self.arrays.fault[:] = limits.NO_FAULT
        self._restart()

    def submit(self, owner: str, target: PoseTarget) -> None:
        """Checks, clamps and takes one target. Raises `CommandRejected` or `ArmLatched`; then nothing has changed."""
        stiffness, damping, clip, twist = self._check(owner, target)
        position = np.array(target.pose.position, dtype=float)
        quaternion = spatial.normalise(np.asarray(target.pose.quaternion, dtype=float))
        arrays = self.arrays
        self._clamps["box"] += limits.clamp_position(arrays.bounds, position)
        self._clamps["turn"] += limits.clamp_rotation(arrays.bounds, quaternion)
        fastest = np.repeat(arrays.bounds.pace[:2], 3)
        slow = np.clip(twist, -fastest, fastest)
        self._clamps["twist"] += bool((slow != twist).any())
        self._use(stiffness, damping, clip)
        arrays.law.twist[:] = slow
        arrays.target_position[:] = position
        arrays.target_quaternion[:] = quaternion
        arrays.since_target[0] = 0
        arrays.state[0] = TRACK
        self._sequence = target.sequence

    def _restart(self) -> None:
        _hold_here(self.arrays)
        self._use(self._gains.stiffness, self._gains.damping, self._gains.clip)
        self.arrays.state[0] = HOLD

    def _use(self, stiffness: Array, damping: Array, clip: Array) -> None:
        law = self.arrays.law
        law.stiffness[:], law.damping[:], law.clip[:], law.joint_damping[:] = stiffness, damping, clip, 0.0

    def _refuse(self, rule: str, message: str) -> CommandRejected:
        self.rejections[rule] += 1
        return CommandRejected(message)

    def _check(self, owner: str, target: PoseTarget) -> tuple[Array, Array, Array, Array]:
        """The target's (stiffness, damping, clip, twist), the task's where it has none; raises if a rule is broken."""
        if self.arrays.state[0] == LATCHED:
            self.rejections["latched"] += 1
            raise ArmLatched(f"The arm is latched ({self.reason}): a person must call recover.")
        if self._owner is None or owner != self._owner:
            raise self._refuse("owner", f"Target from '{owner}' while '{self._owner}' holds the arm: acquire it first.")
        if not self.arrays.seeded[0]:
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
