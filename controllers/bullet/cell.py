"""The twin's cell in the other engine: the same interface, law, filter, scenes and pictures."""

from __future__ import annotations

from controllers.bullet.plant import BulletPlant
from controllers.exceptions import SettingsError
from controllers.twin.cell import TwinCell
from tasks.domain import Domain
from tasks.spec import TaskSpec


class BulletCell(TwinCell):
    """As `TwinCell`; contacts are solved by Bullet. Much slower, and reproducible on one machine.

    Raises `SettingsError` where pybullet is not installed, `SceneError` for a scene that has what Bullet has not.
    """

    plant: BulletPlant

    def _make_plant(self, task: TaskSpec, *, randomise: bool, collide: bool, domain: Domain | None) -> BulletPlant:
        """collide: arms' links touch nothing here."""
        if domain is not None:
            raise SettingsError("engine is bullet, which draws no domain: leave --randomise out, or use mujoco")
        if task.partner is not None:
            raise SettingsError(f"engine is bullet, which moves one arm, and task {task.name} has two: use mujoco")
        return BulletPlant(task, randomise=randomise)

    def advance(self, substeps: int) -> None:
        """Advance by `substeps` control periods of 1 ms."""
        self.changed()
        for stretch in self.agenda.stretches(substeps):
            self.plant.run(self.controller, stretch)
