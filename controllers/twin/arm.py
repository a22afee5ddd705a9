"""One arm and its hand in a simulated world: what is measured there, and what moves it besides torques."""

from __future__ import annotations

from dataclasses import replace

import mujoco
import numpy as np

from controllers.interface import Array, GripperState, Pose
from controllers.twin import loop
from controllers.twin.compose import FINGERS, Mount
from tasks.spec import CameraSpec

GRASP_GAP, GRASP_SPEED = 0.002, 0.01
"""Something is grasped when the fingers stand (m/s) this far (m) before they would be."""


class TwinArm:
    """An arm of n joints at its mount. What is measured are copies, in the arm's base.

    Like a Franka, the robot holds itself up: `bias` is without gravity. places, dofs: indices of its own joints,
    fingers included, in `qpos` and `qvel`. views: what the compiled loop works on.
    """

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData, mount: Mount) -> None:
        self.mount, self.task = mount, mount.task
        self.joint_names = mount.arm.joint_names(mount.prefix)
        self.views = loop.views(model, data, mount)
        self._data = data
        self._cameras = {model.camera(i).name for i in range(model.ncam)}
        fingers = [mount.name(finger) for finger in FINGERS] if mount.task.gripper else []
        self._finger_places, finger_dofs = _addresses(model, fingers)
        places, dofs = _addresses(model, self.joint_names)
        self._places, self.places, self.dofs = places, places + self._finger_places, dofs + finger_dofs
        self._finger_dofs = finger_dofs
        self._actuators = [model.actuator(name).id for name in fingers]
        self._travel = model.actuator_ctrlrange[self._actuators[0]] if fingers else np.zeros(2)

    @property
    def q(self) -> Array:
        """Joint angles (n,), rad."""
        return self.views.q.copy()

    @property
    def dq(self) -> Array:
        """Joint velocities (n,), rad/s."""
        return self.views.dq.copy()

    @property
    def tau(self) -> Array:
        """Joint torques (n,) of the last period, gravity's share included, Nm."""
        return self.views.tau.copy()

    @property
    def gravity(self) -> Array:
        """Joint torques (n,) that hold arm, hand and what it grasps up, Nm."""
        loop.weigh(self.views)
        return self.views.weight.copy()

    @property
    def bias(self) -> Array:
        """Joint torques (n,) that centrifugal and Coriolis forces ask for, Nm; gravity is the robot's own affair."""
        return self.views.arm_bias - self.gravity

    @property
    def jacobian(self) -> Array:
        """(6, n): of the tool point, linear then angular."""
        return self.views.arm_jacobian.copy()

    @property
    def mass(self) -> Array:
        """Mass matrix (n, n), kg m2, rotors included."""
        return self.views.arm_mass.copy()

    @property
    def pose(self) -> Pose:
        """The tool frame."""
        return Pose(self.views.position.copy(), self.views.quaternion.copy())

    @property
    def twist(self) -> Array:
        """(6,) of the tool point, m/s and rad/s."""
        return self.views.arm_jacobian @ self.views.dq

    @property
    def wrench(self) -> Array:
        """(6,) environment on tool at the tool point, N and Nm, as the arm's own estimate; not tared."""
        return self.views.wrench.copy()

    def push(self, wrench: Array) -> None:
        """Somebody pushes the tool, at the tool point, with (6,) N and Nm in base axes, until told otherwise."""
        self.views.external[:] = wrench

    @property
    def peak_force(self) -> float:
        """The largest unfiltered force on the tool since `clear_peak`, N."""
        return float(self.views.peak[0])

    def clear_peak(self) -> None:
        """Start the search for the largest force anew."""
        self.views.peak[0] = 0.0

    def camera(self, camera: CameraSpec) -> CameraSpec:
        """The camera by its name in the world: this arm's own (`left_wrist`), else one that all share."""
        own = f"{self.mount.prefix}{camera.name}"
        return replace(camera, name=own) if own in self._cameras else camera

    def gripper(self) -> GripperState | None:
        """The hand's state, or None where the task has no gripper."""
        if self.task.gripper is None:
            return None
        width = float(self._data.qpos[self._finger_places].sum())
        gap = width - float(self._data.ctrl[self._actuators].sum())
        still = bool((np.abs(self._data.qvel[self._finger_dofs]) < GRASP_SPEED).all())
        return GripperState(width, gap > GRASP_GAP and still)

    def move_gripper(self, width: float) -> None:
        """Send the fingers to an opening in m, within what they can do; nothing where the task has no gripper."""
        if self.task.gripper is not None:
            low, high = self._travel
            self._data.ctrl[self._actuators] = min(max(width / 2, low), high)

    def place_home(self) -> None:
        """Put the arm at the task's home at rest; the world must be brought up to date afterwards."""
        self._data.qpos[self._places] = self.task.home
        self._data.qvel[self.dofs] = 0.0
        if self.task.gripper is not None:
            self.move_gripper(self.task.gripper.start)
            self._data.qpos[self._finger_places] = self._data.ctrl[self._actuators]

    def settle(self) -> None:
        """The arm has jumped: nobody pushes, no wrench, and the torque that holds it."""
        for array in (self.views.external, self.views.raw, self.views.wrench, self.views.peak):
            array[:] = 0.0
        self.views.tau[:] = self.views.arm_bias


def _addresses(model: mujoco.MjModel, joints: tuple[str, ...] | list[str]) -> tuple[list[int], list[int]]:
    """Of joints with one degree of freedom, in qpos and in qvel."""
    found = [model.joint(name) for name in joints]
    return [int(joint.qposadr[0]) for joint in found], [int(joint.dofadr[0]) for joint in found]
