"""Two arms face each other: the one takes a bar from its rest and hands it to the other, in the air.

Frames: all is in the first arm's base, but for what is said of the partner. The bar lies along x; each arm takes it
from above, `APART` from the other, the fingers closing along y.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from controllers.interface import Array, GripperState, Pose, Reading
from tasks.expert import Noise, grip, steer
from tasks.pick_cube.task import SPEC as PICK_CUBE
from tasks.spec import ActionSpec, GripperSpec, ObservationSpec, Partner, TaskSpec, Workspace

if TYPE_CHECKING:
    import mujoco

DOWN = np.array([1.0, 0.0, 0.0, 0.0])
REST = np.array([0.55, 0.0, 0.055])
"""Nominal centre of the bar on its rest, m."""
HIDDEN = 0.01
"""How far from there it lies at most, in x and y, m; no observation shows it."""
APART = 0.2
"""From where the one arm takes the bar to where the other does, m."""
TAKEN = REST - np.array([APART / 2, 0.0, 0.0])
"""Where the first arm takes it, m."""
MEETING = np.array([0.45, 0.0, 0.25])
"""Where the first arm holds it out, m."""
BASE, TURN = (1.1, 0.0, 0.0), np.pi
"""Of the partner."""
THICK = (0.012, 0.020)
"""Opening of a gripper that holds the bar, m; it measures 16 mm."""
LET_GO = 0.03
"""Opening of a gripper that cannot hold it, m."""
HALF = np.array([0.14, 0.008, 0.015])
"""Of the bar's edges, m."""
FINGER = np.array([0.004, 0.004, 0.009])
"""By how much a tool point may be outside of a bar that the fingers around it hold, m: half a pad's height in z."""
HIGH = 0.15
"""Where its centre is above only where somebody holds it, m."""


def from_partner(place: Array) -> Array:
    """A point in the first arm's base, seen from the partner's, m."""
    x, y, z = place - np.array(BASE)
    return np.array([-x, -y, z])


def holds_bar(gripper: GripperState | None) -> bool:
    """Whether it holds something as thick as the bar."""
    return gripper is not None and gripper.grasped and THICK[0] < gripper.width < THICK[1]


def reward(reading: Reading) -> tuple[float, bool]:
    """1 when the partner holds something as thick as the bar, and the first arm's fingers are open.

    The partner's workspace ends far above the rest: there it finds only what is held out to it.
    """
    given = reading.gripper is not None and not reading.gripper.grasped and reading.gripper.width > LET_GO
    success = bool(given and reading.partner is not None and holds_bar(reading.partner.gripper))
    return float(success), success


def verify(reading: Reading) -> bool:
    """Whether the bar truly is in the air, between the partner's fingers and not at the first arm's."""
    inside = bool((np.abs(reading.sim["partner_in_bar"]) < HALF + FINGER).all())
    return inside and bool(reading.sim["bar_position"][2] > HIGH) and reward(reading)[1]


def randomise(model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator) -> None:
    """The bar lies at rest within `HIDDEN`."""
    joint = model.joint("bar_free")
    at, speed = int(joint.qposadr[0]), int(joint.dofadr[0])
    data.qpos[at : at + 3] = REST + np.append(rng.uniform(-HIDDEN, HIDDEN, 2), 0.0)
    data.qpos[at + 3 : at + 7] = 1.0, 0.0, 0.0, 0.0
    data.qvel[speed : speed + 6] = 0.0


def sim(model: mujoco.MjModel, data: mujoco.MjData) -> Mapping[str, Array]:
    """The bar's centre, and the partner's tool point in the bar's own frame, m."""
    bar = data.body("bar")
    return {
        "bar_position": bar.xpos.copy(),
        "partner_in_bar": bar.xmat.reshape(3, 3).T @ (data.site("partner_tool").xpos - bar.xpos),
    }


class HandoverExpert:
    """The first arm takes the bar and holds it out; the partner comes down on it and closes; the first one opens.

    It reads `sim/*`, as a person with eyes would.
    """

    ABOVE, NEAR = 0.06, 0.008

    def __init__(self, task: TaskSpec) -> None:
        assert task.partner is not None
        self._task, self._partner = task, task.partner.task
        self._noise, self._partner_noise = Noise(), Noise()

    def reset(self, rng: np.random.Generator) -> None:
        self._noise.reset(rng)
        self._partner_noise.reset(rng)

    def act(self, reading: Reading) -> Array:
        assert reading.partner is not None, "dual_arm_handover needs two arms"
        taken = holds_bar(reading.partner.gripper)
        return np.concatenate([self._give(reading, taken), self._take(reading, reading.partner, taken)])

    def _give(self, reading: Reading, taken: bool) -> Array:
        """The first arm's part."""
        bar, tool = reading.sim["bar_position"], reading.arm.pose
        place = bar - np.array([APART / 2, 0.0, 0.0])
        aside, away = np.linalg.norm((place - tool.position)[:2]), np.linalg.norm(place - tool.position)
        close = away < 2 * self.NEAR and not taken
        if holds_bar(reading.gripper) or taken:
            goal = MEETING
        else:
            goal = place + np.array([0.0, 0.0, 0.0 if aside < self.NEAR else self.ABOVE])
        move = steer(self._task.action, tool, Pose(goal, DOWN))
        return np.concatenate([self._noise.add(move), grip(self._task.gripper, bool(close))])

    def _take(self, reading: Reading, own: Reading, taken: bool) -> Array:
        """The partner's part."""
        place = reading.sim["bar_position"] + np.array([APART / 2, 0.0, 0.0])
        offered = bool(holds_bar(reading.gripper) and np.linalg.norm(reading.arm.pose.position - MEETING) < 0.015)
        goal, tool = from_partner(place), own.arm.pose
        around = bool(offered and np.linalg.norm(goal - tool.position) < self.NEAR)
        if not (offered or taken):
            goal = self._partner.start.position
        move = steer(self._partner.action, tool, Pose(goal, DOWN))
        return np.concatenate([self._partner_noise.add(move), grip(self._partner.gripper, around or taken)])


_GIVES = TaskSpec(
    name="dual_arm_handover",
    summary="take a bar, hidden within 1 cm, from its rest and hand it to a second arm in the air",
    scene=Path(__file__).with_name("scene.xml"),
    home=np.array([0.0, 0.0193, 0.0, -2.5639, 0.0, 2.5832, 0.7854]),
    start=Pose(TAKEN + np.array([0.0, 0.0, 0.1]), DOWN),
    start_noise=np.array([0.02, 0.03, 0.02, 0.0]),
    anchor=Pose(TAKEN, DOWN),
    workspace=Workspace(np.array([0.38, -0.08, 0.045]), np.array([0.472, 0.08, 0.35])),
    gains=PICK_CUBE.gains,
    reward=reward,
    verify=verify,
    expert=HandoverExpert,
    randomise=randomise,
    sim=sim,
    action=ActionSpec(axes=("x", "y", "z"), translation=0.02),
    observation=ObservationSpec(fine=0.01),
    gripper=GripperSpec(open=0.05, start=0.05),
    goal="bar",
    horizon=100,
    steps=10_000,
    learner={"critics": 2, "batch": 128, "utd": 8, "noiseless_share": 0.33, "n_step": 3},
)
_TAKES = replace(
    _GIVES,
    name="dual_arm_handover's partner",
    home=np.array([0.0, -0.2931, 0.0, -2.3832, 0.0, 2.0901, 0.7854]),
    start=Pose(from_partner(MEETING + np.array([APART, 0.0, 0.08])), DOWN),
    start_noise=np.array([0.02, 0.03, 0.02, 0.0]),
    anchor=Pose(from_partner(MEETING + np.array([APART, 0.0, 0.0])), DOWN),
    workspace=Workspace(np.array([0.38, -0.08, 0.2]), np.array([0.472, 0.08, 0.4])),
    cameras=(),
)
SPEC = replace(_GIVES, partner=Partner(_TAKES, BASE, TURN))
