"""Move an object from one bin to the other. From state it needs the object's place, which no sensor here measures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from controllers.interface import Array, Pose, Reading
from tasks.expert import Noise, grip, steer
from tasks.spec import ActionSpec, Gains, GripperSpec, ObservationSpec, Randomise, TaskSpec, Workspace

if TYPE_CHECKING:
    import mujoco

DOWN = np.array([1.0, 0.0, 0.0, 0.0])
LEFT, RIGHT = np.array([0.5, 0.1, 0.024]), np.array([0.5, -0.1, 0.024])
"""Centre of an object that lies in the middle of a bin, m in base."""
INSIDE = 0.08
"""Distance in x and y from the middle of a bin within which the object is in it, m; the rim is at 0.1."""
RIM = 0.1
"""Distance in x and y from the middle of a bin to its rim, m."""
LOW = 0.02
"""Height above `LEFT` and `RIGHT` up to which an object lies, on the slopes too, m."""
STILL = 0.02
"""Speed under which the object is at rest, m/s."""
CLEAR = 0.09
"""Height of the tool point at which the fingers are above the walls and above an object that lies, m."""
LET_GO = 0.06
"""Opening of the gripper beyond which it holds nothing, m; the object measures 40 mm."""


def lies_in(reading: Reading, place: Array) -> bool:
    """Whether the object is at rest in the bin with the middle `place`, held by nothing."""
    offset = reading.sim["object_position"] - place
    still = bool(reading.sim["object_speed"][0] < STILL)
    return still and bool(np.abs(offset[:2]).max() < INSIDE and offset[2] < LOW)


def lost(reading: Reading) -> bool:
    """Whether the object lies beside both bins, where the workspace ends."""
    place = reading.sim["object_position"]
    return bool(np.abs(place - LEFT)[:2].max() > RIM and np.abs(place - RIGHT)[:2].max() > RIM)


def relocated(goal: Array) -> Callable[[Reading], bool]:
    """Whether the object truly lies in the bin `goal`, and the hand is above the walls and away from it."""

    def verify(reading: Reading) -> bool:
        return lies_in(reading, goal) and bool(reading.arm.pose.position[2] > CLEAR)

    return verify


def released(goal: Array) -> Callable[[Reading], tuple[float, bool]]:
    """1 when the object lies in the bin `goal` and the open gripper is above the walls."""
    verify = relocated(goal)

    def reward(reading: Reading) -> tuple[float, bool]:
        let_go = reading.gripper is not None and reading.gripper.width > LET_GO
        success = let_go and verify(reading)
        return float(success), success

    return reward


def draw_in(place: Array) -> Randomise:
    """An episode's draw: the object at rest in the bin with the middle `place`, within 3 cm, turned anyhow."""

    def randomise(model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator) -> None:
        joint = model.joint("object_free")
        at, speed = int(joint.qposadr[0]), int(joint.dofadr[0])
        half = rng.uniform(-1, 1) * np.radians(45) / 2
        data.qpos[at : at + 3] = place + np.append(rng.uniform(-0.03, 0.03, 2), 0.0)
        data.qpos[at + 3 : at + 7] = np.cos(half), 0.0, 0.0, np.sin(half)
        data.qvel[speed : speed + 6] = 0.0

    return randomise


def sim(model: mujoco.MjModel, data: mujoco.MjData) -> Mapping[str, Array]:
    """The object's centre in base and seen from the tool point in base axes, m, and its speed (1,), m/s."""
    place = data.body("object").xpos
    return {
        "object_position": place.copy(),
        "object_from_tool": place - data.site("tool").xpos,
        "object_speed": np.array([np.linalg.norm(data.joint("object_free").qvel[:3])]),
    }


class RelocateExpert:
    """Above the object, down, close, up, across, down, open, up. It reads `sim/*`."""

    ABOVE, CARRY, DROP = 0.12, 0.10, 0.075
    GRASP = 0.01  # of the tool above the object's centre, m: the fingers stay clear of the slopes

    def __init__(self, task: TaskSpec, goal: Array) -> None:
        self._task, self._goal, self._noise = task, goal, Noise()

    def reset(self, rng: np.random.Generator) -> None:
        self._noise.reset(rng)

    def act(self, reading: Reading) -> Array:
        assert reading.gripper is not None, f"{self._task.name} needs a gripper"
        place, offset = reading.sim["object_position"], reading.sim["object_from_tool"]
        near = bool(np.linalg.norm(offset[:2]) < 0.01 and -offset[2] < self.GRASP + 0.008)
        if reading.gripper.grasped and near:
            goal, close = self._carry(reading.arm.pose.position)
        elif np.abs(place - self._goal)[:2].max() < INSIDE:
            goal, close = np.append(reading.arm.pose.position[:2], 0.2), False
        else:
            goal, close = self._fetch(place, offset), near
        move = steer(self._task.action, reading.arm.pose, Pose(goal, DOWN))
        return np.concatenate([self._noise.add(move), grip(self._task.gripper, close)])

    def _fetch(self, place: Array, offset: Array) -> Array:
        """Where the tool goes to grasp the object."""
        height = self.GRASP if np.linalg.norm(offset[:2]) < 0.012 else self.ABOVE
        return place + np.array([0.0, 0.0, height])

    def _carry(self, tool: Array) -> tuple[Array, bool]:
        """Where the tool takes the object, and whether it still holds on to it."""
        over = bool(np.abs(tool - self._goal)[:2].max() < 0.03)
        if over:
            return np.append(self._goal[:2], self.DROP - 0.02), bool(tool[2] > self.DROP)
        if tool[2] < self.CARRY - 0.02:
            return np.append(tool[:2], self.CARRY + 0.03), True
        return np.append(self._goal[:2], self.CARRY + 0.03), True


def relocation(name: str, reverse: str, source: Array, goal: Array) -> TaskSpec:
    """The task that moves the object from the bin `source` to the bin `goal`, which `reverse` undoes."""
    return TaskSpec(
        name=name,
        summary="move an object from one bin to the other (privileged: from state, its place is the simulator's)",
        reverse=reverse,
        scene=Path(__file__).with_name("scene.xml"),
        home=np.array([0.0, 0.0459, 0.0, -2.3763, 0.0, 2.4222, 0.7854]),
        start=Pose(np.array([0.5, 0.0, 0.18]), DOWN),
        start_noise=np.array([0.05, 0.1, 0.03, 0.0]),
        anchor=Pose(goal, DOWN),
        workspace=Workspace(np.array([0.43, -0.17, 0.028]), np.array([0.57, 0.17, 0.3])),
        gains=Gains(
            stiffness=np.array([1500.0] * 3 + [100.0] * 3),
            damping=np.array([195.0] * 3 + [12.0] * 3),
            clip=np.array([-0.018] * 3 + [-0.1] * 3 + [0.018] * 3 + [0.1] * 3),
        ),
        reward=released(goal),
        verify=relocated(goal),
        expert=lambda task: RelocateExpert(task, goal),
        randomise=draw_in(source),
        sim=sim,
        lost=lost,
        action=ActionSpec(axes=("x", "y", "z"), translation=0.03),
        observation=ObservationSpec(fine=0.01, privileged=("object_from_tool",)),
        gripper=GripperSpec(start=0.08),
        horizon=100,
        steps=6000,
        learner={"critics": 2, "batch": 128, "utd": 8, "n_step": 3},
    )


SPEC = relocation("relocate", "relocate_back", source=LEFT, goal=RIGHT)
