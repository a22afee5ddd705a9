"""What an episode's draw may change besides poses: one description per task, and the values of one episode.

Domain randomisation (Tobin et al. 2017, Peng et al. 2018): a policy that has met many worlds minds less which of them
is the real one. Poses are drawn by `TaskSpec.randomise` and `start_noise`. Nothing here touches a simulator:
`controllers.twin.domain` carries it out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields

import numpy as np

from controllers.interface import Array

Range = tuple[float, float]
"""Lowest and highest of a uniform draw."""

DRAW, NOISE = 2, 3
"""Set these draws apart from those of scene and start pose of the same seed."""


FACTORS = ("friction", "contact", "mass", "joints", "brightness")
"""What multiplies the values of the task's file; the rest is added to them."""


@dataclass(frozen=True)
class Domain:
    """What is drawn for each episode of a task. By default nothing is.

    Never the arm's own inertia, friction or gains: its maker says them, and the controller computes with them, so that
    drawing them would train against a law that no robot runs. Raises ValueError for a range that cannot be.

    Factors. friction: of every contact. contact: of every contact's time constant; the larger, the softer. mass: of
    mass and inertia of the scene's own bodies, what is held among them. joints: of damping and dry friction of the
    scene's own joints. brightness: of every light.
    Amounts. light_turn: by which lights are turned about any axis, rad. camera_shift, camera_turn: of each camera in
    any direction, m, and about any axis, rad. latency: from a target's sending until the controller has it, s.
    No ranges, but pairs for force (N) and moment (Nm). wrench_bias: largest error of the measured one that stays.
    wrench_noise: deviation of its noise, a new one each reading.
    """

    friction: Range = (1.0, 1.0)
    contact: Range = (1.0, 1.0)
    mass: Range = (1.0, 1.0)
    joints: Range = (1.0, 1.0)
    brightness: Range = (1.0, 1.0)
    light_turn: Range = (0.0, 0.0)
    camera_shift: Range = (0.0, 0.0)
    camera_turn: Range = (0.0, 0.0)
    latency: Range = (0.0, 0.0)
    wrench_bias: tuple[float, float] = (0.0, 0.0)
    wrench_noise: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            factor = item.name in FACTORS
            if not np.isfinite(value).all() or min(value) < 0 or (factor and min(value) == 0):
                raise ValueError(f"the domain's {item.name} is {value}: give numbers {'above' if factor else 'from'} 0")
            if value[0] > value[1] and not item.name.startswith("wrench_"):
                raise ValueError(f"the domain's {item.name} is {value}: give the lower one first")

    def draw(self, seed: int, cameras: Sequence[str] = ()) -> Drawn:
        """The values of the episode of that seed; cameras: names, in an order that stays."""
        rng = np.random.default_rng([seed, DRAW])

        def vector(span: Range) -> Array:
            way = rng.standard_normal(3)
            return rng.uniform(*span) * way / np.linalg.norm(way)

        return Drawn(
            friction=rng.uniform(*self.friction),
            contact=rng.uniform(*self.contact),
            mass=rng.uniform(*self.mass),
            joints=rng.uniform(*self.joints),
            brightness=rng.uniform(*self.brightness),
            latency=rng.uniform(*self.latency),
            light_turn=vector(self.light_turn),
            wrench_bias=rng.uniform(-1, 1, 6) * np.repeat(self.wrench_bias, 3),
            wrench_noise=np.repeat(self.wrench_noise, 3),
            noise_seed=seed,
            cameras={name: (vector(self.camera_shift), vector(self.camera_turn)) for name in cameras},
        )


@dataclass(frozen=True)
class Drawn:
    """One episode's values of a `Domain`; by default what the task's file says.

    light_turn: rotation vector (3,), rad, in the world. wrench_bias, wrench_noise: (6,) N and Nm. cameras: by name,
    displacement (3,), m, in the axes of what it is fixed to, and rotation vector (3,), rad, in its own.
    """

    friction: float = 1.0
    contact: float = 1.0
    mass: float = 1.0
    joints: float = 1.0
    brightness: float = 1.0
    latency: float = 0.0
    light_turn: Array = field(default_factory=lambda: np.zeros(3))
    wrench_bias: Array = field(default_factory=lambda: np.zeros(6))
    wrench_noise: Array = field(default_factory=lambda: np.zeros(6))
    noise_seed: int = 0
    cameras: Mapping[str, tuple[Array, Array]] = field(default_factory=dict)

    def measured(self, wrench: Array, step: int) -> Array:
        """What the arm's estimate says where the wrench is `wrench` (6,), at control period `step`.

        The same for a seed and a step, however often anybody reads.
        """
        if not (self.wrench_bias.any() or self.wrench_noise.any()):
            return wrench
        noise = np.random.default_rng([self.noise_seed, NOISE, step]).standard_normal(6)
        return wrench + self.wrench_bias + self.wrench_noise * noise


NOMINAL = Drawn()
"""What the task's file says."""
