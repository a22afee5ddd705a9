"""Where an arm's tool is, and which joint angles bring it somewhere, from the maker's kinematic chain alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from controllers import spatial
from controllers.exceptions import ControllersError
from controllers.interface import Array, Pose
from controllers.maker import TOOL_DISTANCE, chain
from controllers.models import ArmModel

DAMPING = 0.05
"""Of the least squares, m and rad: how far a singularity is felt."""
TOLERANCE = 1e-6
"""m and rad at which a solution has arrived."""
STRIDE, STEPS = 0.5, 100
"""Largest change of a joint in one step, rad, and steps before a search gives up."""
MARGIN = 0.1
"""A solution stays this far inside the soft range, rad."""


class Kinematics:
    """Forward and inverse kinematics of an arm (n joints) that carries the Franka hand; poses in its base."""

    def __init__(self, arm: ArmModel) -> None:
        self._arm = arm
        self._parts = [(_transform(part.xyz, part.rpy), part.moving) for part in chain(arm)]
        self._tail = _transform((0.0, 0.0, TOOL_DISTANCE), (0.0, 0.0, arm.hand_yaw))

    def pose(self, q: Array) -> Pose:
        """Tool frame in base at joint angles q (n,), rad."""
        tool, _ = self._frames(q)
        return Pose(tool[:3, 3].copy(), _quaternion(tool[:3, :3]))

    def jacobian(self, q: Array) -> Array:
        """(6, n) of the tool point, linear then angular, in base."""
        tool, joints = self._frames(q)
        return np.array([[*np.cross(f[:3, 2], tool[:3, 3] - f[:3, 3]), *f[:3, 2]] for f in joints]).T

    def solve(self, goal: Pose, *, seeds: int = 12) -> Array:
        """Joint angles (n,) inside the soft range that put the tool at `goal`, as near to the arm's home as was found.

        Damped least squares from the arm's home and from random places (the same in every call).
        Raises `ControllersError` where the arm cannot get there.
        """
        found = [q for q in (self._search(seed, goal) for seed in self._seeds(seeds)) if q is not None]
        if not found:
            place = ", ".join(f"{value:.3f}" for value in goal.position)
            raise ControllersError(
                f"the {self._arm.name} cannot reach the pose at ({place}) m: move the task nearer to its base"
            )
        return min(found, key=lambda q: float(np.linalg.norm(q - self._arm.home)))

    def _frames(self, q: Array) -> tuple[Array, list[Array]]:
        """(4, 4) of the tool, and of each moving joint, in base."""
        frame, joints, angles = np.eye(4), [], iter(q)
        for fixed, moving in self._parts:
            frame = frame @ fixed
            if moving:
                frame = frame @ _transform((0.0, 0.0, 0.0), (0.0, 0.0, float(next(angles))))
                joints.append(frame)
        return frame @ self._tail, joints

    def _seeds(self, count: int) -> Iterator[Array]:
        low, high = self._arm.limits.soft
        yield self._arm.home
        rng = np.random.default_rng(0)
        for _ in range(count - 1):
            yield np.clip(self._arm.home + rng.uniform(-1.5, 1.5, len(low)), low, high)

    def _search(self, q: Array, goal: Pose) -> Array | None:
        low, high = (end + side * MARGIN for end, side in zip(self._arm.limits.soft, (1, -1), strict=True))
        for _ in range(STEPS):
            here, jacobian = self.pose(q), self.jacobian(q)
            turn = spatial.log(spatial.multiply(goal.quaternion, spatial.conjugate(here.quaternion)))
            error = np.concatenate([goal.position - here.position, turn])
            if np.abs(error).max() < TOLERANCE:
                return q
            damping = min(DAMPING**2, float(error @ error))  # less near the goal, or the last steps would crawl
            inverse = jacobian.T @ np.linalg.inv(jacobian @ jacobian.T + damping * np.eye(6))
            home = (np.eye(len(q)) - inverse @ jacobian) @ (self._arm.home - q)
            step = inverse @ error + 0.1 * home
            q = np.clip(q + step * min(1.0, STRIDE / float(np.abs(step).max())), low, high)
        return None


def _transform(xyz: tuple[float, ...], rpy: tuple[float, ...]) -> Array:
    """(4, 4) of a frame given as in a URDF."""
    turns = [spatial.exp(angle * axis) for angle, axis in zip(rpy, np.eye(3), strict=True)]
    frame = np.eye(4)
    frame[:3, :3] = spatial.matrix(turns[2]) @ spatial.matrix(turns[1]) @ spatial.matrix(turns[0])
    frame[:3, 3] = xyz
    return frame


def _quaternion(rotation: Array) -> Array:
    """Quaternion (4,) of a rotation matrix (3, 3): the eigenvector of a symmetric matrix, stable for every rotation."""
    r = rotation
    matrix = np.array(
        [
            [r[0, 0] - r[1, 1] - r[2, 2], 0.0, 0.0, 0.0],
            [r[1, 0] + r[0, 1], r[1, 1] - r[0, 0] - r[2, 2], 0.0, 0.0],
            [r[2, 0] + r[0, 2], r[2, 1] + r[1, 2], r[2, 2] - r[0, 0] - r[1, 1], 0.0],
            [r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1], r[0, 0] + r[1, 1] + r[2, 2]],
        ]
    )
    return np.linalg.eigh(matrix)[1][:, -1]
