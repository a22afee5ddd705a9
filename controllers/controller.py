"""One arm's controller: who may command it, and what is checked before a target moves its reference.

`Controller` is the only way in. `tick` is the compiled control period that reads and writes `Controller.arrays`; it
runs in the process that owns the arm, and never at the same time as a method of the controller.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from controllers import limits, spatial
from controllers.exceptions import ArmLatched, CommandRejected
from controllers.impedance import Record
from controllers.interface import OWNERS, Array, Pose, PoseTarget
from controllers.tick import HOLD, LATCHED, STATES, TRACK, arrays_type, hold_here, latch, tick

if TYPE_CHECKING:
    from tasks.spec import Gains, Workspace

__all__ = ["STATES", "Controller", "tick"]

UNIT_TOLERANCE = 1e-3
"""How far a quaternion's norm may be from 1."""
DEADMAN = 0.15
"""Age (s) at which the last enabled target of `teleop` counts as a released deadman: the arm holds at once."""
TTL = (0.05, 2.0)
"""Bounds of the age (s) at which a target is stale: a frame of a camera, and what an arm may do unattended."""
NEVER = 2**62
"""In ticks: longer than any run."""


def _unit(name: str, quaternion: Array) -> Array:
    """Normalised, or `ValueError`."""
    array = np.asarray(quaternion, dtype=float)
    if not abs(np.linalg.norm(array) - 1.0) <= UNIT_TOLERANCE:
        raise ValueError(f"The {name}'s quaternion is {array}: give a unit quaternion xyzw.")
    return spatial.normalise(array)


def _check_settings(
    workspace: Workspace, frame: str, filter_time: float, posture: tuple[float, float], shortest: float, ttl: float
) -> None:
    """Raises ValueError for a setting that makes no sense; shortest: of the times that must be positive, s."""
    if frame not in ("tool", "base"):
        raise ValueError(f"Compliance frame '{frame}' is unknown: use 'tool' or 'base'.")
    if not (np.asarray(workspace.low) < workspace.high).all():
        raise ValueError(f"The workspace reaches from {workspace.low} to {workspace.high}: raise the upper corner.")
    if not filter_time >= 0.0:
        raise ValueError(f"The reference filter's time is {filter_time} s: give none below 0.")
    if posture[1] <= 0.0:
        raise ValueError(f"Posture damping is {posture[1]} 1/s: give a positive one.")
    if not shortest > 0.0:
        raise ValueError(f"One of dt, freeze and ramp is {shortest} s: give a positive time.")
    if not TTL[0] <= ttl <= TTL[1]:
        raise ValueError(f"A target would be stale after {ttl} s: give {TTL[0]} to {TTL[1]} s.")


class Controller:
    """The safety filter and the law of one arm, in the process that owns it.

    start: pose (4,) xyzw that tilt and yaw are bounded against. home: joint angles (n,) that the nullspace seeks.
    frame: of the compliance, `tool` or `base`. dt, ttl, freeze, ramp in s: control period, age at which a target
    is stale, how long the reference then stays frozen, and how long it takes from there to the measured pose.
    Raises ValueError for what makes no sense, and for gains that the arm does not allow.
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
        _check_settings(workspace, frame, gains.filter_time, posture, min(dt, freeze, ramp), ttl)
        start = _unit("start", start)
        self.arm = arm
        self._gains = gains
        self._home = np.array(home, dtype=float)
        self._owner: str | None = None
        self._sequence: int | None = None
        self._told = ""
        self._clamps: Counter[str] = Counter()
        self.rejections: Counter[str] = Counter()
        self.arrays: Record = np.zeros(1, arrays_type(len(arm.low))).view(np.recarray)[0]
        for name in ("", "target_", "reference_"):
            self.arrays[f"{name}quaternion"] = (0.0, 0.0, 0.0, 1.0)
        limits.fill_bounds(
            self.arrays.bounds, arm, np.array([workspace.low, workspace.high]), start, workspace.tilt, workspace.yaw
        )
        self.arrays.dt, self.arrays.filter_time = dt, gains.filter_time
        self.arrays.deadman_at = NEVER
        self.arrays.freeze_at, self.arrays.ramp_at, self.arrays.ramp_end = (
            round(end / dt) for end in (ttl, ttl + freeze, ttl + freeze + ramp)
        )
        law = self.arrays.law
        law.tool_frame, self.arrays.posture = frame == "tool", home
        law.posture_stiffness, law.posture_damping = posture
        try:
            self._check_gains(PoseTarget(Pose(workspace.low, start), sequence=0))
        except CommandRejected as error:
            raise ValueError(f"The task's own gains are refused: {error}") from error
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
        if code in (limits.STOPPED, limits.REPORTED):
            return self._told
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
        return dict(+self._clamps) | {
            rule: int(count) for rule, count in zip(limits.COUNTED, self.arrays.counts, strict=True) if count
        }

    def seed(self, position: Array, quaternion: Array) -> None:
        """Puts the reference at a measured pose (base, m, xyzw) of an arm at rest; a latch stays."""
        arrays, position = self.arrays, np.asarray(position, dtype=float)
        if not np.isfinite(position).all():
            raise ValueError(f"Seed at {position}: give a measured position.")
        arrays.quaternion = _unit("seed", quaternion)
        arrays.position = position
        hold_here(arrays)
        arrays.seeded, arrays.started = 1, 0
        if arrays.state != LATCHED:
            arrays.state = HOLD

    def acquire(self, owner: str) -> None:
        """Hands the arm to `owner`: reference at the measured pose, the task's gains, sequence numbers anew."""
        if owner not in OWNERS:
            raise CommandRejected(f"Owner '{owner}' is unknown: use one of {', '.join(OWNERS)}.")
        self._owner, self._sequence = owner, None
        self.arrays.deadman_at = round(DEADMAN / self.arrays.dt) if owner == "teleop" else NEVER
        if self.arrays.state != LATCHED:
            self._restart()

    def stop(self, reason: str = "stop requested") -> None:
        """Latches the arm at the measured pose until `recover`."""
        if self.arrays.state != LATCHED:
            self._told = reason
            latch(self.arrays, limits.STOPPED, 0)

    def fault(self, reason: str) -> None:
        """Latches because the robot itself reported a reflex or a fault; it replaces the reason of a mere stop.

        Only `recover` clears it, never a robot that reports well again.
        """
        if self.arrays.state != LATCHED or self.arrays.fault == limits.STOPPED:
            self._told = reason
            latch(self.arrays, limits.REPORTED, 0)
            self.arrays.fault, self.arrays.fault_joint = limits.REPORTED, 0

    def recover(self) -> None:
        """Clears a latch: reference at the measured pose, the task's gains. A fault that persists latches anew."""
        self.arrays.fault = limits.NO_FAULT
        self._restart()

    def submit(self, owner: str, target: PoseTarget) -> None:
        """Checks, clamps and takes one target. Raises `CommandRejected` or `ArmLatched`; then nothing has changed.

        Without its deadman (`PoseTarget.enabled`) the holder's target is a hold at the measured pose, whatever else it
        says: a person lets go, and no rule about poses or numbers may be in the way.
        """
        self._check_sender(owner)
        if not target.enabled:
            self._release(target)
            return
        stiffness, damping, clip, twist = self._check(target)
        posture = self._posture(target)
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
        arrays.posture[:] = posture
        arrays.target_position[:] = position
        arrays.target_quaternion[:] = quaternion
        arrays.since_target = 0
        arrays.state = TRACK
        self._sequence = target.sequence

    def _release(self, target: PoseTarget) -> None:
        if self._sequence is None or target.sequence > self._sequence:
            self._sequence = target.sequence  # what was sent before it and comes late is refused
        self.arrays.state = HOLD
        hold_here(self.arrays)

    def _restart(self) -> None:
        hold_here(self.arrays)
        self._use(self._gains.stiffness, self._gains.damping, self._gains.clip)
        self.arrays.posture = self._home
        self.arrays.state = HOLD

    def _use(self, stiffness: Array, damping: Array, clip: Array) -> None:
        law = self.arrays.law
        law.stiffness, law.damping, law.clip, law.joint_damping = stiffness, damping, clip, 0.0

    def _refuse(self, rule: str, message: str) -> CommandRejected:
        self.rejections[rule] += 1
        return CommandRejected(message)

    def _check_sender(self, owner: str) -> None:
        if self.arrays.state == LATCHED:
            self.rejections["latched"] += 1
            raise ArmLatched(f"The arm is latched ({self.reason}): a person must call recover.")
        if self._owner is None or owner != self._owner:
            raise self._refuse("owner", f"Target from '{owner}' while '{self._owner}' holds the arm: acquire it first.")
        if not self.arrays.seeded:
            raise self._refuse("seed", "The arm has no measured pose yet: call seed, or run one tick.")

    def _check(self, target: PoseTarget) -> tuple[Array, Array, Array, Array]:
        """The target's (stiffness, damping, clip, twist), the task's where it has none; raises if a rule is broken."""
        if target.frame != "base":
            raise self._refuse("frame", f"Target in frame '{target.frame}': give it in 'base'.")
        if self._sequence is not None and target.sequence <= self._sequence:
            raise self._refuse(
                "sequence", f"Target {target.sequence} arrived after {self._sequence}: sequence numbers must rise."
            )
        self._vector("position", target.pose.position, 3)
        quaternion = self._vector("quaternion", target.pose.quaternion, 4)
        norm = float(np.linalg.norm(np.clip(quaternion, -9.0, 9.0)))  # squares of the largest doubles overflow
        if abs(norm - 1.0) > UNIT_TOLERANCE:
            raise self._refuse(
                "quaternion", f"Quaternion {quaternion} of norm {norm:.4f}: give a unit quaternion xyzw."
            )
        return self._check_gains(target)

    def _check_gains(self, target: PoseTarget) -> tuple[Array, Array, Array, Array]:
        gains = self._gains
        stiffness = self._vector("stiffness", gains.stiffness if target.stiffness is None else target.stiffness, 6)
        damping = self._vector("damping", gains.damping if target.damping is None else target.damping, 6)
        clip = self._vector("clip", gains.clip if target.clip is None else target.clip, 12)
        twist = self._vector("twist", np.zeros(6) if target.twist is None else target.twist, 6)
        if (stiffness < 0.0).any() or (damping < 0.0).any():
            raise self._refuse("gains", f"Stiffness {stiffness} or damping {damping} is negative: give none below 0.")
        for name, value, most in (
            ("Stiffness", stiffness, self.arm.stiffness),
            ("Damping", damping, self.arm.damping),
        ):
            if (value > np.repeat(most, 3)).any():
                raise self._refuse("gains", f"{name} {value} is above the arm's {most}: lower it.")
        if (clip[:6] > 0.0).any() or (clip[6:] < 0.0).any():
            raise self._refuse("gains", f"Clip {clip}: give six lower bounds <= 0, then six upper bounds >= 0.")
        return stiffness, damping, clip, twist

    def _posture(self, target: PoseTarget) -> Array:
        """The angles that the nullspace seeks, within the soft range; the task's home where the target has none."""
        if target.posture is None:
            return self._home
        return np.clip(self._vector("posture", target.posture, len(self._home)), *self.arm.soft)

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
