"""Open a door against a magnetic catch. What the arm and the gripper measure tells that it is open.

Frames: the door turns about the vertical through `HINGE`; its handle is a vertical bar, which a hand takes from above.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from controllers.interface import Array, Pose, Reading
from tasks.expert import Noise, grip, steer
from tasks.handle import GAINS, GRIPPER, REACH, handle, hide_cabinet, holds_bar
from tasks.spec import ActionSpec, ObservationSpec, TaskSpec, Workspace

if TYPE_CHECKING:
    import mujoco

DOWN = np.array([1.0, 0.0, 0.0, 0.0])
HINGE = np.array([0.64, 0.12, 0.0])
"""Taught foot of the hinge's axis, m in base."""
HANDLE = HINGE + np.array([-0.2, -0.075, 0.08])
"""Where the bar is grasped while the door is shut, as taught, m in base."""
OPEN = np.radians(40)
"""Angle from which on the door is open, rad."""
MARGIN = np.radians(3)
"""What `HIDDEN`, and a bar that is not quite at the tool point, may make of an angle about the taught hinge, rad."""
RING = 0.02
"""Distance from the circle that the bar goes on, and from the height it is grasped at, of a tool that holds it, m."""


def about_hinge(position: Array) -> tuple[float, float]:
    """The door's angle, rad, and the distance from the circle that its bar goes on, m, for a bar at `position`."""
    shut, arm = (HANDLE - HINGE)[:2], (position - HINGE)[:2]
    angle = np.arctan2(shut[0] * arm[1] - shut[1] * arm[0], shut @ arm)
    return float(angle), float(abs(np.linalg.norm(arm) - np.linalg.norm(shut)))


def reward(reading: Reading) -> tuple[float, bool]:
    """1 when the gripper holds something as thick as the bar where the bar is once the door is open.

    It is open by `OPEN` at least, wherever the cabinet truly stands: at that place and height there is only the handle.
    """
    tool = reading.arm.pose.position
    angle, away = about_hinge(tool)
    on_circle = away < RING and abs(tool[2] - HANDLE[2]) < RING
    success = bool(holds_bar(reading) and on_circle and angle > OPEN + MARGIN)
    return float(success), success


def verify(reading: Reading) -> bool:
    """Whether the door truly is open, and its handle between the fingers."""
    offset = reading.sim["handle_from_tool"]
    around = bool(np.linalg.norm(offset[:2]) < REACH and abs(offset[2]) < RING)
    return around and bool(reading.sim["door_angle"][0] >= OPEN)


def sim(model: mujoco.MjModel, data: mujoco.MjData) -> Mapping[str, Array]:
    """Where the bar is grasped, in base and from the tool point in base axes, m; the door's angle (1,), rad."""
    return {**handle(model, data), "door_angle": data.joint("door_hinge").qpos.copy()}


class DoorExpert:
    """Above the bar, down, close, and along the circle. It reads `sim/*`, as a person with eyes would."""

    ABOVE, AHEAD = 0.05, np.radians(12)

    def __init__(self, task: TaskSpec) -> None:
        self._task, self._noise = task, Noise()

    def reset(self, rng: np.random.Generator) -> None:
        self._noise.reset(rng)

    def act(self, reading: Reading) -> Array:
        assert reading.gripper is not None, "hinge_door needs a gripper"
        bar, offset = reading.sim["handle_position"], reading.sim["handle_from_tool"]
        aligned = bool(abs(offset[0]) < 0.008 and abs(offset[1]) < 0.008)
        around = aligned and abs(offset[2]) < 0.01
        if reading.gripper.grasped and around:
            ahead = float(reading.sim["door_angle"][0]) + self.AHEAD
            cos, sin = np.cos(ahead), np.sin(ahead)
            goal = HINGE + np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]) @ (HANDLE - HINGE)
        else:
            goal = bar + np.array([0.0, 0.0, 0.0 if aligned else self.ABOVE])
        move = steer(self._task.action, reading.arm.pose, Pose(goal, DOWN))
        return np.concatenate([self._noise.add(move), grip(self._task.gripper, around)])


SPEC = TaskSpec(
    name="hinge_door",
    summary="open a door by its handle, hidden within 5 mm, against a magnetic catch",
    scene=Path(__file__).with_name("scene.xml"),
    home=np.array([0.0626, -0.0623, 0.0397, -2.5787, 0.0042, 2.5165, 0.8843]),
    start=Pose(HANDLE + np.array([0.0, 0.0, 0.1]), DOWN),
    start_noise=np.array([0.04, 0.04, 0.03, 0.0]),
    anchor=Pose(HANDLE, DOWN),
    workspace=Workspace(HANDLE + np.array([-0.05, -0.16, -0.015]), HANDLE + np.array([0.13, 0.05, 0.2])),
    gains=GAINS,
    reward=reward,
    verify=verify,
    expert=DoorExpert,
    randomise=hide_cabinet(HINGE),
    sim=sim,
    action=ActionSpec(axes=("x", "y", "z"), translation=0.02),
    observation=ObservationSpec(fine=0.01),
    gripper=GRIPPER,
    horizon=80,
    steps=4000,
    learner={"critics": 2, "batch": 128, "utd": 8, "n_step": 3},
)
