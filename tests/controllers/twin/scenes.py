"""Small tasks for the twin's tests, free of the real ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from controllers.interface import Pose
from tasks.spec import Gains, TaskSpec, Workspace

DOWN = np.array([1.0, 0.0, 0.0, 0.0])
HOME = np.array([0.0, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785])
EMPTY = "<mujoco><worldbody/></mujoco>"
PLATE = """
<mujoco>
  <worldbody>
    <body name="plate" mocap="true" pos="0.45 0 0.2">
      <geom name="plate" type="box" size="0.1 0.1 0.01" solref="0.004 1"/>
    </body>
    <body name="ball" pos="0.6 0.3 0.02"><freejoint/><geom type="sphere" size="0.02" mass="0.1"/></body>
  </worldbody>
</mujoco>
"""
PEG = """
<mujoco>
  <worldbody>
    <body name="plate" pos="0.45 0 0.2"><geom type="box" size="0.1 0.1 0.01" solref="0.004 1"/></body>
    <body name="grasped">
      <joint name="give" type="slide" axis="0 0 1" stiffness="20000" damping="60"/>
      <geom name="peg" type="capsule" size="0.008" fromto="0 0 -0.01 0 0 0.03" mass="0.3" solref="0.004 1"/>
      <site name="tip" pos="0 0 0.038"/>
    </body>
    <body name="marker" pos="0.4 0.3 0.1"><geom type="sphere" size="0.01" contype="0" conaffinity="0"/></body>
  </worldbody>
  <contact><exclude body1="grasped" body2="marker"/></contact>
</mujoco>
"""


def make_task(folder: Path, scene: str = EMPTY, **changes: Any) -> TaskSpec:
    """A task around a scene's text; `changes` are fields of the spec."""
    path = folder / "scene.xml"
    path.write_text(scene)
    pose = Pose(np.array([0.45, 0.0, 0.4]), DOWN)
    fields: dict[str, Any] = {
        "name": "test",
        "summary": "for tests",
        "scene": path,
        "home": HOME,
        "start": pose,
        "start_noise": np.zeros(4),
        "anchor": pose,
        "workspace": Workspace(np.array([0.2, -0.4, 0.0]), np.array([0.7, 0.4, 0.8])),
        "gains": Gains(
            stiffness=np.array([1000.0] * 3 + [50.0] * 3),
            damping=np.array([90.0] * 3 + [5.0] * 3),
            clip=np.array([-0.01] * 3 + [-0.1] * 3 + [0.01] * 3 + [0.1] * 3),
        ),
        "reward": lambda reading: (0.0, False),
        "expert": lambda task: None,
        "randomise": lambda model, data, rng: None,
        "sim": lambda model, data: {},
    }
    return TaskSpec(**(fields | changes))
