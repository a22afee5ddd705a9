"""Route a cable into a clip: draw it taut, find the slot by touch, press it past two sprung jaws.

Frames: the clip's origin is the middle of its mouth, z up, the slot along its x. The cable's far end is held at
`RELIEF`, behind the clip as the arm sees it; the hand has the other and draws it towards the arm.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from controllers import spatial
from controllers.interface import Array, Pose, Reading
from tasks.cable_route import cable
from tasks.expert import Noise, steer
from tasks.spec import ActionSpec, Gains, ObservationSpec, TaskSpec, Workspace

if TYPE_CHECKING:
    import mujoco

DOWN = np.array([1.0, 0.0, 0.0, 0.0])
CLIP = np.array([0.6, 0.0, 0.08])
"""Nominal middle of the clip's mouth in base, m."""
RELIEF = CLIP + np.array([0.08, 0.0, -0.012])
"""Where the cable's far end is held, m in base."""
HALF = 0.006
"""Half the clip's extent along the slot, m."""
HIDDEN = np.array([0.002, 0.0025, 0.0])
"""How far the clip is from where it was taught, at most, m."""
MARGIN = 0.003
"""By how much longer a cable over the clip would have to be where the tool is, m."""
SEATED = 0.006
"""Depth below the mouth from which on the cable's middle is past the jaws, m; it rests at 10 mm."""
ROUTED = Pose(CLIP + np.array([-0.097, 0.0, -0.035]), DOWN)
"""Tool pose with the cable taut in the nominal clip."""


def over_the_clip(tool: Array) -> float:
    """Length of the shortest way, m, from the relief over the nominal clip, not through its slot, to `tool`.

    The way lies `RADIUS` above the clip's top, whose two edges it crosses wherever it is shortest: the three parts are
    unfolded into one plane.
    """
    top = CLIP[2] + cable.RADIUS
    behind = np.hypot(RELIEF[0] - CLIP[0] - HALF, top - RELIEF[2])
    before = np.hypot(CLIP[0] - HALF - tool[0], top - tool[2])
    return float(np.hypot(behind + 2 * HALF + before, tool[1] - RELIEF[1]))


def reward(reading: Reading) -> tuple[float, bool]:
    """1 when the tool is so low and so far before the clip as only a cable in its slot lets it."""
    tool = reading.arm.pose.position
    before = bool(tool[0] < CLIP[0] - 0.05 and tool[2] < CLIP[2])
    success = before and over_the_clip(tool) > cable.LENGTH + MARGIN
    return float(success), success


def verify(reading: Reading) -> bool:
    """Whether the cable truly is in the slot, past both jaws."""
    place = reading.sim["cable_in_clip"]
    return bool(place[2] < -SEATED and abs(place[1]) < 0.0015)


def randomise(model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator) -> None:
    """The clip within `HIDDEN` of its place and turned by up to 3 degrees."""
    mocap = int(model.body("clip").mocapid[0])
    x, y, z, w = spatial.exp(np.array([0.0, 0.0, rng.uniform(-1, 1) * np.radians(3)]))
    data.mocap_pos[mocap] = CLIP + rng.uniform(-HIDDEN, HIDDEN)
    data.mocap_quat[mocap] = w, x, y, z


def sim(model: mujoco.MjModel, data: mujoco.MjData) -> Mapping[str, Array]:
    """The clip's mouth in base; where the cable crosses its middle, in its frame, m."""
    site = data.site("clip")
    return {
        "clip_position": site.xpos.copy(),
        "cable_in_clip": cable.crossing(data, site.xpos, site.xmat.reshape(3, 3)),
    }


class RouteExpert:
    """Draws the cable taut above the clip, in line with the true slot, and pulls it down. It reads `sim/*`."""

    TAUT = np.array([-0.092, 0.0, 0.025])
    """Tool from the clip, m, where the cable is taut and clear of it."""
    PULL = np.array([-0.125, 0.0, -0.05])

    def __init__(self, task: TaskSpec) -> None:
        self._task, self._noise = task, Noise(scale=0.1)

    def reset(self, rng: np.random.Generator) -> None:
        self._noise.reset(rng)
        self._lowering = False

    def act(self, reading: Reading) -> Array:
        tool, clip = reading.arm.pose, reading.sim["clip_position"]
        from_relief = (tool.position - RELIEF)[0] / (clip - RELIEF)[0]
        in_line = RELIEF[1] + from_relief * (clip - RELIEF)[1]
        aside = abs(tool.position[1] - in_line)
        taut = bool(tool.position[0] < (clip + self.TAUT)[0] + 0.008)
        self._lowering = aside < 0.005 if self._lowering else taut and aside < 0.002
        goal = clip + (self.PULL if self._lowering else self.TAUT)
        return self._noise.add(steer(self._task.action, tool, Pose(np.array([goal[0], in_line, goal[2]]), DOWN)))


SPEC = TaskSpec(
    name="cable_route",
    summary="route a cable into a clip hidden within 2.5 mm: draw it taut, find the slot, press it past two jaws",
    scene=Path(__file__).with_name("scene.xml"),
    edit=cable.hang,
    home=np.array([0.0, 0.3213, 0.0, -2.2239, 0.0, 2.5452, 0.7854]),
    start=Pose(CLIP + np.array([-0.05, 0.0, 0.045]), DOWN),
    start_noise=np.array([0.025, 0.02, 0.015, 0.0]),
    anchor=ROUTED,
    workspace=Workspace(CLIP + np.array([-0.125, -0.022, -0.05]), CLIP + np.array([0.0, 0.022, 0.10]), tilt=0.2),
    gains=Gains(
        stiffness=np.array([1500.0] * 3 + [100.0] * 3),
        damping=np.array([195.0] * 3 + [12.0] * 3),
        clip=np.array([-0.012] * 3 + [-0.05] * 3 + [0.012] * 3 + [0.05] * 3),
    ),
    reward=reward,
    verify=verify,
    expert=RouteExpert,
    randomise=randomise,
    sim=sim,
    join=cable.lay,
    action=ActionSpec(axes=("x", "y", "z"), translation=0.012),
    observation=ObservationSpec(),
    goal="clip",
    pull_free=True,
    horizon=100,
    steps=5000,
    learner={"critics": 2, "batch": 128, "utd": 8, "noiseless_share": 0.33, "n_step": 3},
)
