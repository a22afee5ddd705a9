"""Press a memory module into a slot: find it by touch, then push its ends past two sprung latches.

Frames: the slot's origin is the centre of its rim, z up, the slot along its x; the module's lower edge is `TIP` beyond
the tool point.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from controllers.interface import Array, Pose, Reading
from tasks import insertion
from tasks.insertion import InsertExpert, hide_socket
from tasks.peg_insert.task import SPEC as PEG_INSERT
from tasks.spec import ActionSpec, Gains, ObservationSpec, TaskSpec, Workspace

if TYPE_CHECKING:
    import mujoco

DOWN = np.array([1.0, 0.0, 0.0, 0.0])
RIM = np.array([0.5, 0.0, 0.06])
"""Nominal centre of the slot's rim in base, m."""
DEPTH = 0.010
"""Depth of the slot, m."""
SEATED = 0.0095
"""Depth, m, that the tool reaches only once both latches are passed; they are met at 6 mm, passed at 8 mm."""
TIP = 0.040
"""From the tool point to the module's lower edge along the tool's z, m."""
ASIDE = 0.003
"""Distance from the nominal slot's centre, m, up to which a tool that is low has the module in the slot."""
CLOSED = 0.0005
"""What a latch may stand open behind a module that is seated, m."""
INSERTED = Pose(RIM + np.array([0.0, 0.0, TIP - DEPTH]), DOWN)
"""Tool pose with the module at the bottom of the nominal slot."""


def reward(reading: Reading) -> tuple[float, bool]:
    """1 once the measured tool is over the nominal slot and as low as only a seated module lets it."""
    offset = reading.arm.pose.position - RIM
    success = bool(TIP - offset[2] > SEATED and np.linalg.norm(offset[:2]) < ASIDE)
    return float(success), success


def verify(reading: Reading) -> bool:
    """Whether the module truly is at the bottom of the true slot, with both latches closed over it."""
    deep = float(reading.sim["plug_depth"][0]) > SEATED - 0.001
    closed = float(reading.sim["latches"].max()) < CLOSED
    return bool(deep and closed and np.linalg.norm(reading.sim["plug_lateral"]) < 0.001)


def sim(model: mujoco.MjModel, data: mujoco.MjData) -> Mapping[str, Array]:
    """Module and slot; latches: (2,) how far each stands open, m."""
    latches = np.array([data.joint(f"latch{side}").qpos[0] for side in (0, 1)])
    return {**insertion.sim(model, data), "latches": latches}


SPEC = TaskSpec(
    name="ram_insert",
    summary="press a memory module past two latches into a slot hidden within 1 mm and 1 degree, in yaw too",
    scene=Path(__file__).with_name("scene.xml"),
    home=PEG_INSERT.home,
    start=Pose(RIM + np.array([0.0, 0.0, TIP + 0.05]), DOWN),
    start_noise=np.array([0.03, 0.03, 0.03, np.radians(15)]),
    anchor=INSERTED,
    workspace=Workspace(
        RIM + np.array([-0.05, -0.05, TIP - DEPTH - 0.015]),
        RIM + np.array([0.05, 0.05, TIP + 0.12]),
        tilt=0.2,
        yaw=np.radians(30),
    ),
    # An action of 1 presses with 2500 N/m x 12 mm = 30 N, which the latches yield to.
    gains=Gains(
        stiffness=np.array([2000.0, 2000.0, 2500.0] + [100.0] * 3),
        damping=np.array([220.0, 220.0, 250.0] + [10.0] * 3),
        clip=np.array([-0.006, -0.006, -0.012] + [-0.05] * 3 + [0.006, 0.006, 0.012] + [0.05] * 3),
    ),
    reward=reward,
    verify=verify,
    expert=lambda task: InsertExpert(task, TIP, DEPTH + 0.012),
    randomise=hide_socket(RIM, offset=0.001, tilt=np.radians(1), turn=np.radians(1)),
    sim=sim,
    action=ActionSpec(axes=("x", "y", "z", "rz"), translation=0.012, rotation=0.06),
    observation=ObservationSpec(rotation=0.05, torque=0.2),
    horizon=100,
    steps=5000,
    learner={"critics": 2, "batch": 128, "utd": 8, "noiseless_share": 0.33, "n_step": 3},
)
