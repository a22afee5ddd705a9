"""One arm of a simulated world with its controller and cameras, behind the interface that every robot offers."""

from __future__ import annotations

import math

import mujoco
import numpy as np

from controllers.controller import Controller
from controllers.exceptions import CommandRejected
from controllers.interface import Abilities, ArmState, Health, Image, PoseTarget, Reading
from controllers.limits import ArmLimits
from controllers.twin.agenda import Agenda
from controllers.twin.arm import TwinArm
from controllers.twin.description import robot_description
from controllers.twin.world import World
from tasks.spec import CameraSpec

DEGREES = 6
"""Of freedom of a pose: an arm with more joints can seek a posture besides."""
TARGET = "target"
"""Kind of a target on its way on the agenda."""


class ArmCell:
    """One arm of a world, its controller and its cameras: all of a `Backend` but time, which the world's owner has.

    limits: of this cell, at most the arm's maker's. agenda: what happens between the control periods to come.
    """

    def __init__(
        self, world: World, arm: TwinArm, cameras: tuple[CameraSpec, ...] = (), limits: ArmLimits | None = None
    ) -> None:
        self.world, self.arm, self.task, self.cameras = world, arm, arm.task, cameras
        self.period = self.task.period
        self.joint_names = arm.joint_names
        redundant = len(self.joint_names) > DEGREES
        self.abilities = Abilities("impedance at 1 kHz", lockstep=True, scene=True, posture=redundant)
        self.robot_description = robot_description(arm.mount.arm, arm.mount.prefix)
        self.controller = Controller(
            limits or arm.mount.arm.limits,
            self.task.gains,
            self.task.workspace,
            home=self.task.home,
            start=self.task.start.quaternion,
            dt=self.model.opt.timestep,
            ttl=self.task.ttl,
        )
        self._substeps = round(self.period / self.model.opt.timestep)
        self._tare = np.zeros(6)
        self._reading: Reading | None = None
        self.agenda = Agenda()
        self.settle()

    def acquire(self, owner: str) -> None:
        """Hand the arm to `owner`; the reference is re-seeded at the measured pose. Targets under way are lost."""
        self.changed()
        self.agenda.forget(TARGET)
        self.controller.acquire(owner)

    def command(self, target: PoseTarget, gripper_width: float | None = None) -> None:
        """Send a target of the present owner, and an opening in m. Raises `CommandRejected` or `ArmLatched`."""
        if gripper_width is not None and not math.isfinite(gripper_width):
            self.controller.rejections["finite"] += 1
            raise CommandRejected(f"The gripper's width is {gripper_width}: give a finite number of metres.")
        self.changed()
        self.controller.submit(self.controller.owner or "", target)
        if gripper_width is not None:
            self.arm.move_gripper(gripper_width)

    def read(self) -> Reading:
        """The newest reading, without advancing."""
        if self._reading is None:
            self._reading = self._measure()
        return self._reading

    def tare(self) -> None:
        """Make the present wrench the zero of `ArmState.wrench`."""
        self.changed()
        self._tare = self.arm.wrench

    def stop(self, reason: str = "stop requested") -> None:
        """Latch: the arm holds compliantly until `recover`."""
        self.changed()
        self.agenda.forget(TARGET)
        self.controller.stop(reason)

    def recover(self) -> None:
        """Clear the latch; the reference is re-seeded at the measured pose."""
        self.changed()
        self.agenda.forget(TARGET)
        self.controller.recover()

    def health(self) -> Health:
        """State of the filter, and how often each rule refused or clamped."""
        state, reason = self.controller.state, self.controller.reason
        counts = {f"refused: {rule}": count for rule, count in self.controller.rejections.items()}
        counts |= {f"clamped: {rule}": count for rule, count in self.controller.clamps.items()}
        return Health("error" if reason else "ok", f"{state}: {reason}" if reason else state, counts)

    @property
    def model(self) -> mujoco.MjModel:
        """The world's model."""
        return self.world.model

    @property
    def data(self) -> mujoco.MjData:
        """The world's state."""
        return self.world.data

    @property
    def time(self) -> float:
        """Simulated time, s."""
        return self.world.time

    def move_gripper(self, width: float) -> None:
        """Send the fingers to an opening in m, within what they can do; nothing where the task has no gripper."""
        self.changed()
        self.arm.move_gripper(width)

    def render(self, camera: CameraSpec, *, pretty: bool = False) -> Image:
        """Picture (height, width, 3) uint8 of the present state; pretty: with shadows, for people."""
        return self.world.render(self.arm.camera(camera), pretty=pretty)

    def changed(self) -> None:
        """The last reading is old."""
        self._reading = None

    def settle(self) -> None:
        """The arm has jumped: a controller that starts at rest from here, and nothing to come."""
        self.changed()
        self.agenda = Agenda()
        self._tare = np.zeros(6)
        self.controller.arrays.sent[:] = self.arm.tau
        pose = self.arm.pose
        self.controller.seed(pose.position, pose.quaternion)

    def _measure(self) -> Reading:
        arm, step = self.arm, round(self.time / self.model.opt.timestep)
        state = ArmState(
            q=arm.q,
            dq=arm.dq,
            tau=arm.tau,
            pose=arm.pose,
            twist=arm.twist,
            wrench=self.world.drawn.measured(arm.wrench - self._tare, step),
            reference=self.controller.reference,
            stamp=self.time,
        )
        return Reading(
            tick=step // self._substeps,
            stamp=self.time,
            arm=state,
            gripper=arm.gripper(),
            images={camera.name: self.render(camera) for camera in self.cameras},
            sim={**self.world.sim(), "peak_force": np.array([arm.peak_force])},
            safety=self.controller.state,
            reason=self.controller.reason,
        )
