"""The simulated cell: arm, hand, scene and cameras behind the interface that every robot offers."""

from __future__ import annotations

import math
from collections.abc import Mapping

import mujoco
import numpy as np

from controllers.controller import Controller
from controllers.exceptions import CommandRejected
from controllers.interface import Abilities, ArmState, Array, GripperState, Health, Image, Pose, PoseTarget, Reading
from controllers.models import arm_model
from controllers.twin import loop
from controllers.twin.compose import JOINTS, compose
from controllers.twin.description import robot_description
from controllers.twin.render import Stage
from tasks.spec import CameraSpec, TaskSpec

FR3 = arm_model("fr3").limits

_STATE = mujoco.mjtState
STATE = (
    _STATE.mjSTATE_TIME | _STATE.mjSTATE_PHYSICS | _STATE.mjSTATE_WARMSTART | _STATE.mjSTATE_CTRL
    | _STATE.mjSTATE_MOCAP_POS | _STATE.mjSTATE_MOCAP_QUAT
)  # fmt: skip
"""What `TwinCell.state_vector` holds: time, positions, velocities, the solver's warm start, finger targets, mocap."""
GRASP_GAP, GRASP_SPEED = 0.002, 0.01
"""Something is grasped when the fingers stand (m/s) this far (m) before they would be."""


class TwinCell:
    """A task's cell in simulation, in lockstep with its caller: time passes only in `wait` and `advance`.

    The same seed and the same calls give bit-identical readings. `cameras` are rendered into each reading;
    without any, OpenGL is never loaded. randomise: False leaves the scene as its file has it.
    Raises `SceneError`; `RenderingError` at the first picture.
    """

    def __init__(
        self,
        task: TaskSpec,
        *,
        seed: int = 0,
        cameras: tuple[CameraSpec, ...] = (),
        randomise: bool = True,
    ) -> None:
        self.task, self.cameras, self.randomise = task, cameras, randomise
        self.period = task.period
        self.joint_names = JOINTS
        self.abilities = Abilities("impedance at 1 kHz", lockstep=True, scene=True)
        self.robot_description = robot_description()
        self.model = compose(task, shapes=False)
        self.data = mujoco.MjData(self.model)
        self.controller = Controller(
            FR3,
            task.gains,
            task.workspace,
            home=task.home,
            start=task.start.quaternion,
            dt=self.model.opt.timestep,
        )
        self._views = loop.views(self.model, self.data)
        self._substeps = round(task.period / self.model.opt.timestep)
        self._fingers = slice(len(JOINTS), len(JOINTS) + (2 if task.gripper else 0))
        self._tare = np.zeros(6)
        self._reading: Reading | None = None
        self._stage: Stage | None = None
        self.teleport_home()
        self.reset_scene(seed)

    # The interface of every cell.

    def acquire(self, owner: str) -> None:
        """Hand the arm to `owner`; the reference is re-seeded at the measured pose."""
        self._changed()
        self.controller.acquire(owner)

    def command(self, target: PoseTarget, gripper_width: float | None = None) -> None:
        """Send a target of the present owner, and an opening in m. Raises `CommandRejected` or `ArmLatched`."""
        if gripper_width is not None and not math.isfinite(gripper_width):
            self.controller.rejections["finite"] += 1
            raise CommandRejected(f"The gripper's width is {gripper_width}: give a finite number of metres.")
        self._changed()
        self.controller.submit(self.controller.owner or "", target)
        if gripper_width is not None:
            self.move_gripper(gripper_width)

    def wait(self) -> Reading:
        """Advance by `period` of simulated time; the reading at its end."""
        self._views.peak[0] = 0.0
        self.advance(self._substeps)
        return self.read()

    def read(self) -> Reading:
        """The newest reading, without advancing."""
        if self._reading is None:
            self._reading = self._measure()
        return self._reading

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
        self._refresh()

    def tare(self) -> None:
        """Make the present wrench the zero of `ArmState.wrench`."""
        self._changed()
        self._tare[:] = self._views.wrench

    def stop(self, reason: str = "stop requested") -> None:
        """Latch: the arm holds compliantly until `recover`."""
        self._changed()
        self.controller.stop(reason)

    def recover(self) -> None:
        """Clear the latch; the reference is re-seeded at the measured pose."""
        self._changed()
        self.controller.recover()

    def health(self) -> Health:
        """State of the filter, and how often each rule refused or clamped."""
        state, reason = self.controller.state, self.controller.reason
        counts = {f"refused: {rule}": count for rule, count in self.controller.rejections.items()}
        counts |= {f"clamped: {rule}": count for rule, count in self.controller.clamps.items()}
        return Health("error" if reason else "ok", f"{state}: {reason}" if reason else state, counts)

    def close(self) -> None:
        """Free what the pictures needed."""
        if self._stage is not None:
            self._stage.close()

    # What only the twin can do.

    @property
    def time(self) -> float:
        """Simulated time, s."""
        return float(self.data.time)

    def advance(self, substeps: int) -> None:
        """Advance by `substeps` control periods of 1 ms, for callers that read within a tick."""
        self._changed()
        loop.run(self._views, self.controller.arrays, substeps)

    def move_gripper(self, width: float) -> None:
        """Send the fingers to an opening in m, within what they can do; nothing where the task has no gripper."""
        if self.task.gripper is not None:
            self._changed()
            low, high = self.model.actuator_ctrlrange[0]
            self.data.ctrl[:2] = min(max(width / 2, low), high)

    def teleport_home(self) -> None:
        """Put the arm at the task's home at rest, with the reference there and all targets forgotten."""
        self.data.qpos[: len(JOINTS)] = self.task.home
        self.data.qvel[: len(JOINTS)] = 0.0
        if self.task.gripper is not None:
            self.move_gripper(self.task.gripper.start)
            self.data.qpos[self._fingers] = self.data.ctrl[:2]
            self.data.qvel[self._fingers] = 0.0
        self._settle()

    def restart(self) -> None:
        """As new: at home at rest, tick and time zero. What follows does not depend on what was before."""
        mujoco.mj_resetData(self.model, self.data)
        self.teleport_home()

    def state_vector(self) -> Array:
        """The scene (k,): what `set_state_vector` of an equal cell needs to show or continue it (see `STATE`)."""
        state = np.empty(mujoco.mj_stateSize(self.model, STATE))
        mujoco.mj_getState(self.model, self.data, state, STATE)
        return state

    def set_state_vector(self, state: Array) -> None:
        """Restore a `state_vector`; the reference goes to the arm's pose. Raises ValueError for a wrong size."""
        size = mujoco.mj_stateSize(self.model, STATE)
        if state.shape != (size,):
            raise ValueError(f"state of shape {state.shape} for the scene of {self.task.name}, which needs ({size},)")
        mujoco.mj_setState(self.model, self.data, np.ascontiguousarray(state), STATE)
        self._settle()

    def render(self, camera: CameraSpec, *, pretty: bool = False) -> Image:
        """Picture (height, width, 3) uint8 of the present state; pretty: with shadows, for people."""
        if self._stage is None:
            self._stage = Stage(compose(self.task))
        return self._stage.render(self.data, camera.name, camera.width, camera.height, pretty=pretty)

    # Inside.

    def _changed(self) -> None:
        self._reading = None

    def _refresh(self) -> None:
        self._changed()
        loop.refresh(self._views)

    def _settle(self) -> None:
        """The arm has jumped: no wrench, and a controller that starts at rest from here."""
        self._refresh()
        for array in (self._views.raw, self._views.wrench, self._views.peak, self._tare):
            array[:] = 0.0
        self._views.tau[:] = self._views.arm_bias
        self.controller.arrays.sent[:] = self._views.arm_bias
        pose = self._pose()
        self.controller.seed(pose.position, pose.quaternion)

    def _pose(self) -> Pose:
        return Pose(self._views.position.copy(), self._views.quaternion.copy())

    def _measure(self) -> Reading:
        view = self._views
        arm = ArmState(
            q=view.q.copy(),
            dq=view.dq.copy(),
            tau=view.tau.copy(),
            pose=self._pose(),
            twist=view.arm_jacobian @ view.dq,
            wrench=view.wrench - self._tare,
            reference=self.controller.reference,
            stamp=self.time,
        )
        return Reading(
            tick=round(self.time / self.model.opt.timestep) // self._substeps,
            stamp=self.time,
            arm=arm,
            gripper=self._gripper(),
            images={camera.name: self.render(camera) for camera in self.cameras},
            sim=self._sim(),
            safety=self.controller.state,
            reason=self.controller.reason,
        )

    def _sim(self) -> Mapping[str, Array]:
        """The task's own values, and the largest unfiltered force on the tool in this tick (`peak_force`, N)."""
        return {**self.task.sim(self.model, self.data), "peak_force": self._views.peak.copy()}

    def _gripper(self) -> GripperState | None:
        if self.task.gripper is None:
            return None
        width = float(self.data.qpos[self._fingers].sum())
        gap = width - float(self.data.ctrl[:2].sum())
        still = bool((np.abs(self.data.qvel[self._fingers]) < GRASP_SPEED).all())
        return GripperState(width, gap > GRASP_GAP and still)
