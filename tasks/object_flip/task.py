"""Flick a pan so that the block that stands on it tips over, and catch it lying: a flip within the arm's limits.

Frames: the pan's origin is the middle of its plate, x away from the hand, z up.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from controllers import spatial
from controllers.interface import Array, Pose, Reading
from tasks.expert import Noise, steer
from tasks.spec import ActionSpec, Gains, ObservationSpec, TaskSpec, Workspace

if TYPE_CHECKING:
    import mujoco

DOWN = np.array([1.0, 0.0, 0.0, 0.0])
START = np.array([0.4, 0.0, 0.26])
"""Nominal tool point, m in base."""
PLACE = np.array([-0.04, 0.0, 0.0505])
"""Centre of the block where it stands on the pan, m from the pan."""
PLATE = np.array([0.1, 0.06])
"""Half the pan's plate, m: a block whose centre is above it lies in the pan."""
LYING = 0.02
"""Height of the block's centre above the plate up to which it lies flat, m; it lies at 12 mm, stands at 50."""
UPWARD = 0.995
"""Upward share of the red face's normal from which on the block lies flat: one that leans on the rim has 0.992."""
STILL = 0.05
"""Speed under which the block is at rest, m/s."""


def reward(reading: Reading) -> tuple[float, bool]:
    """1 when the block is at rest in the pan with its red face on top."""
    success = verify(reading)
    return float(success), success


def verify(reading: Reading) -> bool:
    """Whether the block truly lies in the pan, on the face that was ahead."""
    place = reading.sim["block_in_pan"]
    inside = bool((np.abs(place[:2]) < PLATE).all() and 0.0 < place[2] < LYING)
    over = bool(reading.sim["red_axis"][2] > UPWARD)
    return inside and over and bool(reading.sim["block_speed"][0] < STILL)


def randomise(model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator) -> None:
    """The block stands on the pan, wherever the hand is: within 1 cm of its place, turned by up to 3 degrees."""
    joint, pan = model.joint("block_free"), data.site("pan")
    at, speed = int(joint.qposadr[0]), int(joint.dofadr[0])
    offset = PLACE + np.append(rng.uniform(-0.01, 0.01, 2), 0.0)
    heading = spatial.exp(np.array([0.0, 0.0, rng.uniform(-1, 1) * np.radians(3)]))
    stands = spatial.multiply(data.body("pan").xquat[[1, 2, 3, 0]], heading)
    data.qpos[at : at + 3] = pan.xpos + pan.xmat.reshape(3, 3) @ offset
    data.qpos[at + 3 : at + 7] = stands[[3, 0, 1, 2]]
    data.qvel[speed : speed + 6] = 0.0


def sim(model: mujoco.MjModel, data: mujoco.MjData) -> Mapping[str, Array]:
    """The block's centre from the tool point and the red face's normal, in base axes; its centre from the pan; m.

    block_speed (1,): m/s.
    """
    block, pan = data.body("carried"), data.site("pan")
    return {
        "block_from_tool": block.xpos - data.site("tool").xpos,
        "block_in_pan": pan.xmat.reshape(3, 3).T @ (block.xpos - pan.xpos),
        "red_axis": -block.xmat.reshape(3, 3)[:, 0],
        "block_speed": np.array([np.linalg.norm(data.joint("block_free").qvel[:3])]),
    }


class FlipExpert:
    """Runs ahead, then pulls back and leans the pan ahead until the block tips, and levels it; it reads `sim/*`."""

    FAST, FAR, BACK, TIPPED = 0.25, 0.1, -0.03, 0.4

    def __init__(self, task: TaskSpec) -> None:
        self._action, self._noise = task.action, Noise(scale=0.1)

    def reset(self, rng: np.random.Generator) -> None:
        self._noise.reset(rng)
        self._pulling = False

    def act(self, reading: Reading) -> Array:
        pose, ahead = reading.arm.pose, reading.arm.pose.position[0] - START[0]
        level = float(steer(self._action, pose, Pose(pose.position, DOWN))[-1])
        self._pulling = ahead > self.BACK if self._pulling else reading.arm.twist[0] > self.FAST or ahead > self.FAR
        if float(reading.sim["red_axis"][2]) > self.TIPPED:
            return self._noise.add(np.array([0.0, 0.0, level]))
        return self._noise.add(np.array([-1.0, 0.0, -1.0] if self._pulling else [1.0, 0.0, level]))


SPEC = TaskSpec(
    name="object_flip",
    summary="flick a pan so that a block on it tips over and lies (privileged: from state, the block's place and turn)",
    scene=Path(__file__).with_name("scene.xml"),
    home=np.array([0.0, -0.3569, 0.0, -2.6371, 0.0, 2.2801, 0.7854]),
    start=Pose(START, DOWN),
    start_noise=np.array([0.03, 0.0, 0.03, 0.0]),
    anchor=Pose(START, DOWN),
    workspace=Workspace(START - np.array([0.1, 0.08, 0.08]), START + np.array([0.2, 0.08, 0.12]), tilt=0.1),
    # Soft ahead, and little damped, so that what a wrist can push with makes the pan fast.
    gains=Gains(
        stiffness=np.array([300.0, 1500.0, 1500.0] + [100.0] * 3),
        damping=np.array([90.0, 195.0, 210.0] + [18.0] * 3),
        clip=np.array([-0.09, -0.018, -0.018] + [-0.1] * 3 + [0.09, 0.018, 0.018] + [0.1] * 3),
    ),
    reward=reward,
    verify=verify,
    expert=FlipExpert,
    randomise=randomise,
    sim=sim,
    action=ActionSpec(axes=("x", "z", "ry"), translation=0.09, rotation=0.1),
    observation=ObservationSpec(fine=0.01, linear_speed=0.3, privileged=("block_from_tool", "red_axis")),
    period=0.05,
    horizon=60,
    steps=6000,
    learner={"critics": 2, "batch": 128, "utd": 8, "n_step": 3},
)
