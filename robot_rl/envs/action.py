"""From an action in [-1, 1] to the next reference pose (design: p_ref = base + R_base v, R_ref = R_base Exp(w))."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controllers import spatial
from controllers.interface import Pose, Reading
from tasks.spec import AXES, TaskSpec


class ActionMapper:
    """Maps actions of one task to references, and remembers what the gripper was last told."""

    def __init__(self, task: TaskSpec) -> None:
        self._task = task
        self._moved = np.array([AXES.index(axis) for axis in task.action.axes])
        self._held = np.setdiff1d(np.arange(6), self._moved)
        self._scale = np.array([task.action.translation] * 3 + [task.action.rotation] * 3)
        self.width: float | None = None
        self.reset()

    def reset(self) -> None:
        """Start an episode: the gripper as the reset left it."""
        self.width = self._task.gripper.start if self._task.gripper else None

    def asked(self, action: NDArray, reading: Reading) -> Pose:
        """The reference that `action` (A,) asks for, in base. Held axes keep the start pose's value."""
        return self._hold(self._moved_by(action, reading))

    def reference(self, action: NDArray, reading: Reading) -> Pose:
        """The reference to send for `action` (A,), in base: the one asked for, where it integrates on its leash."""
        pose = self._moved_by(action, reading)
        if self._task.action.base == "reference":
            pose = self._leash(reading.arm.pose, pose)
        return self._hold(pose)

    def _moved_by(self, action: NDArray, reading: Reading) -> Pose:
        motion = np.zeros(6)
        motion[self._moved] = action[: len(self._moved)] * self._scale[self._moved]
        arm = reading.arm
        origin = arm.pose if self._task.action.base == "measured" else arm.reference
        return Pose(
            origin.position + spatial.rotate(origin.quaternion, motion[:3]),
            spatial.multiply(origin.quaternion, spatial.exp(motion[3:])),
        )

    def gripper_width(self, action: NDArray) -> float | None:
        """The width to command, m: beyond the threshold it changes, between it stays. None without a gripper."""
        gripper = self._task.gripper
        if gripper is not None:
            if action[-1] > gripper.threshold:
                self.width = gripper.closed
            elif action[-1] < -gripper.threshold:
                self.width = gripper.open
        return self.width

    def _leash(self, measured: Pose, pose: Pose) -> Pose:
        """Keep an integrating reference within `leash` of the measured pose, per axis of the tool frame."""
        reach, turn = self._task.action.leash
        inverse = spatial.conjugate(measured.quaternion)
        shift = np.clip(spatial.rotate(inverse, pose.position - measured.position), -reach, reach)
        angle = np.clip(spatial.log(spatial.multiply(inverse, pose.quaternion)), -turn, turn)
        return Pose(
            measured.position + spatial.rotate(measured.quaternion, shift),
            spatial.multiply(measured.quaternion, spatial.exp(angle)),
        )

    def _hold(self, pose: Pose) -> Pose:
        """Put the held axes back to the start pose's value, in the start pose's frame."""
        start = self._task.start
        inverse = spatial.conjugate(start.quaternion)
        offset = np.concatenate(
            [
                spatial.rotate(inverse, pose.position - start.position),
                spatial.log(spatial.multiply(inverse, pose.quaternion)),
            ]
        )
        offset[self._held] = 0.0
        return Pose(
            start.position + spatial.rotate(start.quaternion, offset[:3]),
            spatial.multiply(start.quaternion, spatial.exp(offset[3:])),
        )
