"""A Franka as a cell: its driver runs in a process of its own, and what it measures is read from shared memory."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from typing import Any, Literal

import numpy as np

from controllers.arms.franka import health, probe, shared
from controllers.arms.franka.config import FrankaConfig, allowed_limits
from controllers.arms.franka.emulator import Emulation, find_emulator
from controllers.arms.franka.gripper import Hand
from controllers.arms.franka.plan import STEP, Plan
from controllers.arms.franka.process import Child, Gone
from controllers.arms.franka.robot import library_version
from controllers.arms.franka.shared import Memory, bytes_of, text_of
from controllers.exceptions import ArmLatched, CellTimeout, CommandRejected, ControllersError, SettingsError
from controllers.interface import Abilities, ArmState, Array, GripperState, Health, Pose, PoseTarget, Reading
from controllers.limits import ArmLimits
from controllers.models import arm_model
from controllers.tick import LATCHED, STATES
from controllers.twin.description import robot_description
from tasks.spec import TaskSpec

LOOP = "controllers.arms.franka.loop"
ANSWER, START, RECOVERY, ADVANCE = 2.0, 60.0, 30.0, 60.0
"""Longest waits for an answer, s: to a request, the first one (it compiles and connects), recovery, advancing time."""


class FrankaCell:
    """One Franka for one task. Raises `ControllersError` or `SettingsError` for what cannot work; then nothing moves.

    clock: `lockstep` works with an emulator only: its time passes in `wait` alone. limits: the maker's or lower ones.
    An arm that is in a fault comes up latched; a person must recover it. Without an emulator at the address,
    `reset_scene` is left to a person and readings hold no `sim`.
    """

    def __init__(
        self,
        config: FrankaConfig,
        task: TaskSpec,
        *,
        clock: Literal["lockstep", "realtime"] = "realtime",
        period: float | None = None,
        seed: int = 0,
        limits: ArmLimits | None = None,
    ) -> None:
        self.config, self.task = config, task
        self.period = task.period if period is None else period
        self.joint_names = arm_model(config.arm).joint_names()
        self.robot_description = robot_description(arm_model(config.arm))
        plan = Plan.of(config, allowed_limits(config.arm, limits), task, clock == "lockstep")
        try:
            plan.controller()
        except ValueError as error:
            raise SettingsError(f"task {task.name}: {error}") from error
        self._lockstep, self._plan = plan.lockstep, plan.to_json()
        self._emulator = self._find(clock)
        self.abilities = self._abilities()
        self._lock = threading.RLock()
        self._tare = np.zeros(6)
        self._gone = ""
        self._closed = False
        self._owner = ""
        self._tick = 0
        self._memory = Memory()
        self._memory.counters["least_success"] = 1.0
        self._child = Child(LOOP, self._memory, self._plan)
        self._hand: Hand | None = None
        try:
            self._child.ask(START, kind=shared.START)
            if config.gripper == "franka_hand":
                self._hand = Hand(config, self._memory)
            self.reset_scene(seed)
        except ControllersError:
            self.close()
            raise
        self._due = time.monotonic() + self.period

    def _find(self, clock: str) -> Emulation | None:
        """Check who answers at the address; the emulator's control port where it says that it is one."""
        config = self.config
        wire = probe.wire_version(library_version("pylibfranka")) if config.library == "pylibfranka" else 10
        probe.check_arm(probe.probe(config.address, wire), config.arm, config.address)
        emulator = find_emulator(config.address)
        if clock == "lockstep" and (emulator is None or not emulator.lockstep):
            raise ControllersError(f"time at {config.address} does not wait: use realtime, or a lockstep emulator.")
        if clock == "lockstep" and config.library == "franky":
            raise ControllersError("franky's loop does not wait: use realtime, or library pylibfranka.")
        return emulator

    def _abilities(self) -> Abilities:
        ours = self.config.library == "pylibfranka"
        return Abilities(
            "impedance at 1 kHz" if ours else "franky's impedance",
            signed_clips=ours,
            lockstep=self._lockstep,
            posture=ours,
            scene=self._emulator is not None,
        )

    # The interface of every cell.

    def acquire(self, owner: str) -> None:
        """Hand the arm to `owner`; the reference is re-seeded at the measured pose. Raises `CommandRejected`."""
        self._ask(ANSWER, kind=shared.ACQUIRE, text=bytes_of(owner))
        self._owner = owner

    def command(self, target: PoseTarget, gripper_width: float | None = None) -> None:
        """Send a target of the present owner, and an opening in m. Raises `CommandRejected` or `ArmLatched`.

        Without a working hand the target is followed, and the opening refused.
        """
        if gripper_width is not None and not math.isfinite(gripper_width):
            raise CommandRejected(f"The gripper's width is {gripper_width}: give a finite number of metres.")
        self._ask(ANSWER, kind=shared.SUBMIT, **fields_of(target))
        if gripper_width is not None and self._hand is not None:
            if self._hand.trouble:
                raise CommandRejected(f"The hand takes no openings ({self._hand.trouble}): open the cell anew.")
            self._hand.move(gripper_width)

    def wait(self) -> Reading:
        """The reading after one period: in lockstep time advances by it, else at the next point of the schedule."""
        if self._lockstep:
            with contextlib.suppress(ArmLatched):  # the driver is gone: its reading says so
                self._ask(ADVANCE, kind=shared.ADVANCE, count=round(self.period / STEP))
            self._tick += 1
        else:
            now = time.monotonic()
            time.sleep(max(0.0, self._due - now))
            skipped = max(0, math.floor((now - self._due) / self.period))
            self._due += (1 + skipped) * self.period
            self._tick += 1 + skipped
        if self._emulator is not None:
            self._emulator.fetch()
        return self.read()

    def read(self) -> Reading:
        """The newest reading, without advancing."""
        row = self._state()
        safety, reason = STATES[int(row["safety"])], text_of(row["reason"])
        if self._lost():
            safety, reason = STATES[LATCHED], self._gone
        return Reading(
            tick=self._tick,
            stamp=float(row["stamp"]),
            arm=self._arm(row),
            gripper=None if self.task.gripper is None else self._gripper(),
            sim={} if self._emulator is None else self._emulator.sim,
            safety=safety,
            reason=reason,
        )

    def reset_scene(self, seed: int) -> None:
        """Draw the scene anew where an emulator can; elsewhere a person does."""
        if self._emulator is not None:
            self._emulator.reset_scene(seed)

    def tare(self) -> None:
        """Make the present wrench the zero of `ArmState.wrench`."""
        self._tare = self._state()["wrench"].copy()

    def stop(self, reason: str = "stop requested") -> None:
        """Latch: the arm holds compliantly until `recover`. Not a safety-rated stop."""
        if not self._lost():
            self._ask(ANSWER, kind=shared.STOP, text=bytes_of(reason))

    def recover(self) -> None:
        """A person clears the latch: errors are recovered, a lost driver or connection is made again, the arm holds.

        Raises `ControllersError` while the cause persists.
        """
        with self._lock:
            if self._closed:
                raise ControllersError("this cell is closed: open it anew.")
            if self._lost():
                self._restart()
                return
            self._ask(RECOVERY, kind=shared.RECOVER)

    def health(self) -> Health:
        """State, counters and timing of the loop; see `health.report`."""
        return health.report(
            self._memory, self._gone if self._lost() else "", self.config, lockstep=self._lockstep, hand=self._hand
        )

    def close(self) -> None:
        """The arm holds, then its motion ends; the driver and the hand's process end. Once closed it stays so."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            if self._hand is not None:
                self._hand.close()
                self._hand = None
            if self._child.alive:
                try:
                    self._child.ask(ANSWER, kind=shared.END)
                except (Gone, CellTimeout):
                    self._child.kill()
            self._child.end()
            self._memory.close()
            if self._emulator is not None:
                self._emulator.close()
                self._emulator = None

    # Inside.

    @property
    def driver_pid(self) -> int:
        """Of the driver process."""
        return self._child.pid

    def _ask(self, timeout: float, **fields: Any) -> None:
        """Ask the driver; a driver that is gone or hangs leaves the arm latched. Raises what it answers."""
        with self._lock:
            if self._lost():
                raise ArmLatched(f"The arm is latched ({self._gone}): a person must call recover.")
            try:
                self._child.ask(timeout, **fields)
            except Gone:
                self._lost()
                raise ArmLatched(f"The arm is latched ({self._gone}): a person must call recover.") from None
            except CellTimeout as error:
                self._end_hung(str(error))
                raise ArmLatched(f"The arm is latched ({self._gone}): a person must call recover.") from error

    def _lost(self) -> bool:
        """Whether the driver is gone, or hung and was ended; then `_gone` says how."""
        if not self._gone and self._child.alive and self._silent():
            self._end_hung(f"it told nothing for {ANSWER:g} s")
        if not self._gone and not self._child.alive:
            self._memory.state.repair()
            told = text_of(self._memory.state.read()["reason"])
            self._gone = f"the driver process {self._child.how_it_ended()}" + (f" after: {told}" if told else "")
        return bool(self._gone)

    def _state(self) -> Any:
        """What the driver told last, also where it died while it wrote. Raises `CellTimeout` while it hangs there."""
        self._lost()
        try:
            return self._memory.state.read()
        except CellTimeout:
            if not self._lost():
                raise
            return self._memory.state.read()

    def _silent(self) -> bool:
        """Whether the driver has told nothing for long though time passes and nobody waits for its answer."""
        if self._lockstep or not self._lock.acquire(blocking=False):
            return False
        try:
            return time.monotonic() - self._memory.state.peek("told") > ANSWER
        finally:
            self._lock.release()

    def _end_hung(self, why: str) -> None:
        """End a driver that hangs: the robot stops by itself, and what it had half written will not be read."""
        self._child.kill()
        self._memory.state.repair()
        self._gone = f"the driver process hung and was ended ({why})"

    def _restart(self) -> None:
        """A new driver in place of one that is gone."""
        self._child.end()
        self._memory.state.repair()
        self._memory.forget_requests()
        self._child = Child(LOOP, self._memory, self._plan)
        try:
            self._child.ask(START, kind=shared.START)
            self._child.ask(RECOVERY, kind=shared.RECOVER)
            if self._owner:
                self._child.ask(ANSWER, kind=shared.ACQUIRE, text=bytes_of(self._owner))
        except ControllersError:
            self._child.kill()
            raise
        self._gone = ""

    def _arm(self, row: Any) -> ArmState:
        return ArmState(
            q=row["q"],
            dq=row["dq"],
            tau=row["tau"],
            pose=Pose(row["position"], row["quaternion"]),
            twist=row["twist"],
            wrench=row["wrench"] - self._tare,
            reference=Pose(row["reference_position"], row["reference_quaternion"]),
            stamp=float(row["stamp"]),
        )

    def _gripper(self) -> GripperState | None:
        return None if self._hand is None else self._hand.state()


def fields_of(target: PoseTarget) -> dict[str, Any]:
    """A target as fields of a request. Raises `CommandRejected` for what is no array of the right size."""
    if not -(2**63) <= target.sequence < 2**63:
        raise CommandRejected(f"The target's sequence number is {target.sequence}: give one of 64 bits.")
    fields: dict[str, Any] = {"sequence": int(target.sequence), "frame": target.frame.encode()[:32]}
    fields["enabled"] = int(target.enabled)
    fields["position"] = vector("position", target.pose.position, 3)
    fields["quaternion"] = vector("quaternion", target.pose.quaternion, 4)
    for name, size in shared.OPTIONAL.items():
        value = getattr(target, name)
        fields[f"has_{name}"] = int(value is not None)
        if value is not None:
            fields[name] = vector(name, value, size)
    return fields


def vector(name: str, value: Array, size: int) -> Array:
    """`value` (size,) as numbers; whether they make sense is the filter's to say. Raises `CommandRejected`."""
    try:
        array = np.asarray(value, dtype=float)
    except (TypeError, ValueError) as error:
        raise CommandRejected(f"The target's {name} is no array of {size} numbers.") from error
    if array.shape != (size,):
        raise CommandRejected(f"The target's {name} has shape {array.shape}: give ({size},).")
    return array
