"""Bring the tool to a taught point. The smallest task: it trains in seconds and tests the whole graph."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from controllers.interface import Array, Pose, Reading
from tasks.domain import Domain
from tasks.expert import GoToGoal
from tasks.spec import ActionSpec, Gains, TaskSpec, Workspace

if TYPE_CHECKING:
    import mujoco

DOWN = np.array([1.0, 0.0, 0.0, 0.0])
GOAL = Pose(np.array([0.5, 0.0, 0.2]), DOWN)
TOLERANCE = 0.01
"""Distance in m at which the tool point has arrived."""


def reward(reading: Reading) -> tuple[float, bool]:
    """1 when the measured tool point is within `TOLERANCE` of the goal."""
    arrived = bool(np.linalg.norm(reading.arm.pose.position - GOAL.position) < TOLERANCE)
    return float(arrived), arrived


def randomise(model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator) -> None:
    """Nothing in the scene is hidden; only the start pose varies."""


def sim(model: mujoco.MjModel, data: mujoco.MjData) -> Mapping[str, Array]:
    """Nothing here is known to the simulator alone."""
    return {}


SPEC = TaskSpec(
    name="reach",
    summary="bring the tool to a taught point",
    scene=Path(__file__).with_name("scene.xml"),
    home=np.array([0.0, 0.0459, 0.0, -2.3763, 0.0, 2.4222, 0.7854]),
    start=GOAL,
    start_noise=np.array([0.1, 0.1, 0.05, 0.3]),
    anchor=GOAL,
    workspace=Workspace(np.array([0.35, -0.2, 0.08]), np.array([0.65, 0.2, 0.4])),
    gains=Gains(
        stiffness=np.array([1500.0] * 3 + [100.0] * 3),
        damping=np.array([195.0] * 3 + [12.0] * 3),
        clip=np.array([-0.02] * 3 + [-0.1] * 3 + [0.02] * 3 + [0.1] * 3),
    ),
    reward=reward,
    expert=lambda task: GoToGoal(task.action, GOAL),
    randomise=randomise,
    sim=sim,
    action=ActionSpec(axes=("x", "y", "z"), translation=0.02),
    domain=Domain(  # nothing is touched here
        brightness=(0.6, 1.4),
        light_turn=(0.0, 0.5),
        camera_shift=(0.0, 0.005),
        camera_turn=(0.0, 0.02),
        latency=(0.0, 0.03),
        wrench_bias=(0.3, 0.01),
        wrench_noise=(0.1, 0.005),
    ),
    horizon=50,
    steps=1500,
    learner={"critics": 2, "batch": 128, "start": 200, "n_step": 3},
)
