"""What tasks share in which the gripper takes a bar, on a cabinet whose true place is hidden.

In their scenes the mocap body `cabinet` has the site `handle`, where its bar is grasped.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from controllers.interface import Array, Reading
from tasks.spec import Gains, GripperSpec, Randomise

if TYPE_CHECKING:
    import mujoco

HIDDEN = 0.005
"""How far the cabinet stands from where it was taught, at most, in x and y, m."""
BAR = (0.008, 0.018)
"""Opening of a gripper that holds the bar, m; it measures 12 mm."""
REACH = 0.015
"""Distance between tool point and bar up to which the fingers are around it, m."""
GRIPPER = GripperSpec(open=0.036, start=0.036)
GAINS = Gains(
    stiffness=np.array([1500.0] * 3 + [100.0] * 3),
    damping=np.array([195.0] * 3 + [12.0] * 3),
    clip=np.array([-0.015] * 3 + [-0.1] * 3 + [0.015] * 3 + [0.1] * 3),
)


def holds_bar(reading: Reading) -> bool:
    """Whether the gripper holds something as thick as the bar."""
    gripper = reading.gripper
    return gripper is not None and gripper.grasped and BAR[0] < gripper.width < BAR[1]


def hide_cabinet(taught: Array) -> Randomise:
    """An episode's draw: the cabinet, shut, up to `HIDDEN` beside `taught` (3,), m, which no observation shows."""

    def randomise(model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator) -> None:
        mocap = int(model.body("cabinet").mocapid[0])
        data.mocap_pos[mocap] = taught + np.append(rng.uniform(-HIDDEN, HIDDEN, 2), 0.0)

    return randomise


def handle(model: mujoco.MjModel, data: mujoco.MjData) -> Mapping[str, Array]:
    """Where the bar is grasped, in base and from the tool point in base axes, m."""
    place = data.site("handle").xpos
    return {"handle_position": place.copy(), "handle_from_tool": place - data.site("tool").xpos}
