"""What a stand-in for a vision-language model sees of `pick_cube`: how far the task is, from the two pictures alone.

A linear fit on our frozen backbone's features of both cameras, from episodes in which the expert fetches the cube and
somebody then carries it about, at every height. A row of the picture alone would not do: a cube that lies far away is
seen where a near one is that hangs in the air, and a policy finds that out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

import tasks
from benchmarks.common import BUILD, progress
from controllers.interface import Image, Pose, Reading
from robot_rl.envs import make
from robot_rl.perception.encoder import Perception
from tasks.expert import grip, steer
from tasks.pick_cube.task import DOWN, PLACE

EPISODES, LONGEST, HELD_OUT = 60, 60, 0.25
RIDGE = 100.0
CAMERAS = ("front", "wrist")
LOOKS = BUILD / "eyes.npz"


class Eyes:
    """`eyes(picture)`: 1 and the cube's height less its distance from the gripper, m. error: of that, held out, rms."""

    def __init__(self) -> None:
        self._perception = Perception(crops=1)
        features, worth = self._looks()
        self._mean, self._deviation = features.mean(0), features.std(0) + 1e-3
        known = int(len(features) * (1 - HELD_OUT))
        inputs = self._scaled(features)
        square = inputs[:known].T @ inputs[:known] + RIDGE * np.eye(inputs.shape[1])
        self._weights = np.linalg.solve(square, inputs[:known].T @ worth[:known])
        wrong = inputs[known:] @ self._weights - worth[known:]
        self.error = float(np.sqrt((wrong**2).mean()))

    def __call__(self, picture: Image) -> float:
        """picture: the front camera's above the wrist's, as they are sent."""
        half = picture.shape[0] // 2
        features = self._encoded({"front": picture[:half], "wrist": picture[half:]})
        return 1.0 + float((self._scaled(features[None]) @ self._weights)[0])

    def _encoded(self, images: Mapping[str, Image]) -> NDArray[np.float64]:
        maps = self._perception.encode(images, 0)
        return np.concatenate([maps[name][0].ravel() for name in CAMERAS]).astype(float)

    def _scaled(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.c_[(features - self._mean) / self._deviation, np.ones(len(features))]

    def _looks(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Features of many moments, and what they are worth; kept for the next time."""
        if LOOKS.exists():
            kept = np.load(LOOKS)
            if str(kept["backbone"]) == self._perception.fingerprint:
                return kept["features"], kept["worth"]
        progress("learning to see pick_cube")
        seen = [(self._encoded(reading.images), worth(reading)) for reading in moments()]
        features, values = np.array([one for one, _ in seen]), np.array([value for _, value in seen])
        LOOKS.parent.mkdir(parents=True, exist_ok=True)
        np.savez(LOOKS, features=features, worth=values, backbone=self._perception.fingerprint)
        return features, values


def worth(reading: Reading) -> float:
    """What the pictures of a moment are truly worth, m."""
    height = reading.sim["cube_position"][2] - PLACE[2]
    return float(height - np.linalg.norm(reading.sim["cube_from_tool"]))


def moments() -> Iterator[Reading]:
    """The expert fetches the cube; once it is held, it is carried from place to place, now and then dropped."""
    env, rng = make("pick_cube", obs="pixels"), np.random.default_rng(0)
    task = tasks.load("pick_cube")
    assert task.gripper is not None
    for episode in range(EPISODES):
        env.reset(seed=episode)
        expert, goal = task.expert(task), None
        expert.reset(np.random.default_rng(episode))
        for _ in range(LONGEST):
            reading = env.reading
            held = reading.gripper is not None and reading.gripper.grasped
            if rng.random() < (0.15 if goal is not None else 0.3 * held):
                height = rng.choice([PLACE[2], rng.uniform(PLACE[2], 0.2)])
                goal = PLACE * [1, 1, 0] + np.array([*rng.uniform(-0.07, 0.07, 2), height])
            if goal is None:
                action = expert.act(reading)
            else:
                move = steer(task.action, reading.arm.pose, Pose(goal, DOWN)) + 0.1 * rng.standard_normal(3)
                action = np.concatenate([move, grip(task.gripper, rng.random() > 0.02)])
            _, _, _, truncated, _ = env.step(np.asarray(np.clip(action, -1, 1), np.float32))
            yield env.reading
            if truncated:
                break
    env.close()
