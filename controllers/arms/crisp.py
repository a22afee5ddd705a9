"""Any arm whose controller takes `target_pose`: crisp_controllers, or franka_ros2 with them, or our own arm node.

The law runs in that controller, at its rate. Here stand the box, the turn, speed and joint limits, ownership,
staleness and the latch: the same `Controller` as everywhere moves a reference, and at each period what is sent is that
reference, no further from the measured pose than the task's clip. So the controller's force is bounded by its stiffness
times our clip, and one that keeps its last target for ever, as crisp's do, keeps one close to the arm.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from typing import TYPE_CHECKING

import numpy as np

from controllers import spatial
from controllers.arms.crisp_config import CrispConfig
from controllers.controller import Controller
from controllers.exceptions import CellTimeout, CommandRejected, ControllersError
from controllers.interface import Abilities, ArmState, Array, GripperState, Health, Pose, PoseTarget, Reading
from controllers.kinematics import Kinematics
from controllers.models import arm_model
from controllers.tick import follow

__all__ = ["CrispCell", "CrispConfig"]

if TYPE_CHECKING:
    from controllers.arms.crisp_link import Measured
    from controllers.limits import ArmLimits
    from tasks.spec import TaskSpec


class CrispCell:
    """One arm behind its own controller; see `Backend`. A thread of this process keeps the reference at `config.rate`.

    period: of `wait`, s, the task's unless given. limits: lower ones than the maker's. Raises `ControllersError` for a
    clock that cannot be, and where the robot's topics, controller or gains are not as described.
    """

    def __init__(
        self,
        config: CrispConfig,
        task: TaskSpec,
        *,
        clock: str = "realtime",
        period: float | None = None,
        limits: ArmLimits | None = None,
    ) -> None:
        if clock != "realtime":
            raise ControllersError(
                f"clock is {clock}, but the time of a controller in ROS does not wait: use realtime."
            )
        model = arm_model(task.arm)
        allowed = limits or model.limits
        slow = tuple(min(pair) for pair in zip(config.speed, allowed.speed, strict=True))
        self.config, self.task = config, task
        self.period = task.period if period is None else period
        self.joint_names = model.joint_names(config.joint_prefix)
        self.abilities = Abilities(
            config.controller or "the robot's own",
            signed_clips=False,
            gains=bool(config.parameters),
            feed_forward=False,
        )
        self._allowed = dataclasses.replace(allowed, speed=(slow[0], slow[1]))
        self.controller = self._new_controller()
        self._kinematics = Kinematics(model)
        self._lock = threading.Lock()
        self._tare = np.zeros(6)
        self._start = time.monotonic()
        self._due = self._start
        self._trouble = ""
        self._stopped = False
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._connect()

    def _new_controller(self) -> Controller:
        task = self.task
        return Controller(
            self._allowed,
            task.gains,
            task.workspace,
            home=task.home,
            start=task.start.quaternion,
            dt=1.0 / self.config.rate,
        )

    def _warm_up(self) -> None:
        """Compile all that a target goes through, on a spare controller: later it would look like a stall."""
        spare, now = self._new_controller(), self._now
        spare.seed(now.pose.position, now.pose.quaternion)
        spare.acquire("policy")
        spare.submit("policy", PoseTarget(now.pose, 0))
        _advance(spare, self._kinematics, now)

    def _connect(self) -> None:
        """Meet the robot, put the reference where it stands, and only then switch its controller on."""
        from controllers.arms.crisp_link import CrispLink

        self._link = CrispLink(self.config, self.joint_names)
        try:
            self._now = self._link.first(self.config.connect_within)
            self.robot_description = self._link.robot_description()
            self._warm_up()
            self.controller.seed(self._now.pose.position, self._now.pose.quaternion)
            self._link.set_gains(self.task.gains)
            self._thread = threading.Thread(target=self._run, name="reference", daemon=True)
            self._thread.start()
            self._link.activate()
        except BaseException:
            self.close()
            raise

    # The interface of every cell.

    def acquire(self, owner: str) -> None:
        """Hand the arm to `owner`; the reference is re-seeded at the measured pose."""
        with self._lock:
            self.controller.acquire(owner)

    def command(self, target: PoseTarget, gripper_width: float | None = None) -> None:
        """Send a target of the present owner, and an opening in m. Raises `CommandRejected` or `ArmLatched`."""
        if gripper_width is not None and not np.isfinite(gripper_width):
            raise CommandRejected(f"The gripper's width is {gripper_width}: give a finite number of metres.")
        if target.twist is not None and np.any(target.twist):
            raise CommandRejected("target_pose carries no feed-forward twist; leave `twist` empty.")
        self._check_gains(target)
        with self._lock:
            self.controller.submit(self.controller.owner or "", target)
        if gripper_width is not None:
            self._link.move_gripper(gripper_width)

    def wait(self) -> Reading:
        """The reading at the next point of the schedule; missed ones are skipped. Raises `CellTimeout`."""
        now = time.monotonic()
        self._due = max(self._due + self.period, self._start + (now - self._start) // self.period * self.period)
        time.sleep(max(0.0, self._due - now))
        return self.read()

    def read(self) -> Reading:
        """The newest reading. Raises `CellTimeout` where the robot has fallen silent."""
        self._check_alive()
        with self._lock:
            now, safety, reason = self._now, self.controller.state, self.controller.reason
            reference = self.controller.reference
        return Reading(
            tick=round((self._due - self._start) / self.period),
            stamp=now.stamp,
            arm=ArmState(
                q=now.q, dq=now.dq, tau=now.tau, pose=now.pose, twist=now.twist, wrench=now.wrench - self._tare,
                reference=reference, stamp=now.stamp,
            ),
            gripper=None if now.width is None else GripperState(now.width, now.grasped),
            safety=safety,
            reason=reason,
        )  # fmt: skip

    def reset_scene(self, seed: int) -> None:
        """Nothing: a person lays out the scene of a real cell."""

    def tare(self) -> None:
        """Make the present wrench the zero of `ArmState.wrench`."""
        with self._lock:
            self._tare = self._now.wrench

    def stop(self, reason: str = "stop requested") -> None:
        """Latch: the arm holds where it is until `recover`. Not a safety-rated stop."""
        with self._lock:
            self.controller.stop(reason)
            self._stopped = True
        self._link.trigger(self.config.stop)

    def recover(self) -> None:
        """Clear the latch, and the robot's own where it offers that. Raises `CellTimeout` while it is silent."""
        self._check_alive()
        self._link.trigger(self.config.recover)
        self._await_news()
        with self._lock:
            self.controller.recover()
            self._stopped = False

    def health(self) -> Health:
        """State of the filter, and how the robot's state arrives."""
        with self._lock:
            state, reason = self.controller.state, self.controller.reason
            counts = {f"refused: {rule}": count for rule, count in self.controller.rejections.items()}
            counts |= {f"clamped: {rule}": count for rule, count in self.controller.clamps.items()}
        message = f"{state}: {reason}" if reason else state
        return Health(
            "error" if reason or self._trouble else "ok", self._trouble or message, {**self._link.report(), **counts}
        )

    def close(self) -> None:
        """Stop sending. The controller keeps the last target, which is the measured pose."""
        if self._thread is not None:
            self._ended.set()
            self._thread.join()
            if not self._listen():
                self._link.send(self._now.pose)
        self._link.close()

    # Inside.

    def _check_alive(self) -> None:
        """Raises `CellTimeout` where the robot, or our own thread, is silent."""
        if self._thread is None or not self._thread.is_alive():
            raise CellTimeout("the thread that keeps the reference has ended: open the cell anew.")
        stale = self._link.stale(self.config.stale_after)
        if stale:
            raise CellTimeout(stale)

    def _await_news(self) -> None:
        """Wait for what the robot says of itself after a recovery: a word from before would latch at once again."""
        since, end = time.monotonic() + 2.0 / self.config.rate, time.monotonic() + self.config.stale_after
        while self.config.safety and time.monotonic() < end:
            if self._link.heard("safety") > since and not self._now.latched:
                return
            time.sleep(0.5 / self.config.rate)

    def _check_gains(self, target: PoseTarget) -> None:
        """What a target may not change: the law is another's, and its gains were set when the cell was opened."""
        clip = target.clip
        if clip is not None and clip.shape == (12,) and not np.allclose(-clip[:6], clip[6:]):
            raise CommandRejected("this arm's controller has no clip of its own per sign: give a symmetric one.")
        for name in ("stiffness", "damping"):
            value, given = getattr(target, name), getattr(self.task.gains, name)
            if value is not None and not np.array_equal(value, given):
                raise CommandRejected(f"the {name} of this arm's controller is set when the cell is opened: leave it.")

    def _run(self) -> None:
        """Keep the reference, until closed; missed periods are skipped."""
        step = 1.0 / self.config.rate
        due = time.monotonic()
        while not self._ended.wait(max(0.0, due - time.monotonic())):
            due = max(due + step, time.monotonic())
            self._trouble = self._listen()
            silent = self._link.stale(self.config.stale_after)
            with self._lock:
                if self._trouble and not (self._stopped and self._now.latched):  # the latch that our stop asked for
                    self.controller.fault(self._trouble.rstrip("."))
                sent = _advance(self.controller, self._kinematics, self._now)
            if not silent:  # else what it was told last is where it was last seen
                self._link.send(sent)

    def _listen(self) -> str:
        """Take what has arrived; what is wrong with it, or an empty text."""
        try:
            self._now = self._link.newest(self._now)
        except ControllersError as error:
            return str(error)
        if self._now.latched:
            return f"the robot is latched: {self._now.latched}"
        return self._link.stale(self.config.stale_after) or self._link.rivals()


def _advance(controller: Controller, kinematics: Kinematics, now: Measured) -> Pose:
    """One period of the reference; what to send: the reference, within the clip of the measured pose."""
    jacobian = np.ascontiguousarray(kinematics.jacobian(now.q))
    follow(controller.arrays, jacobian, now.q, now.dq, now.pose.position, now.pose.quaternion)
    return leashed(controller.reference, now.pose, np.array(controller.arrays.law["clip"]))


def leashed(reference: Pose, measured: Pose, clip: Array) -> Pose:
    """`reference` no further from `measured` than `clip` (12,) allows along and about the axes of the tool."""
    frame = spatial.matrix(measured.quaternion)
    turn = spatial.log(spatial.multiply(reference.quaternion, spatial.conjugate(measured.quaternion)))
    away = np.concatenate([frame.T @ (reference.position - measured.position), frame.T @ turn])
    kept = np.clip(away, clip[:6], clip[6:])
    return Pose(
        measured.position + frame @ kept[:3],
        spatial.multiply(spatial.exp(frame @ kept[3:]), measured.quaternion),
    )
