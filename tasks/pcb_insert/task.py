"""Insert a pin header of two by five, on a held board, into a socket whose true place and turn are hidden.

Frames: the socket's origin is the centre of its rim, z up, the long rows along its x; the pins end `TIP` beyond the
tool point.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from controllers.interface import Pose, Reading
from tasks.insertion import InsertExpert, hide_socket, sim
from tasks.peg_insert.task import SPEC as PEG_INSERT
from tasks.spec import ActionSpec, ObservationSpec, TaskSpec, Workspace

DOWN = np.array([1.0, 0.0, 0.0, 0.0])
RIM = np.array([0.5, 0.0, 0.06])
"""Nominal centre of the socket's rim in base, m."""
DEPTH = 0.006
"""Depth of the holes, m; success is 80 % of it."""
TIP = 0.040
"""From the tool point to the pins' ends along the tool's z, m."""
PITCH = 0.00254
"""From hole to hole, m."""
CLEARANCE = 0.00036
"""A hole's width minus a pin's, m."""
INSERTED = Pose(RIM + np.array([0.0, 0.0, TIP - DEPTH]), DOWN)
"""Tool pose with the pins at the bottom of the nominal socket."""


def reward(reading: Reading) -> tuple[float, bool]:
    """1 once the measured tool is as low as at 80 % of depth, within a pitch of the nominal socket's axis.

    There the housing stands, so only pins in holes let the tool so low.
    """
    offset = reading.arm.pose.position - RIM
    low = TIP - offset[2] > 0.8 * DEPTH
    success = bool(low and np.linalg.norm(offset[:2]) < PITCH)
    return float(success), success


def verify(reading: Reading) -> bool:
    """Whether the pins truly are in their own holes."""
    deep = float(reading.sim["plug_depth"][0]) > 0.75 * DEPTH
    return bool(deep and np.linalg.norm(reading.sim["plug_lateral"]) < 2 * CLEARANCE)


SPEC = TaskSpec(
    name="pcb_insert",
    summary="insert a 2x5 pin header into a socket hidden within 1 mm and 1 degree, in yaw too",
    scene=Path(__file__).with_name("scene.xml"),
    home=PEG_INSERT.home,
    start=Pose(RIM + np.array([0.0, 0.0, TIP + 0.05]), DOWN),
    start_noise=np.array([0.03, 0.03, 0.03, np.radians(15)]),
    anchor=INSERTED,
    workspace=Workspace(
        RIM + np.array([-0.05, -0.05, TIP - DEPTH - 0.01]),
        RIM + np.array([0.05, 0.05, TIP + 0.12]),
        tilt=0.2,
        yaw=np.radians(30),
    ),
    gains=PEG_INSERT.gains,  # soft along the pins, too: pressed gently, friction does not hold them fast on a ridge
    reward=reward,
    verify=verify,
    expert=lambda task: InsertExpert(task, TIP, DEPTH),
    randomise=hide_socket(RIM, offset=0.001, tilt=np.radians(1), turn=np.radians(1)),
    sim=sim,
    action=ActionSpec(axes=("x", "y", "z", "rz"), translation=0.008, rotation=0.06),
    observation=ObservationSpec(fine=0.002, rotation=0.05, torque=0.2),
    horizon=100,
    steps=5000,
    learner={"critics": 2, "batch": 128, "utd": 8, "noiseless_share": 0.33, "n_step": 3},
)
