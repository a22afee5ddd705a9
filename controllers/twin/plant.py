"""The simulated robot and its scene as a plant: joint torques in, measurements out; no law, no filter, no owner."""

from __future__ import annotations

from collections.abc import Mapping

import mujoco
import numpy as np

from controllers.interface import Array, GripperState, Image, Pose
from controllers.models import arm_model
from controllers.twin import loop
from controllers.twin.compose import compose
from controllers.twin.render import Stage
from tasks.spec import CameraSpec, TaskSpec

_STATE = mujoco.mjtState
STATE = (
    _STATE.mjSTATE_TIME | _STATE.mjSTATE_PHYSICS | _STATE.mjSTATE_WARMSTART | _STATE.mjSTATE_CTRL
    | _STATE.mjSTATE_MOCAP_POS | _STATE.mjSTATE_MOCAP_QUAT
)  # fmt: skip
"""What `Plant.state_vector` holds: time, positions, velocities, the solver's warm start, finger targets, mocap."""
GRASP_GAP, GRASP_SPEED = 0.002, 0.01
"""Something is grasped when the fingers stand (m/s) this far (m) before they would be."""


class Plant:
    """A task's arm (n joints), hand, scene and cameras. Time passes in `push` alone, one control period (1 ms) a call.

    Like a Franka, the robot holds itself up: torques are given, and `bias` is, without gravity. The same calls give
    bit-identical results. arm: the `ArmModel`. randomise: False leaves the scene as its file has it.
    Raises `SceneError`; `RenderingError` at the first picture.
    """

    def __init__(self, task: TaskSpec, *, randomise: bool = True) -> None:
        self.task, self.randomise = task, randomise
        self.arm = arm_model("fr3")
        self.model = compose(task, shapes=False)
        self.data = mujoco.MjData(self.model)
        self.views = loop.views(self.model, self.data)
        n = len(self.arm.joints)
        self._fingers = slice(n, n + (2 if task.gripper else 0))
        self._stage: Stage | None = None
        self.teleport_home()

    # What is measured. Arrays are copies.

    @property
    def time(self) -> float:
        """Simulated time, s."""
        return float(self.data.time)

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
        """(6, n): of the tool point, linear then angular, in base."""
        return self.views.arm_jacobian.copy()

    @property
    def mass(self) -> Array:
        """Mass matrix (n, n), kg m2, rotors included."""
        return self.views.arm_mass.copy()

    @property
    def pose(self) -> Pose:
        """The tool frame in base."""
        return Pose(self.views.position.copy(), self.views.quaternion.copy())

    @property
    def twist(self) -> Array:
        """(6,) of the tool point, m/s and rad/s, in base."""
        return self.views.arm_jacobian @ self.views.dq

    @property
    def wrench(self) -> Array:
        """(6,) environment on tool at the tool point, base axes, N and Nm, as the arm's own estimate; not tared."""
        return self.views.wrench.copy()

    def gripper(self) -> GripperState | None:
        """The hand's state, or None where the task has no gripper."""
        if self.task.gripper is None:
            return None
        width = float(self.data.qpos[self._fingers].sum())
        gap = width - float(self.data.ctrl[:2].sum())
        still = bool((np.abs(self.data.qvel[self._fingers]) < GRASP_SPEED).all())
        return GripperState(width, gap > GRASP_GAP and still)

    def sim(self) -> Mapping[str, Array]:
        """The task's own values, and the largest unfiltered force on the tool since `clear_peak` (`peak_force`, N)."""
        return {**self.task.sim(self.model, self.data), "peak_force": self.views.peak.copy()}

    def clear_peak(self) -> None:
        """Start the search for the largest force anew."""
        self.views.peak[0] = 0.0

    def render(self, camera: CameraSpec, *, pretty: bool = False) -> Image:
        """Picture (height, width, 3) uint8 of the present state; pretty: with shadows, for people."""
        if self._stage is None:
            self._stage = Stage(compose(self.task))
        return self._stage.render(self.data, camera.name, camera.width, camera.height, pretty=pretty)

    # What moves it.

    def push(self, torque: Array) -> None:
        """Advance by one control period under joint torques (n,) in Nm, to which the robot adds `gravity`."""
        loop.push(self.views, np.ascontiguousarray(torque, dtype=float))

    def move_gripper(self, width: float) -> None:
        """Send the fingers to an opening in m, within what they can do; nothing where the task has no gripper."""
        if self.task.gripper is not None:
            low, high = self.model.actuator_ctrlrange[0]
            self.data.ctrl[:2] = min(max(width / 2, low), high)

    def reset_scene(self, seed: int) -> None:
        """Draw the task's scene anew; arm and gripper stay where they are."""
        model, data, first = self.model, self.data, self._fingers.stop
        data.qpos[first:] = model.qpos0[first:]
        data.qvel[first:] = 0.0
        mocap = model.body_mocapid >= 0
        data.mocap_pos[model.body_mocapid[mocap]] = model.body_pos[mocap]
        data.mocap_quat[model.body_mocapid[mocap]] = model.body_quat[mocap]
        data.qacc_warmstart[:] = 0.0
        if self.randomise:
            self.task.randomise(model, data, np.random.default_rng(seed))
        loop.refresh(self.views)

    def teleport_home(self) -> None:
        """Put the arm at the task's home at rest."""
        n = len(self.arm.joints)
        self.data.qpos[:n] = self.task.home
        self.data.qvel[:n] = 0.0
        if self.task.gripper is not None:
            self.move_gripper(self.task.gripper.start)
            self.data.qpos[self._fingers] = self.data.ctrl[:2]
            self.data.qvel[self._fingers] = 0.0
        self._settle()

    def restart(self) -> None:
        """As new: at home at rest, time zero. What follows does not depend on what was before."""
        mujoco.mj_resetData(self.model, self.data)
        self.teleport_home()

    def state_vector(self) -> Array:
        """The scene (k,): what `set_state_vector` of an equal plant needs to show or continue it (see `STATE`)."""
        state = np.empty(mujoco.mj_stateSize(self.model, STATE))
        mujoco.mj_getState(self.model, self.data, state, STATE)
        return state

    def set_state_vector(self, state: Array) -> None:
        """Restore a `state_vector`; no wrench is felt yet. Raises ValueError for a wrong size."""
        size = mujoco.mj_stateSize(self.model, STATE)
        if state.shape != (size,):
            raise ValueError(f"state of shape {state.shape} for the scene of {self.task.name}, which needs ({size},)")
        mujoco.mj_setState(self.model, self.data, np.ascontiguousarray(state), STATE)
        self._settle()

    def close(self) -> None:
        """Free what the pictures needed."""
        if self._stage is not None:
            self._stage.close()

    def _settle(self) -> None:
        """The arm has jumped: everything derived anew, and no wrench."""
        loop.refresh(self.views)
        for array in (self.views.raw, self.views.wrench, self.views.peak):
            array[:] = 0.0
        self.views.tau[:] = self.views.arm_bias
