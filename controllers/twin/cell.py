"""The simulated cell: a plant and its controller behind the interface that every robot offers."""

from __future__ import annotations

import math

import mujoco
import numpy as np

from controllers.controller import Controller
from controllers.exceptions import CommandRejected
from controllers.interface import Abilities, ArmState, Array, Health, Image, PoseTarget, Reading
from controllers.limits import ArmLimits
from controllers.twin import loop
from controllers.twin.description import robot_description
from controllers.twin.plant import Plant
from tasks.spec import CameraSpec, TaskSpec


class TwinCell:
    """A task's cell in simulation, in lockstep with its caller: time passes only in `wait` and `advance`.

    The same seed and the same calls give bit-identical readings. `cameras` are rendered into each reading;
    without any, OpenGL is never loaded. randomise: False leaves the scene as its file has it.
    limits: of this cell, below the arm maker's. Raises `SceneError`; `RenderingError` at the first picture.
    """

    def __init__(
        self,
        task: TaskSpec,
        *,
        seed: int = 0,
        cameras: tuple[CameraSpec, ...] = (),
        randomise: bool = True,
        limits: ArmLimits | None = None,
    ) -> None:
        self.task, self.cameras = task, cameras
        self.period = task.period
        self.plant = Plant(task, randomise=randomise)
        self.joint_names = self.plant.arm.joint_names()
        self.abilities = Abilities("impedance at 1 kHz", lockstep=True, scene=True, posture=True)
        self.robot_description = robot_description()
        self.controller = Controller(
            limits or self.plant.arm.limits,
            task.gains,
            task.workspace,
            home=task.home,
            start=task.start.quaternion,
            dt=self.model.opt.timestep,
        )
        self._substeps = round(task.period / self.model.opt.timestep)
        self._tare = np.zeros(6)
        self._reading: Reading | None = None
        self._settle()
        self.reset_scene(seed)

    # The interface of every cell.

    def acquire(self, owner: str) -> None:
        """Hand the arm to `owner`; the reference is re-seeded at the measured pose."""
        self._reading = None
        self.controller.acquire(owner)

    def command(self, target: PoseTarget, gripper_width: float | None = None) -> None:
        """Send a target of the present owner, and an opening in m. Raises `CommandRejected` or `ArmLatched`."""
        if gripper_width is not None and not math.isfinite(gripper_width):
            self.controller.rejections["finite"] += 1
            raise CommandRejected(f"The gripper's width is {gripper_width}: give a finite number of metres.")
        self._reading = None
        self.controller.submit(self.controller.owner or "", target)
        if gripper_width is not None:
            self.plant.move_gripper(gripper_width)

    def wait(self) -> Reading:
        """Advance by `period` of simulated time; the reading at its end."""
        self.plant.clear_peak()
        self.advance(self._substeps)
        return self.read()

    def read(self) -> Reading:
        """The newest reading, without advancing."""
        if self._reading is None:
            self._reading = self._measure()
        return self._reading

    def reset_scene(self, seed: int) -> None:
        """Draw the task's scene anew; arm and gripper stay where they are."""
        self._reading = None
        self.plant.reset_scene(seed)

    def tare(self) -> None:
        """Make the present wrench the zero of `ArmState.wrench`."""
        self._reading = None
        self._tare = self.plant.wrench

    def stop(self, reason: str = "stop requested") -> None:
        """Latch: the arm holds compliantly until `recover`."""
        self._reading = None
        self.controller.stop(reason)

    def recover(self) -> None:
        """Clear the latch; the reference is re-seeded at the measured pose."""
        self._reading = None
        self.controller.recover()

    def health(self) -> Health:
        """State of the filter, and how often each rule refused or clamped."""
        state, reason = self.controller.state, self.controller.reason
        counts = {f"refused: {rule}": count for rule, count in self.controller.rejections.items()}
        counts |= {f"clamped: {rule}": count for rule, count in self.controller.clamps.items()}
        return Health("error" if reason else "ok", f"{state}: {reason}" if reason else state, counts)

    def close(self) -> None:
        """Free what the pictures needed."""
        self.plant.close()

    # What only the twin can do.

    @property
    def model(self) -> mujoco.MjModel:
        """The plant's model."""
        return self.plant.model

    @property
    def data(self) -> mujoco.MjData:
        """The plant's state."""
        return self.plant.data

    @property
    def time(self) -> float:
        """Simulated time, s."""
        return self.plant.time

    def advance(self, substeps: int) -> None:
        """Advance by `substeps` control periods of 1 ms, for callers that read within a tick."""
        self._reading = None
        loop.run(self.plant.views, self.controller.arrays, substeps)

    def move_gripper(self, width: float) -> None:
        """Send the fingers to an opening in m, within what they can do; nothing where the task has no gripper."""
        self._reading = None
        self.plant.move_gripper(width)

    def teleport_home(self) -> None:
        """Put the arm at the task's home at rest, with the reference there and all targets forgotten."""
        self.plant.teleport_home()
        self._settle()

    def restart(self) -> None:
        """As new: at home at rest, tick and time zero. What follows does not depend on what was before."""
        self.plant.restart()
        self._settle()

    def state_vector(self) -> Array:
        """The scene (k,): see `Plant.state_vector`."""
        return self.plant.state_vector()

    def set_state_vector(self, state: Array) -> None:
        """Restore a `state_vector`; the reference goes to the arm's pose. Raises ValueError for a wrong size."""
        self.plant.set_state_vector(state)
        self._settle()

    def render(self, camera: CameraSpec, *, pretty: bool = False) -> Image:
        """Picture (height, width, 3) uint8 of the present state; pretty: with shadows, for people."""
        return self.plant.render(camera, pretty=pretty)

    # Inside.

    def _settle(self) -> None:
        """The arm has jumped: a controller that starts at rest from here."""
        self._reading = None
        self._tare = np.zeros(6)
        self.controller.arrays.sent[:] = self.plant.tau
        pose = self.plant.pose
        self.controller.seed(pose.position, pose.quaternion)

    def _measure(self) -> Reading:
        plant = self.plant
        arm = ArmState(
            q=plant.q,
            dq=plant.dq,
            tau=plant.tau,
            pose=plant.pose,
            twist=plant.twist,
            wrench=plant.wrench - self._tare,
            reference=self.controller.reference,
            stamp=self.time,
        )
        return Reading(
            tick=round(self.time / self.model.opt.timestep) // self._substeps,
            stamp=self.time,
            arm=arm,
            gripper=plant.gripper(),
            images={camera.name: self.render(camera) for camera in self.cameras},
            sim=plant.sim(),
            safety=self.controller.state,
            reason=self.controller.reason,
        )
