"""Pick a cube from the table. From state it needs the cube's place, which no sensor here measures: privileged."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from controllers.interface import Array, Pose, Reading
from tasks.domain import Domain
from tasks.expert import Noise, grip, steer
from tasks.spec import ActionSpec, Gains, GripperSpec, ObservationSpec, TaskSpec, Workspace

if TYPE_CHECKING:
    import mujoco

DOWN = np.array([1.0, 0.0, 0.0, 0.0])
PLACE = np.array([0.5, 0.0, 0.02])
"""Middle of the patch where the cube lies, its centre, m in base."""
LIFT = 0.06
"""Height above the table at which the cube counts as picked, m."""
NEAR = 0.03
"""Distance of its centre from the tool point up to which the cube is between the fingers, m; it measures 40 mm."""


def reward(reading: Reading) -> tuple[float, bool]:
    """1 when the cube hangs `LIFT` above where it lay, and the gripper holds it between its fingers.

    A cube that is held by its outermost bit is no success: a policy that is paid for it learns to grasp no better.
    """
    held = reading.gripper is not None and reading.gripper.grasped
    success = held and verify(reading)
    return float(success), success


def verify(reading: Reading) -> bool:
    """Whether the cube truly is up, between the fingers."""
    near = float(np.linalg.norm(reading.sim["cube_from_tool"])) < NEAR
    return bool(near and reading.sim["cube_position"][2] > PLACE[2] + LIFT)


def randomise(model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator) -> None:
    """The cube lies at rest within 5 cm, turned by up to 20 degrees."""
    joint = model.joint("cube_free")
    at, speed = int(joint.qposadr[0]), int(joint.dofadr[0])
    half = rng.uniform(-1, 1) * np.radians(20) / 2
    data.qpos[at : at + 3] = PLACE + np.append(rng.uniform(-0.05, 0.05, 2), 0.0)
    data.qpos[at + 3 : at + 7] = np.cos(half), 0.0, 0.0, np.sin(half)
    data.qvel[speed : speed + 6] = 0.0


def sim(model: mujoco.MjModel, data: mujoco.MjData) -> Mapping[str, Array]:
    """The cube's centre in base, and seen from the tool point in base axes, m."""
    cube = data.body("cube").xpos
    return {"cube_position": cube.copy(), "cube_from_tool": cube - data.site("tool").xpos}


class PickExpert:
    """Above the cube, down, close, up. It reads `sim/*`."""

    ABOVE = 0.08

    def __init__(self, task: TaskSpec) -> None:
        self._task, self._noise = task, Noise()

    def reset(self, rng: np.random.Generator) -> None:
        self._noise.reset(rng)

    def act(self, reading: Reading) -> Array:
        assert reading.gripper is not None, "pick_cube needs a gripper"
        cube, offset = reading.sim["cube_position"], reading.sim["cube_from_tool"]
        aside, above = float(np.linalg.norm(offset[:2])), float(-offset[2])
        near = aside < 0.008 and above < 0.012
        if reading.gripper.grasped and near:
            goal = np.array([cube[0], cube[1], PLACE[2] + LIFT + 0.05])
        elif aside < 0.01:
            goal = cube
        else:
            goal = cube + np.array([0.0, 0.0, self.ABOVE])
        move = steer(self._task.action, reading.arm.pose, Pose(goal, DOWN))
        return np.concatenate([self._noise.add(move), grip(self._task.gripper, near)])


SPEC = TaskSpec(
    name="pick_cube",
    summary="pick a cube from the table (privileged: from state, the cube's place comes from the simulator)",
    scene=Path(__file__).with_name("scene.xml"),
    home=np.array([0.0, 0.0459, 0.0, -2.3763, 0.0, 2.4222, 0.7854]),
    start=Pose(np.array([0.5, 0.0, 0.18]), DOWN),
    start_noise=np.array([0.05, 0.05, 0.03, 0.0]),
    anchor=Pose(PLACE, DOWN),
    workspace=Workspace(np.array([0.38, -0.12, 0.015]), np.array([0.62, 0.12, 0.35])),
    gains=Gains(
        stiffness=np.array([1500.0] * 3 + [100.0] * 3),
        damping=np.array([195.0] * 3 + [12.0] * 3),
        clip=np.array([-0.015] * 3 + [-0.1] * 3 + [0.015] * 3 + [0.1] * 3),
    ),
    reward=reward,
    verify=verify,
    expert=PickExpert,
    randomise=randomise,
    sim=sim,
    action=ActionSpec(axes=("x", "y", "z"), translation=0.02),
    observation=ObservationSpec(fine=0.01, privileged=("cube_from_tool",)),
    gripper=GripperSpec(start=0.08),
    domain=Domain(
        friction=(0.6, 1.4),
        contact=(0.7, 1.5),
        mass=(0.5, 2.0),
        brightness=(0.6, 1.4),
        light_turn=(0.0, 0.5),
        camera_shift=(0.0, 0.005),
        camera_turn=(0.0, 0.02),
        latency=(0.0, 0.03),
        wrench_bias=(0.3, 0.01),
        wrench_noise=(0.1, 0.005),
    ),
    goal="cube",
    horizon=100,
    steps=6000,
    learner={"critics": 2, "batch": 128, "n_step": 3},
)
