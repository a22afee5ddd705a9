"""Where a task was taught at one site, as a file has it: SI units, base frame, quaternions xyzw."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from controllers.exceptions import SettingsError
from controllers.interface import Pose
from controllers.settings import option, required

UNIT_TOLERANCE = 1e-3
"""How far a quaternion's norm may be from 1."""


@dataclass(frozen=True)
class Frame:
    """A pose in the robot's base. Raises `SettingsError` for a quaternion that is no rotation."""

    position: tuple[float, float, float] = required("m, in the robot's base")
    quaternion: tuple[float, float, float, float] = required("xyzw, of norm 1")

    def __post_init__(self) -> None:
        norm = math.hypot(*self.quaternion)
        if not abs(norm - 1.0) <= UNIT_TOLERANCE:
            raise SettingsError(f"quaternion is {self.quaternion}, of norm {norm:.3f}, but must have norm 1.")
        if not np.isfinite(self.position).all():
            raise SettingsError(f"position is {self.position}, but must be finite.")

    @classmethod
    def of(cls, pose: Pose) -> Frame:
        """A measured pose, to the micrometre."""
        position = [round(float(value), 6) for value in pose.position]
        quaternion = [round(float(value), 7) for value in pose.quaternion]
        return cls(tuple(position), tuple(quaternion))  # type: ignore[arg-type]

    @property
    def pose(self) -> Pose:
        """Arrays, with the quaternion's norm exactly 1."""
        quaternion = np.array(self.quaternion)
        return Pose(np.array(self.position), quaternion / np.linalg.norm(quaternion))


@dataclass(frozen=True)
class Box:
    """Bounds of the tool point in base axes, m. Raises `SettingsError` for a box without an inside."""

    low: tuple[float, float, float] = required("m, lowest x, y, z of the tool point")
    high: tuple[float, float, float] = required("m, highest x, y, z of the tool point")

    def __post_init__(self) -> None:
        if not np.isfinite([self.low, self.high]).all():
            raise SettingsError(f"low is {self.low} and high is {self.high}, but both must be finite.")
        if not (np.array(self.low) < np.array(self.high)).all():
            raise SettingsError(
                f"low is {self.low} and high is {self.high}: every upper bound must be above its lower."
            )

    def __contains__(self, position: object) -> bool:
        point = np.asarray(position)
        return bool((point >= np.array(self.low)).all() and (point <= np.array(self.high)).all())


@dataclass(frozen=True)
class Place:
    """One task at one site, as `robot-rl teach` writes it. What is left out follows from the goal."""

    goal: Frame = required("the task's anchor as taught: the tool's pose with the task done")
    start: Frame | None = option(
        None, "nominal start pose of the tool; unless given, as far from the goal as the task's"
    )
    home: tuple[float, ...] = option((), "joint angles near the start pose, rad; empty: the task's own")
    box: Box | None = option(None, "box of the tool point; unless given, around the task's own moved along")

    def __post_init__(self) -> None:
        if not np.isfinite(self.home).all():
            raise SettingsError(f"home is {self.home}, but must be finite.")
