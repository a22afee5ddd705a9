"""A compiled MuJoCo model as bodies of Bullet: one description of a scene, two engines.

Every tree of bodies below the world becomes one multibody. A body with several joints becomes a chain of links of which
the last one has its mass and shapes. Frames: a link's frame lies where its joint turns, along the body's axes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import mujoco
import numpy as np

from controllers.exceptions import SceneError
from controllers.interface import Array

FREE, SLIDE, HINGE = (int(kind) for kind in (
    mujoco.mjtJoint.mjJNT_FREE, mujoco.mjtJoint.mjJNT_SLIDE, mujoco.mjtJoint.mjJNT_HINGE,
))  # fmt: skip
FEATHER = 1e-3
"""Mass, kg, of the links between the joints of one body; what they carry is far heavier along each joint."""
STOP = 1e4
"""Force, N or Nm, with which a joint is kept within its range."""
WORLD = 0
"""MuJoCo's number of the body that everything is fixed to."""
FLOOR = [2.0, 2.0, 0.5]
"""Half sizes, m, of the box that a plane becomes."""
NOWHERE = -1
"""Bullet's number of a base, as of a link."""


@dataclass
class Links:
    """What `createMultiBody` wants to know of links, one entry each. joints: MuJoCo's, -1 where a link is fixed."""

    masses: list[float] = field(default_factory=list)
    shapes: list[int] = field(default_factory=list)
    positions: list[Array] = field(default_factory=list)
    orientations: list[Array] = field(default_factory=list)
    centres: list[Array] = field(default_factory=list)
    turns: list[Array] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    kinds: list[int] = field(default_factory=list)
    axes: list[Array] = field(default_factory=list)
    joints: list[int] = field(default_factory=list)
    bodies: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Tree:
    """One multibody: its number, MuJoCo's body at its base, and of each link the joint and the body (-1: none)."""

    number: int
    base: int
    joints: tuple[int, ...]
    bodies: tuple[int, ...]


class Translator:
    """Makes bodies of `model` in the Bullet client `client`. Raises `SceneError` for what Bullet has not."""

    def __init__(self, bullet: ModuleType, client: int, model: mujoco.MjModel, name: str) -> None:
        self._bullet, self._client, self._model, self._name = bullet, client, model, name
        self._refuse()

    def trees(self) -> list[Tree]:
        """All of the world: what is fixed to it first."""
        model = self._model
        roots = [body for body in range(1, model.nbody) if model.body_parentid[body] == WORLD]
        trees = [self._tree(WORLD, []), *(self._tree(root, self._below(root)) for root in roots)]
        self._exclude(trees)
        return trees

    def _exclude(self, trees: Sequence[Tree]) -> None:
        """Pairs of bodies that MuJoCo was told to let through each other."""
        places = {tree.base: (tree.number, NOWHERE) for tree in trees}
        places |= {body: (tree.number, link) for tree in trees for link, body in enumerate(tree.bodies) if body >= 0}
        for signature in self._model.exclude_signature:
            (one, first), (other, second) = places[int(signature) >> 16], places[int(signature) & 0xFFFF]
            self._bullet.setCollisionFilterPair(one, other, first, second, 0, physicsClientId=self._client)

    def _refuse(self) -> None:
        model = self._model
        for count, what in ((model.neq, "equality constraints"), (model.nflex, "flexible bodies"),
                            (model.npair, "explicit contact pairs"), (model.nhfield, "height fields")):  # fmt: skip
            if count:
                raise SceneError(f"the scene of {self._name} has {count} {what}, which Bullet has not: use mujoco")
        for joint in range(model.njnt):
            body = int(model.jnt_bodyid[joint])
            free = model.jnt_type[joint] == FREE and model.body_parentid[body] == WORLD
            if model.jnt_type[joint] not in (SLIDE, HINGE) and not free:
                raise SceneError(f"joint {model.joint(joint).name} of {self._name} is a ball: use slides and hinges")

    def _below(self, body: int) -> list[int]:
        """All bodies under `body`, parents first."""
        children = [other for other in range(1, self._model.nbody) if self._model.body_parentid[other] == body]
        return [one for child in children for one in (child, *self._below(child))]

    def _tree(self, base: int, below: Sequence[int]) -> Tree:
        links, last = Links(), {base: NOWHERE}
        anchor = {base: np.zeros(3)}
        for body in below:
            parent = int(self._model.body_parentid[body])
            anchor[body] = self._chain(links, body, last[parent], anchor[parent])
            last[body] = len(links.masses) - 1
        number = self._create(base, links)
        self._weigh(number, NOWHERE, base)
        for index, body in enumerate(links.bodies):
            self._weigh(number, index, body, links.joints[index])
        return Tree(number, base, tuple(links.joints), tuple(links.bodies))

    def _chain(self, links: Links, body: int, parent: int, origin: Array) -> Array:
        """The links of one body, in the order of its joints; returns where the last one's frame lies in the body's."""
        model = self._model
        joints = list(range(model.body_jntadr[body], model.body_jntadr[body] + model.body_jntnum[body])) or [-1]
        place, turn = model.body_pos[body] - origin, _xyzw(model.body_quat[body])
        here = np.zeros(3)
        for joint in joints:
            at = model.jnt_pos[joint] if joint >= 0 else np.zeros(3)
            final = joint == joints[-1]
            links.positions.append(place + _rotate(turn, at - here))
            links.orientations.append(turn)
            links.parents.append(parent + 1)
            links.masses.append(max(float(model.body_mass[body]), FEATHER) if final else FEATHER)
            links.shapes.append(self._shape(body, at) if final else -1)
            links.centres.append(model.body_ipos[body] - at if final else np.zeros(3))
            links.turns.append(_xyzw(model.body_iquat[body]) if final else _xyzw(np.array([1.0, 0, 0, 0])))
            links.kinds.append(self._kind(joint))
            links.axes.append(model.jnt_axis[joint] if joint >= 0 else np.array([0.0, 0.0, 1.0]))
            links.joints.append(joint)
            links.bodies.append(body if final else -1)
            parent, here, place, turn = len(links.masses) - 1, at, np.zeros(3), _xyzw(np.array([1.0, 0, 0, 0]))
        return here

    def _kind(self, joint: int) -> int:
        b = self._bullet
        if joint < 0:
            return int(b.JOINT_FIXED)
        return int(b.JOINT_PRISMATIC if self._model.jnt_type[joint] == SLIDE else b.JOINT_REVOLUTE)

    def _create(self, base: int, links: Links) -> int:
        model, free = self._model, self._is_free(base)
        plain = {"baseInertialFramePosition": model.body_ipos[base],
                 "baseInertialFrameOrientation": _xyzw(model.body_iquat[base])} if free else {}  # fmt: skip
        return int(
            self._bullet.createMultiBody(
                baseMass=float(model.body_mass[base]) if free else 0.0,
                baseCollisionShapeIndex=self._shape(base, np.zeros(3)),
                basePosition=model.body_pos[base],
                baseOrientation=_xyzw(model.body_quat[base]),
                linkMasses=links.masses,
                linkCollisionShapeIndices=links.shapes,
                linkVisualShapeIndices=[-1] * len(links.masses),
                linkPositions=links.positions,
                linkOrientations=links.orientations,
                linkInertialFramePositions=links.centres,
                linkInertialFrameOrientations=links.turns,
                linkParentIndices=links.parents,
                linkJointTypes=links.kinds,
                linkJointAxis=links.axes,
                physicsClientId=self._client,
                **plain,
            )
        )

    def _is_free(self, body: int) -> bool:
        first = self._model.body_jntadr[body]
        return bool(first >= 0 and self._model.jnt_type[first] == FREE)

    def _weigh(self, number: int, link: int, body: int, joint: int = -1) -> None:
        """Inertia, friction and what touches what. A rotor's inertia is its link's, about the joint's axis."""
        model, settings = self._model, dict[str, Any](linearDamping=0.0, angularDamping=0.0, jointDamping=0.0)
        inertia = np.full(3, 1e-7) if body < 0 else np.maximum(model.body_inertia[body], 1e-7)
        if joint >= 0 and model.jnt_type[joint] == HINGE:
            turn = _xyzw(model.body_iquat[body]) if body >= 0 else _xyzw(np.array([1.0, 0, 0, 0]))
            axis = _rotate(turn * [-1, -1, -1, 1], model.jnt_axis[joint])
            inertia = inertia + model.dof_armature[model.jnt_dofadr[joint]] * axis**2
        if joint >= 0 and model.jnt_limited[joint]:
            low, high = model.jnt_range[joint] - model.qpos0[model.jnt_qposadr[joint]]
            settings |= {"jointLowerLimit": low, "jointUpperLimit": high, "jointLimitForce": STOP}
        if link >= 0 or self._is_free(body):
            settings |= {"localInertiaDiagonal": inertia.tolist()}
        geoms = [] if body < 0 else list(self._geoms(body))
        if geoms:
            # Bullet multiplies the two sides' friction, where MuJoCo takes the larger one
            friction = float(np.sqrt(max(model.geom_friction[geom, 0] for geom in geoms)))
            settings |= {"lateralFriction": friction, "spinningFriction": 0.0, "rollingFriction": 0.0}
        self._bullet.changeDynamics(number, link, physicsClientId=self._client, **settings)
        if geoms:
            bits = int(np.bitwise_or.reduce(model.geom_contype[geoms] | model.geom_conaffinity[geoms]))
            self._bullet.setCollisionFilterGroupMask(number, link, bits, bits, physicsClientId=self._client)

    def _geoms(self, body: int) -> Iterator[int]:
        """Those of a body that touch anything."""
        model = self._model
        for geom in range(model.body_geomadr[body], model.body_geomadr[body] + model.body_geomnum[body]):
            if model.geom_contype[geom] or model.geom_conaffinity[geom]:
                yield geom

    def _shape(self, body: int, origin: Array) -> int:
        """One shape of all that touches; -1: nothing does. origin: of the link's frame in the body's."""
        geoms = list(self._geoms(body))
        if not geoms:
            return -1
        b, model = self._bullet, self._model
        kinds, halves, radii, lengths = [], [], [], []
        places = {geom: model.geom_pos[geom] - origin for geom in geoms}
        for geom in geoms:
            kind, size = mujoco.mjtGeom(int(model.geom_type[geom])), model.geom_size[geom]
            half, radius, length = [1.0, 1.0, 1.0], float(size[0]), float(2 * size[1])
            if kind == mujoco.mjtGeom.mjGEOM_BOX:
                shape, half = b.GEOM_BOX, size.tolist()
            elif kind == mujoco.mjtGeom.mjGEOM_SPHERE:
                shape = b.GEOM_SPHERE
            elif kind == mujoco.mjtGeom.mjGEOM_CAPSULE:
                shape = b.GEOM_CAPSULE
            elif kind == mujoco.mjtGeom.mjGEOM_CYLINDER:
                shape = b.GEOM_CYLINDER
            elif kind == mujoco.mjtGeom.mjGEOM_PLANE:
                shape, half = b.GEOM_BOX, FLOOR
                places[geom] = places[geom] - _rotate(_xyzw(model.geom_quat[geom]), np.array([0.0, 0.0, FLOOR[2]]))
            else:
                raise SceneError(
                    f"geom {model.geom(geom).name or geom} of {self._name} is a {kind.name[7:].lower()}, which is not "
                    "translated to Bullet: build it of boxes, spheres, capsules and cylinders"
                )
            kinds.append(shape)
            halves.append(half)
            radii.append(radius)
            lengths.append(length)
        return int(
            b.createCollisionShapeArray(
                shapeTypes=kinds, halfExtents=halves, radii=radii, lengths=lengths,
                collisionFramePositions=[places[geom].tolist() for geom in geoms],
                collisionFrameOrientations=[_xyzw(model.geom_quat[geom]).tolist() for geom in geoms],
                physicsClientId=self._client,
            )
        )  # fmt: skip


def _xyzw(quaternion: Array) -> Array:
    """Of MuJoCo's wxyz."""
    return np.roll(quaternion, -1)


def _rotate(quaternion: Array, vector: Array) -> Array:
    """`vector` turned by a quaternion xyzw."""
    out = np.zeros(3)
    mujoco.mju_rotVecQuat(out, np.ascontiguousarray(vector, dtype=float), np.roll(quaternion, 1).astype(float))
    return out
