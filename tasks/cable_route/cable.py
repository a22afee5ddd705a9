"""A cable as a chain of stiff links on springs, from the hand to where its far end is held.

Frames: the chain runs along x of the body it begins on; each link turns about its own y (up), then z (aside).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from controllers.interface import Array

if TYPE_CHECKING:
    import mujoco

LINKS, LINK = 12, 0.014
"""How many links hang from what is held, and how long each is, m."""
HELD = 0.012
"""Of the cable, between the tool point and the first link, m."""
LENGTH = HELD + LINKS * LINK
"""From the tool point to the far end along the cable, m."""
RADIUS = 0.003
BENDING, DAMPING = 0.05, 0.001
"""Of a joint between two links, Nm/rad and Nm s/rad: a rigidity of 7e-4 N m2, as a thin USB cable's."""
ARMATURE = 1e-6
"""Of such a joint, kg m2: what is sprung must not be much lighter than a step of 1 ms allows."""
MASS = 0.0008
"""Of a link, kg."""
BENDS = ("up", "aside")
"""The joints of a link, in this order."""
BOW = 0.1
"""Turn from link to link of the bow that `lay` begins with, rad."""
TOUCHES = 4
"""Contact bit of the cable: it touches what asks for it, so neither itself nor the hand."""


def hang(spec: mujoco.MjSpec) -> None:
    """The chain on the body `grasped`, its end held at the site `relief`; straight wherever nothing bends it."""
    import mujoco

    body, at = spec.body("grasped"), HELD
    for link in range(LINKS):
        body = body.add_body(name=f"cable{link}", pos=[at, 0.0, 0.0])
        for name, axis in zip(BENDS, ([0, 1, 0], [0, 0, 1]), strict=True):
            body.add_joint(name=f"cable{link}_{name}", axis=axis, stiffness=BENDING, damping=DAMPING, armature=ARMATURE)
        body.add_geom(
            name=f"cable{link}", type=mujoco.mjtGeom.mjGEOM_CAPSULE, fromto=[0.0, 0.0, 0.0, LINK, 0.0, 0.0],
            size=[RADIUS, 0.0, 0.0], mass=MASS, material="cable", contype=TOUCHES, conaffinity=0, condim=3,
            friction=[0.3, 0.005, 0.0001], solref=[0.002, 1.0], solimp=[0.95, 0.999, 0.0001, 0.5, 2.0],
        )  # fmt: skip
        at = LINK
    body.add_site(name="cable_end", pos=[LINK, 0.0, 0.0])
    spec.add_equality(
        name="relief", type=mujoco.mjtEq.mjEQ_CONNECT, objtype=mujoco.mjtObj.mjOBJ_SITE, name1="cable_end",
        name2="relief", solref=[0.004, 1.0], solimp=[0.95, 0.999, 0.0001, 0.5, 2.0],
    )  # fmt: skip


def lay(model: mujoco.MjModel, data: mujoco.MjData) -> None:
    """Bend the cable, at rest, into a bow that ends where it is held, wherever the hand is.

    Damped least squares over the joints from a bow that is arched upwards, to a hundredth of a millimetre; as far as
    it goes where the hand is farther away than the cable is long.
    """
    import mujoco

    joints = [model.joint(f"cable{link}_{name}") for link in range(LINKS) for name in BENDS]
    places = [int(joint.qposadr[0]) for joint in joints]
    dofs = [int(joint.dofadr[0]) for joint in joints]
    data.qpos[places], data.qvel[dofs] = np.tile([-BOW, 0.0], LINKS), 0.0
    data.qpos[places[0]] = BOW * (LINKS - 1) / 2
    jacobian = np.empty((3, model.nv))
    for _ in range(100):
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        away = data.site("relief").xpos - data.site("cable_end").xpos
        if np.linalg.norm(away) < 1e-5:
            return
        mujoco.mj_jacSite(model, data, jacobian, None, data.site("cable_end").id)
        part = jacobian[:, dofs]
        data.qpos[places] += part.T @ np.linalg.solve(part @ part.T + 1e-6 * np.eye(3), away)


def crossing(data: mujoco.MjData, origin: Array, frame: Array) -> Array:
    """Where the cable goes through the plane x = 0 of a frame (`origin` (3,) m, axes as columns (3, 3)): (3,), m there.

    The first such place from the hand on; where there is none, what of the cable is nearest to the plane.
    """
    tool = data.site("tool").xpos
    points = [tool, *(data.body(f"cable{link}").xpos for link in range(LINKS)), data.site("cable_end").xpos]
    local = (np.array(points) - origin) @ frame
    for first, second in pairwise(local):
        if first[0] < 0.0 <= second[0]:
            share = first[0] / (first[0] - second[0])
            place: Array = first + share * (second - first)
            return place
    nearest: Array = local[np.abs(local[:, 0]).argmin()]
    return nearest
