"""Insert a round peg into a socket whose true place is hidden, so contact must be felt.

Frames: the socket's origin is the centre of its rim, z up; the peg's tip is `TIP` beyond the tool point.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from controllers.interface import Array, Pose, Reading
from tasks.domain import Domain
from tasks.expert import Noise, steer
from tasks.insertion import hide_socket
from tasks.spec import ActionSpec, Gains, ObservationSpec, TaskSpec, Workspace

if TYPE_CHECKING:
    import mujoco

DOWN = np.array([1.0, 0.0, 0.0, 0.0])
RIM = np.array([0.5, 0.0, 0.06])
"""Nominal centre of the socket's rim in base, m."""
DEPTH = 0.025
"""Depth of the hole, m; success is 80 % of it."""
TIP = 0.040
"""From the tool point to the peg's tip along the tool's z, m."""
CLEARANCE = 0.0005
"""The hole's diameter minus the peg's, m."""
INSERTED = Pose(RIM + np.array([0.0, 0.0, TIP - DEPTH]), DOWN)
"""Tool pose with the peg at the bottom of the nominal socket."""
ASIDE = 0.005
"""Distance from the nominal hole's axis, m, at which a tool that is low is beside the socket, not in it."""


def reward(reading: Reading) -> tuple[float, bool]:
    """1 once the measured tool is over the nominal hole and as low as at 80 % of depth: only inside can it be."""
    offset = reading.arm.pose.position - RIM
    low = TIP - offset[2] > 0.8 * DEPTH
    success = bool(low and np.linalg.norm(offset[:2]) < ASIDE)
    return float(success), success


def inside(clearance: float) -> Callable[[Reading], bool]:
    """Whether the peg truly is in the true hole, which leaves it `clearance` m."""

    def verify(reading: Reading) -> bool:
        deep = float(reading.sim["peg_depth"][0]) > 0.75 * DEPTH
        return bool(deep and np.linalg.norm(reading.sim["peg_lateral"]) < 2 * clearance)

    return verify


def sim(model: mujoco.MjModel, data: mujoco.MjData) -> Mapping[str, Array]:
    """Socket pose and the peg's tip in the socket's frame: x, y lateral, and depth below the rim, m."""
    socket, tip = data.site("socket_rim"), data.site("peg_tip")
    local = socket.xmat.reshape(3, 3).T @ (tip.xpos - socket.xpos)
    return {
        "socket_position": socket.xpos.copy(),
        "peg_lateral": local[:2].copy(),
        "peg_depth": np.array([-local[2]]),
    }


class PegExpert:
    """Goes above the true socket, then down; it reads `sim/*`, as a person with eyes would."""

    ABOVE = 0.008
    ALIGNED = 0.0015

    def __init__(self, task: TaskSpec) -> None:
        self._task, self._noise = task, Noise()

    def reset(self, rng: np.random.Generator) -> None:
        self._noise.reset(rng)

    def act(self, reading: Reading) -> Array:
        lateral = float(np.linalg.norm(reading.sim["peg_lateral"]))
        entered = float(reading.sim["peg_depth"][0]) > 0.001
        rim = reading.sim["socket_position"]
        height = TIP - DEPTH if entered or lateral < self.ALIGNED else TIP + self.ABOVE
        goal = Pose(rim + np.array([0.0, 0.0, height]), DOWN)
        return self._noise.add(steer(self._task.action, reading.arm.pose, goal))


SPEC = TaskSpec(
    name="peg_insert",
    summary="insert a round peg (0.5 mm clearance, 1 mm fillet) into a socket hidden within 1 mm and 1 degree",
    scene=Path(__file__).with_name("scene.xml"),
    home=np.array([0.0, 0.118, 0.0, -2.3937, 0.0, 2.5116, 0.7854]),
    start=Pose(RIM + np.array([0.0, 0.0, TIP + 0.065]), DOWN),
    start_noise=np.array([0.05, 0.05, 0.05, np.radians(30)]),
    anchor=INSERTED,
    workspace=Workspace(
        RIM + np.array([-0.07, -0.07, TIP - DEPTH - 0.01]),
        RIM + np.array([0.07, 0.07, TIP + 0.14]),
        tilt=0.2,
        yaw=np.radians(60),
    ),
    # Soft along the peg: pressing gently, friction does not hold it fast where it stands on the rim.
    gains=Gains(
        stiffness=np.array([2000.0, 2000.0, 1000.0] + [100.0] * 3),
        damping=np.array([220.0, 220.0, 155.0] + [10.0] * 3),
        clip=np.array([-0.006, -0.006, -0.012] + [-0.05] * 3 + [0.006, 0.006, 0.008] + [0.05] * 3),
    ),
    reward=reward,
    verify=inside(CLEARANCE),
    expert=PegExpert,
    randomise=hide_socket(RIM, offset=0.001, tilt=np.radians(1)),
    sim=sim,
    action=ActionSpec(axes=("x", "y", "z", "rz"), translation=0.01, rotation=0.06),
    observation=ObservationSpec(torque=0.2),
    # Contacts only softer: their time constant is the shortest that a step of 1 ms can have.
    domain=Domain(
        friction=(0.5, 1.5),
        contact=(1.0, 1.4),
        mass=(0.7, 1.3),
        joints=(0.5, 2.0),
        brightness=(0.6, 1.4),
        light_turn=(0.0, 0.5),
        camera_shift=(0.0, 0.005),
        camera_turn=(0.0, 0.02),
        latency=(0.0, 0.03),
        wrench_bias=(0.3, 0.01),
        wrench_noise=(0.1, 0.005),
    ),
    goal="socket",
    horizon=100,
    steps=4200,
    # A peg that stands on the rim is freed by noise: without episodes that have none, the critic sees no harm in it.
    learner={"critics": 2, "batch": 128, "utd": 8, "noiseless_share": 0.33, "n_step": 3},
)
