"""A task at another place than its file says: taught at a site, its coordinates replaced, nothing else.

The task's own frame is the one that its file is written in; a taught anchor moves that frame to the site. Poses that
the arm needs move along. Rewards, experts and checks of success stay as they are: they see readings moved back.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from controllers import spatial
from controllers.interface import Array, Pose, Reading
from controllers.places import Box, Place
from tasks.spec import Expert, Randomise, TaskSpec, Workspace

if TYPE_CHECKING:
    import mujoco

Result = TypeVar("Result")

POINT, VECTOR, AXIS = "_position", "_from_tool", "_axis"
"""Ends of the names of `sim/*` values that are a point in base, a vector in base axes, or a unit vector in these, which
an observation does not scale; the others have no frame."""
CARRIED = "carried"
"""Body that lies free on what the hand holds: an episode's draw puts it where the hand is, at whatever place."""


def placed(task: TaskSpec, place: Place, *, scene: bool = False) -> TaskSpec:
    """`task` as taught at `place`. scene: move the twin's scene there too, so that the twin stands in for the site."""
    there = multiply(place.goal.pose, inverse(task.anchor))
    back = inverse(there)
    taught = dataclasses.replace(
        task,
        anchor=place.goal.pose,
        start=multiply(there, task.start) if place.start is None else place.start.pose,
        home=np.array(place.home) if place.home else task.home,
        workspace=_workspace(task.workspace, there, place.box),
        reward=_seen(task.reward, back),
        verify=None if task.verify is None else _seen(task.verify, back),
        lost=None if task.lost is None else _seen(task.lost, back),
        expert=lambda _: PlacedExpert(task.expert(task), back),
    )
    if not scene:
        return taught
    return dataclasses.replace(taught, edit=_move_scene(task.edit, there), randomise=_move_draw(task.randomise, there))


def multiply(first: Pose, second: Pose) -> Pose:
    """The pose `second`, given in the frame `first`, in the frame that `first` is given in."""
    return Pose(
        first.position + spatial.rotate(first.quaternion, second.position),
        spatial.multiply(first.quaternion, second.quaternion),
    )


def inverse(pose: Pose) -> Pose:
    """The frame in which `pose` is given, seen from `pose`."""
    back = spatial.conjugate(pose.quaternion)
    return Pose(-spatial.rotate(back, pose.position), back)


def moved(reading: Reading, by: Pose) -> Reading:
    """`reading` with all that has a place in base moved: poses, twist, wrench, and points and vectors of `sim`."""
    turn, arm = by.quaternion, reading.arm
    arm = dataclasses.replace(
        arm,
        pose=multiply(by, arm.pose),
        reference=multiply(by, arm.reference),
        twist=_turned(turn, arm.twist),
        wrench=_turned(turn, arm.wrench),
    )
    sim = dict(reading.sim)
    for name, value in reading.sim.items():
        if name.endswith(POINT):
            sim[name] = by.position + spatial.rotate(turn, value)
        elif name.endswith((VECTOR, AXIS)):
            sim[name] = spatial.rotate(turn, value)
    return dataclasses.replace(reading, arm=arm, sim=sim)


class PlacedExpert:
    """An expert of the task's own frame at a site: its actions are in the tool frame, so they need no change."""

    def __init__(self, expert: Expert, back: Pose) -> None:
        self._expert, self._back = expert, back

    def reset(self, rng: np.random.Generator) -> None:
        self._expert.reset(rng)

    def act(self, reading: Reading) -> Array:
        return self._expert.act(moved(reading, self._back))


def _seen(function: Callable[[Reading], Result], back: Pose) -> Callable[[Reading], Result]:
    return lambda reading: function(moved(reading, back))


def _turned(turn: Array, vector: Array) -> Array:
    """Both halves of a twist or wrench (6,), turned."""
    return np.concatenate([spatial.rotate(turn, vector[:3]), spatial.rotate(turn, vector[3:])])


def _workspace(own: Workspace, there: Pose, box: Box | None) -> Workspace:
    """The taught box, or the one along the base's axes around the task's own box at the site."""
    if box is not None:
        return dataclasses.replace(own, low=np.array(box.low), high=np.array(box.high))
    corners = itertools.product(*zip(own.low, own.high, strict=True))
    there_corners = np.array([multiply(there, Pose(np.array(corner), there.quaternion)).position for corner in corners])
    return dataclasses.replace(own, low=there_corners.min(axis=0), high=there_corners.max(axis=0))


# The twin's scene


def _move_scene(edit: Callable[[mujoco.MjSpec], None] | None, there: Pose) -> Callable[[mujoco.MjSpec], None]:
    """The task's scene is attached last, to a frame of its own, which moves."""

    def move(world: mujoco.MjSpec) -> None:
        frame = world.worldbody.frames[-1]
        frame.pos, frame.quat = there.position, there.quaternion[[3, 0, 1, 2]]
        if edit is not None:
            edit(world)

    return move


def _move_draw(randomise: Randomise, there: Pose) -> Randomise:
    """An episode drawn in the task's own frame, then moved."""

    def draw(model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator) -> None:
        _move_free(model, data, inverse(there))
        randomise(model, data, rng)
        _move_free(model, data, there)

    return draw


def _move_free(model: mujoco.MjModel, data: mujoco.MjData, by: Pose) -> None:
    """Move what an episode's draw may place: mocap bodies and bodies on free joints, but for what the hand carries."""
    wxyz = [3, 0, 1, 2]
    places = [(data.mocap_pos[i], data.mocap_quat[i]) for i in range(model.nmocap)]
    free = [j for j in range(model.njnt) if model.jnt_type[j] == 0]  # mjJNT_FREE
    for joint in free:
        if model.body(model.jnt_bodyid[joint]).name == CARRIED:
            continue
        address = int(model.jnt_qposadr[joint])
        places.append((data.qpos[address : address + 3], data.qpos[address + 3 : address + 7]))
    for position, quaternion in places:
        pose = multiply(by, Pose(position.copy(), quaternion[[1, 2, 3, 0]]))
        position[:], quaternion[:] = pose.position, pose.quaternion[wxyz]
