"""The simulated cell: a task's arms with their controllers, in lockstep with whoever commands them."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import numpy as np

from controllers.exceptions import ArmLatched, CommandRejected
from controllers.interface import Array, PoseTarget, Reading
from controllers.limits import ArmLimits
from controllers.twin import loop
from controllers.twin.agenda import Event
from controllers.twin.arm_cell import TARGET, ArmCell
from controllers.twin.partner import PartnerCell
from controllers.twin.plant import Plant
from tasks.domain import Domain, Drawn
from tasks.spec import CameraSpec, TaskSpec

DISTURBANCE = "disturbance"
"""Kind of what disturbs the arm, on the agenda."""


class TwinCell(ArmCell):
    """A task's cell in simulation, in lockstep with its caller: time passes only in `wait` and `advance`.

    The same seed and the same calls give bit-identical readings. `cameras` are rendered into each reading;
    without any, OpenGL is never loaded. randomise: False leaves the scene as its file has it. sim's `peak_force` (N):
    the largest unfiltered force on the tool in the tick. collide: see `compose`. domain: see `World`.
    partner: the second of two arms, whose reading comes with each of the first's; limits are of the first. Time, the
    scene, stop and recovery are of both, and where one has latched, the other has by the end of the tick.
    Raises `SceneError`; `RenderingError` at the first picture.
    """

    partner: PartnerCell | None = None

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
        if task.partner is not None:
            self.partner = PartnerCell(self, self.plant.arms[1])
            self._both = tuple((one.arm.views, one.controller.arrays.base) for one in (self, self.partner))
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
        for arm in self.plant.arms:
            arm.clear_peak()
        self.advance(self._substeps)
        if self.partner is not None:
            self.partner.latch_together()
        return self.read()

    def read(self) -> Reading:
        """The newest reading, without advancing."""
        reading = super().read()
        return reading if self.partner is None else replace(reading, partner=self.partner.read())

    def stop(self, reason: str = "stop requested") -> None:
        """Latch: the arm holds compliantly until `recover`; so does its partner."""
        super().stop(reason)
        if self.partner is not None:
            self.partner.stop(reason)

    def recover(self) -> None:
        """Clear the latch, and its partner's; the references are re-seeded at the measured poses."""
        super().recover()
        if self.partner is not None:
            self.partner.recover()

    def settle(self) -> None:
        """The arms have jumped: controllers that start at rest from here, and nothing to come."""
        super().settle()
        if self.partner is not None:
            self.partner.settle()

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
            if self.partner is None:
                loop.run(self.arm.views, self.controller.arrays, stretch)
            else:
                loop.run_all(self._both, stretch)

    def changed(self) -> None:
        """The last readings are old."""
        super().changed()
        if self.partner is not None:
            self.partner.changed()

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
