"""The simulated robot and its scene as a plant: joint torques in, measurements out; no law, no filter, no owner."""

from __future__ import annotations

import numpy as np

from controllers.interface import Array, GripperState, Pose
from controllers.twin import loop
from controllers.twin.compose import Mount, Scene
from controllers.twin.world import World
from tasks.domain import Domain
from tasks.spec import TaskSpec


class Plant(World):
    """A task's arms (n joints each), hands, scene and cameras. Time passes in `push` alone, a control period a call.

    A control period is 1 ms. What has no arm's name is of the first one; two touch each other with all their links.

    Like a Franka, the robot holds itself up: torques are given, and `bias` is, without gravity. The same calls give
    bit-identical results. What is measured: see `TwinArm`.
    """

    def __init__(
        self, task: TaskSpec, *, randomise: bool = True, collide: bool = False, domain: Domain | None = None
    ) -> None:
        collide = collide or task.partner is not None
        super().__init__(Scene.of(task), Mount.all_of(task), randomise=randomise, collide=collide, domain=domain)
        self.task, self.arm = task, self.mounts[0].arm

    def push(self, torque: Array) -> None:
        """Advance by one control period under joint torques (n,) in Nm, to which the robot adds `gravity`."""
        loop.push(self.arms[0].views, np.ascontiguousarray(torque, dtype=float))

    def gripper(self) -> GripperState | None:
        """The hand's state, or None where the task has no gripper."""
        return self.arms[0].gripper()

    def move_gripper(self, width: float) -> None:
        """Send the fingers to an opening in m; nothing where the task has no gripper."""
        self.arms[0].move_gripper(width)

    @property
    def views(self) -> loop.Views:
        """What the compiled loop works on."""
        return self.arms[0].views

    @property
    def q(self) -> Array:
        return self.arms[0].q

    @property
    def dq(self) -> Array:
        return self.arms[0].dq

    @property
    def tau(self) -> Array:
        return self.arms[0].tau

    @property
    def gravity(self) -> Array:
        return self.arms[0].gravity

    @property
    def bias(self) -> Array:
        return self.arms[0].bias

    @property
    def jacobian(self) -> Array:
        return self.arms[0].jacobian

    @property
    def mass(self) -> Array:
        return self.arms[0].mass

    @property
    def pose(self) -> Pose:
        return self.arms[0].pose

    @property
    def twist(self) -> Array:
        return self.arms[0].twist

    @property
    def wrench(self) -> Array:
        return self.arms[0].wrench
