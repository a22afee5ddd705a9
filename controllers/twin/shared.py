"""Several arms in one simulated world, with one clock: each a cell of its own, with its own filter and owner."""

from __future__ import annotations

from collections.abc import Sequence

from controllers.exceptions import SceneError
from controllers.interface import Reading
from controllers.twin import loop
from controllers.twin.arm import TwinArm
from controllers.twin.arm_cell import ArmCell
from controllers.twin.compose import Mount, Scene
from controllers.twin.world import World
from tasks.spec import CameraSpec


class SharedCell(ArmCell):
    """One of the arms. `wait` advances the whole world: with several arms, command each, then `TwinWorld.wait`."""

    def __init__(self, world: TwinWorld, arm: TwinArm, cameras: tuple[CameraSpec, ...]) -> None:
        super().__init__(world, arm, cameras)
        self._together = world

    def wait(self) -> Reading:
        """Advance all arms by `period`; this arm's reading."""
        self._together.wait()
        return self.read()

    def reset_scene(self, seed: int) -> None:
        """Draw the scene that all arms share anew."""
        self._together.reset_scene(seed)

    def close(self) -> None:
        """Nothing: the world is closed as a whole."""


class TwinWorld(World):
    """Arms of any kind and number of joints in one scene. cells: by their mounts' prefixes, without the `_`.

    Arms touch each other and the scene with all their links. cameras: rendered into each arm's readings; a wrist
    camera is the arm's own. The same seed and the same calls give bit-identical readings.
    Raises `SceneError`, also for two mounts of one prefix and for periods that differ.
    """

    def __init__(
        self,
        scene: Scene,
        mounts: Sequence[Mount],
        *,
        seed: int = 0,
        cameras: tuple[CameraSpec, ...] = (),
        randomise: bool = True,
    ) -> None:
        prefixes, periods = [mount.prefix for mount in mounts], {mount.task.period for mount in mounts}
        if len(set(prefixes)) != len(prefixes):
            raise SceneError(f"the mounts of {scene.name} have the prefixes {prefixes}: give each arm one of its own")
        if len(periods) != 1:
            raise SceneError(
                f"the tasks in {scene.name} have the periods {sorted(periods)} s: one clock needs one period"
            )
        self.cells: dict[str, SharedCell] = {}
        super().__init__(scene, mounts, randomise=randomise, collide=True)
        self.period = periods.pop()
        self.cells = {arm.mount.prefix.rstrip("_"): SharedCell(self, arm, cameras) for arm in self.arms}
        self._running = tuple((cell.arm.views, cell.controller.arrays.base) for cell in self.cells.values())
        self.reset_scene(seed)

    def wait(self) -> dict[str, Reading]:
        """Advance by `period` of simulated time; each arm's reading."""
        for cell in self.cells.values():
            cell.arm.clear_peak()
        self.advance(round(self.period / self.model.opt.timestep))
        return {name: cell.read() for name, cell in self.cells.items()}

    def advance(self, substeps: int) -> None:
        """Advance all arms by `substeps` control periods of 1 ms."""
        loop.run_all(self._running, substeps)
        self._changed()

    def reset_scene(self, seed: int) -> None:
        """Draw the scene anew; arms and grippers stay where they are."""
        super().reset_scene(seed)
        self._changed()

    def _settle(self) -> None:
        """The arms have jumped: controllers that start at rest from there."""
        super()._settle()
        for cell in self.cells.values():
            cell.settle()

    def _changed(self) -> None:
        for cell in self.cells.values():
            cell.changed()
