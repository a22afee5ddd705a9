"""Open a drawer by its handle, whose true place is hidden. What the arm and the gripper measure tells that it is open.

Frames: the origin of the handle is the middle of its bar; the drawer opens along -y of the base.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from controllers.interface import Array, Pose, Reading
from tasks.expert import Noise, grip, steer
from tasks.handle import GAINS, GRIPPER, HIDDEN, REACH, handle, hide_cabinet, holds_bar
from tasks.spec import ActionSpec, ObservationSpec, TaskSpec, Workspace

if TYPE_CHECKING:
    import mujoco

DOWN = np.array([1.0, 0.0, 0.0, 0.0])
HANDLE = np.array([0.5, 0.04, 0.065])
"""Taught middle of the bar while the drawer is shut, m in base."""
TRAVEL = 0.12
"""Of the drawer, m; success is 80 % of it."""
OPEN = 0.8 * TRAVEL
SLACK = 0.003
"""By how much a bar between the fingers may be off the tool point, m."""


def reward(reading: Reading) -> tuple[float, bool]:
    """1 when the gripper holds something as thick as the bar where the bar is once the drawer is open.

    It is open by `OPEN` at least, wherever the cabinet truly stands: only the handle comes so far, the rest of the
    drawer stays 7 cm behind it.
    """
    offset = reading.arm.pose.position - HANDLE
    pulled = -offset[1] > OPEN + HIDDEN + SLACK
    success = bool(holds_bar(reading) and pulled and abs(offset[2]) < REACH)
    return float(success), success


def verify(reading: Reading) -> bool:
    """Whether the drawer truly is open, and its handle between the fingers."""
    near = float(np.linalg.norm(reading.sim["handle_from_tool"][1:])) < REACH
    return near and bool(reading.sim["drawer_opening"][0] >= OPEN)


def sim(model: mujoco.MjModel, data: mujoco.MjData) -> Mapping[str, Array]:
    """The bar's middle in base and seen from the tool point in base axes, and the drawer's opening (1,), m."""
    return {**handle(model, data), "drawer_opening": data.joint("drawer_slide").qpos.copy()}


class DrawerExpert:
    """Above the bar, down, close, pull. It reads `sim/*`, as a person with eyes would."""

    ABOVE = 0.05

    def __init__(self, task: TaskSpec) -> None:
        self._task, self._noise = task, Noise()

    def reset(self, rng: np.random.Generator) -> None:
        self._noise.reset(rng)

    def act(self, reading: Reading) -> Array:
        assert reading.gripper is not None, "drawer needs a gripper"
        bar, offset = reading.sim["handle_position"], reading.sim["handle_from_tool"]
        aligned = bool(abs(offset[0]) < 0.015 and abs(offset[1]) < 0.008)
        around = aligned and abs(offset[2]) < 0.008
        if reading.gripper.grasped and around:
            goal = bar - np.array([0.0, 0.05, 0.0])
        else:
            goal = bar + np.array([0.0, 0.0, 0.0 if aligned else self.ABOVE])
        move = steer(self._task.action, reading.arm.pose, Pose(goal, DOWN))
        return np.concatenate([self._noise.add(move), grip(self._task.gripper, around)])


SPEC = TaskSpec(
    name="drawer",
    summary="open a drawer by its handle, hidden within 5 mm",
    scene=Path(__file__).with_name("scene.xml"),
    home=np.array([0.0624, 0.1005, 0.0173, -2.3843, -0.0028, 2.4848, 0.8673]),
    start=Pose(HANDLE + np.array([0.0, 0.0, 0.11]), DOWN),
    start_noise=np.array([0.04, 0.04, 0.03, 0.0]),
    anchor=Pose(HANDLE, DOWN),
    # Not lower: the twin's fingers touch with their tips alone, which must not slip under the bar.
    workspace=Workspace(HANDLE + np.array([-0.06, -0.14, -0.003]), HANDLE + np.array([0.06, 0.045, 0.2])),
    gains=GAINS,
    reward=reward,
    verify=verify,
    expert=DrawerExpert,
    randomise=hide_cabinet(HANDLE),
    sim=sim,
    action=ActionSpec(axes=("x", "y", "z"), translation=0.02),
    observation=ObservationSpec(fine=0.01),
    gripper=GRIPPER,
    horizon=80,
    steps=4000,
    learner={"critics": 2, "batch": 128, "utd": 8, "n_step": 3},
)
