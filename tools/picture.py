"""Renders the pictures of the docs: `python tools/picture.py` writes docs/images/TASK.png for every task."""

from __future__ import annotations

from pathlib import Path

import matplotlib.image
import numpy as np

import tasks
from robot_rl.envs import make
from tasks.spec import CameraSpec

SIZE = (800, 600)
MOMENT = {"reach": 3, "peg_insert": 14, "peg_insert_hard": 14, "pick_cube": 18}
"""Steps of the expert before the picture is taken; 10 where a task is not named."""


def main() -> None:
    """Let each task's expert work for a moment, and take the picture."""
    folder = Path(__file__).resolve().parent.parent / "docs" / "images"
    folder.mkdir(parents=True, exist_ok=True)
    for name in tasks.names():
        env = make(name)
        env.reset(seed=1)
        expert = env.task.expert(env.task)
        expert.reset(np.random.default_rng(1))
        for _ in range(MOMENT.get(name, 10)):
            env.step(expert.act(env.reading))
        picture = env.cell.render(CameraSpec("front", *SIZE), pretty=True)  # type: ignore[attr-defined]
        matplotlib.image.imsave(folder / f"{name}.png", picture)
        env.close()


if __name__ == "__main__":
    main()
