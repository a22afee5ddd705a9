"""Renders the pictures of the docs: `python tools/picture.py` writes docs/images/TASK.png, and pretrain.png."""

from __future__ import annotations

from pathlib import Path

import matplotlib.image
import numpy as np

import tasks
from robot_rl.envs import make
from robot_rl.perception.scenes import Crew
from tasks.spec import CameraSpec

SIZE = (800, 600)
MOMENT = {
    "reach": 3,
    "peg_insert": 14,
    "peg_insert_hard": 14,
    "peg_insert_loose": 14,
    "peg_insert_tight": 14,
    "peg_insert_square": 14,
    "pick_cube": 18,
    "pcb_insert": 10,
    "cable_route": 14,
    "ram_insert": 8,
    "usb_pick_insert": 25,
    "relocate": 34,
    "relocate_back": 34,
    "drawer": 24,
    "hinge_door": 28,
    "object_flip": 21,
    "dual_arm_handover": 42,
}
"""Steps of the expert before the picture is taken; 10 where a task is not named."""


def main() -> None:
    """Take all of them."""
    folder = Path(__file__).resolve().parent.parent / "docs" / "images"
    folder.mkdir(parents=True, exist_ok=True)
    picture_tasks(folder)
    picture_randomised(folder)


def picture_tasks(folder: Path) -> None:
    """Let each task's expert work for a moment, and take the picture."""
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


def picture_randomised(folder: Path) -> None:
    """Three rows of what the image backbone is trained on: pairs of the wrist's and the front camera's pictures."""
    crew = Crew([tasks.load(name) for name in ("reach", "peg_insert", "pick_cube")], seed=0)
    images = crew.batch(0, 36).images
    crew.close()
    rows = [np.concatenate(list(row), axis=1) for row in images.reshape(3, 12, *images.shape[1:])]
    matplotlib.image.imsave(folder / "pretrain.png", np.concatenate(rows))


if __name__ == "__main__":
    main()
