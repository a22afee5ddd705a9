"""A tool pushed to where a task's policy might push it, through the same targets."""

import numpy as np

import tasks
from controllers import spatial
from controllers.interface import Pose, PoseTarget
from controllers.twin import TwinCell
from robot_rl.resets.scripted import ScriptedReset
from tasks.domain import NOMINAL, Drawn

ABOVE = 0.03
"""Height above the task's anchor at which the tool comes over its first goal, m."""


def push(
    name: str,
    *goals: np.ndarray,
    yaw: float = 0.0,
    seconds: float = 2.5,
    force: float | None = None,
    drawn: Drawn = NOMINAL,
) -> TwinCell:
    """Bring the tool over the first goal, then to each for `seconds`, at full clip where it cannot get there.

    force: N at most, in place of what stiffness and clip of the task give. drawn: what the domain draws.
    """
    task = tasks.load(name)
    clip = task.gains.clip.copy()
    if force is not None:
        bound = force / task.gains.stiffness[:3]
        clip[:3], clip[6:9] = -bound, bound
    turned = spatial.multiply(task.anchor.quaternion, spatial.exp(np.array([0.0, 0.0, yaw])))
    cell = TwinCell(task, randomise=False)
    cell.vary(drawn)
    reading = ScriptedReset(task)(cell, 0)
    above = np.array([*goals[0][:2], task.anchor.position[2] + ABOVE])
    for aim in (above, *goals):
        for _ in range(round(seconds / cell.period)):
            cell.command(PoseTarget(Pose(aim, turned), reading.tick, clip=clip))
            reading = cell.wait()
    return cell


def deepest(cell: TwinCell, part: str) -> float:
    """The deepest contact of the shapes whose names begin with `part`, m."""
    names = [(cell.model.geom(c.geom1).name, cell.model.geom(c.geom2).name, c.dist) for c in cell.data.contact]
    return -min(float(distance) for *pair, distance in names if any(name.startswith(part) for name in pair))
