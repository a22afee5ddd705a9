"""The simulated cell: arms with their controllers behind the interface that every robot offers."""

from __future__ import annotations

import contextlib
import math

import mujoco
import numpy as np

from controllers.controller import Controller
from controllers.exceptions import ArmLatched, CommandRejected
from controllers.interface import Abilities, ArmState, Array, Health, Image, PoseTarget, Reading
from controllers.limits import ArmLimits
from controllers.twin import loop
from controllers.twin.agenda import Agenda, Event
from controllers.twin.arm import TwinArm
from controllers.twin.description import robot_description
from controllers.twin.plant import Plant
from controllers.twin.world import World
from tasks.domain import Domain, Drawn
from tasks.spec import CameraSpec, TaskSpec

DEGREES = 6
"""Of freedom of a pose: an arm with more joints can seek a posture besides."""
TARGET, DISTURBANCE = "target", "disturbance"
"""Kinds of what is on a cell's agenda."""


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


class TwinCell(ArmCell):
    """A task's cell in simulation, in lockstep with its caller: time passes only in `wait` and `advance`.

    The same seed and the same calls give bit-identical readings. `cameras` are rendered into each reading;
    without any, OpenGL is never loaded. randomise: False leaves the scene as its file has it. sim's `peak_force` (N):
    the largest unfiltered force on the tool in the tick. collide: see `compose`. domain: see `World`.
    Raises `SceneError`; `RenderingError` at the first picture.
    """

    def __init__(
        self,
        task: TaskSpec,
        *,
        seed: int = 0,
        cameras: tuple[CameraSpec, ...] = (),
        randomise: bool = True,
        collide: bool = False,
        limits: ArmLimits | None = None,
        domain: Domain | None = None,
    ) -> None:
        self.plant = self._make_plant(task, randomise=randomise, collide=collide, domain=domain)
        super().__init__(self.plant, self.plant.arms[0], cameras, limits)
        self.reset_scene(seed)

    def _make_plant(self, task: TaskSpec, *, randomise: bool, collide: bool, domain: Domain | None) -> Plant:
        """What the cell moves."""
        return Plant(task, randomise=randomise, collide=collide, domain=domain)

    def command(self, target: PoseTarget, gripper_width: float | None = None) -> None:
        """As any cell's; with a latency it arrives that much later at the same filter, and is stale counted from then.

        What is refused there is counted (`health`), and nobody is told: whoever sent it has gone on.
        """
        periods = round(self.plant.drawn.latency / self.model.opt.timestep)
        if periods == 0 or self.controller.state == "latched":
            super().command(target, gripper_width)
        else:
            self.agenda.add(periods, TARGET, lambda: self._arrive(target, gripper_width))

    def wait(self) -> Reading:
        """Advance by `period` of simulated time; the reading at its end."""
        self.arm.clear_peak()
        self.advance(self._substeps)
        return self.read()

    def reset_scene(self, seed: int) -> None:
        """Draw the task's scene anew; arm and gripper stay where they are."""
        self.changed()
        self.plant.reset_scene(seed)

    def close(self) -> None:
        """Free what the pictures needed."""
        self.plant.close()

    # What only the twin can do.

    def advance(self, substeps: int) -> None:
        """Advance by `substeps` control periods of 1 ms, for callers that read within a tick."""
        self.changed()
        for stretch in self.agenda.stretches(substeps):
            loop.run(self.arm.views, self.controller.arrays, stretch)

    def vary(self, drawn: Drawn) -> None:
        """Make scene, lights, cameras, latency and measurement as `drawn` says, until the next draw or call."""
        self.changed()
        self.plant.vary(drawn)

    def push(self, force: Array, seconds: float) -> None:
        """Somebody pushes the tool, at the tool point, with (3,) N in base axes from now on, for so long."""
        self.arm.push(np.append(force, np.zeros(3)))
        self._disturb(seconds, lambda: self.arm.push(np.zeros(6)))

    def shift(self, body: str, by: Array, seconds: float) -> None:
        """Somebody moves a body of the scene by (3,), m, within that time, at a steady speed."""
        periods = max(1, round(seconds / self.model.opt.timestep))
        for period in range(periods):
            self._disturb(period * self.model.opt.timestep, lambda: self.plant.shift_body(body, by / periods))

    def undisturb(self) -> None:
        """Nobody pushes or moves anything any more; what was moved stays where it is."""
        self.agenda.forget(DISTURBANCE)
        self.arm.push(np.zeros(6))

    def _arrive(self, target: PoseTarget, gripper_width: float | None) -> None:
        with contextlib.suppress(CommandRejected, ArmLatched):
            super().command(target, gripper_width)

    def _disturb(self, seconds: float, event: Event) -> None:
        self.agenda.add(round(seconds / self.model.opt.timestep), DISTURBANCE, event)

    def teleport_home(self) -> None:
        """Put the arm at the task's home at rest, with the reference there and all targets forgotten."""
        self.plant.teleport_home()
        self.settle()

    def restart(self) -> None:
        """As new: at home at rest, tick and time zero. What follows does not depend on what was before."""
        self.plant.restart()
        self.settle()

    def state_vector(self) -> Array:
        """The scene (k,): see `World.state_vector`."""
        return self.plant.state_vector()

    def set_state_vector(self, state: Array) -> None:
        """Restore a `state_vector`; the reference goes to the arm's pose. Raises ValueError for a wrong size."""
        self.plant.set_state_vector(state)
        self.settle()
