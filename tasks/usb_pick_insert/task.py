"""Take a USB plug out of its holder and put it into a port. From state it needs the plug's place: privileged.

Frames: the port's origin is the centre of its rim, z up; the plug's origin is the centre of its body, which is gripped,
its tip is `TIP` below.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from controllers.interface import Array, Pose, Reading
from tasks import insertion
from tasks.expert import Noise, grip, steer
from tasks.spec import ActionSpec, Gains, GripperSpec, ObservationSpec, TaskSpec, Workspace

if TYPE_CHECKING:
    import mujoco

DOWN = np.array([1.0, 0.0, 0.0, 0.0])
PORT = np.array([0.53, 0.0, 0.05])
"""Nominal centre of the port's rim in base, m."""
HOLDER = np.array([0.47, 0.0, 0.05])
"""Middle of the patch where the holder stands, the centre of its rim in base, m."""
STANDS = 0.015
"""Of the plug's origin above the holder's rim, m."""
DEPTH = 0.010
"""Depth of the port, m; its contacts are met at 80 % of it."""
TIP = 0.023
"""From the plug's origin to its tip, m."""
CLEARANCE = 0.0005
"""The port's width minus the plug's, m."""
INSERTED = Pose(PORT + np.array([0.0, 0.0, TIP - DEPTH]), DOWN)
"""Tool pose with a plug gripped at its origin at the bottom of the nominal port."""
hide_port = insertion.hide_socket(PORT, offset=0.0005, tilt=0.0)


def reward(reading: Reading) -> tuple[float, bool]:
    """1 when the port's contacts are met, which a real port reports, by a plug that the gripper still holds."""
    held = reading.gripper is not None and reading.gripper.grasped
    success = held and verify(reading)
    return float(success), success


def verify(reading: Reading) -> bool:
    """Whether the plug truly is in the port, as it should be turned, between the fingers."""
    sim = reading.sim
    deep = float(sim["plug_depth"][0]) > 0.8 * DEPTH
    inside = np.linalg.norm(sim["plug_lateral"]) < 2 * CLEARANCE
    return bool(deep and inside and np.linalg.norm(sim["plug_from_tool"]) < TIP)


def randomise(model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator) -> None:
    """The holder, and the plug at rest in it, within 1 cm and 3 degrees; the port within 0.5 mm."""
    holder, joint = int(model.body("holder").mocapid[0]), model.joint("plug_free")
    at, speed = int(joint.qposadr[0]), int(joint.dofadr[0])
    half = rng.uniform(-1, 1) * np.radians(3) / 2
    turn = np.cos(half), 0.0, 0.0, np.sin(half)
    place = HOLDER + np.append(rng.uniform(-0.01, 0.01, 2), 0.0)
    data.mocap_pos[holder], data.mocap_quat[holder] = place, turn
    data.qpos[at : at + 3] = place + np.array([0.0, 0.0, STANDS])
    data.qpos[at + 3 : at + 7] = turn
    data.qvel[speed : speed + 6] = 0.0
    hide_port(model, data, rng)


def sim(model: mujoco.MjModel, data: mujoco.MjData) -> Mapping[str, Array]:
    """Plug and port; plug_position: of its origin in base, and seen from the tool point in base axes, m."""
    plug = data.body("plug").xpos
    seen = {"plug_position": plug.copy(), "plug_from_tool": plug - data.site("tool").xpos}
    return {**insertion.sim(model, data), **seen}


class PickInsertExpert:
    """Above the plug, down, close, up, above the port, down. It reads `sim/*`."""

    ABOVE, CLEAR, NEAR = 0.025, 0.006, 0.004
    ALIGNED = 0.0015

    def __init__(self, task: TaskSpec) -> None:
        self._task, self._noise = task, Noise(scale=0.1)

    def reset(self, rng: np.random.Generator) -> None:
        self._noise.reset(rng)

    def act(self, reading: Reading) -> Array:
        assert reading.gripper is not None, "usb_pick_insert needs a gripper"
        offset = reading.sim["plug_from_tool"]
        near = bool(np.linalg.norm(offset) < self.NEAR)
        holds = reading.gripper.grasped and bool(np.linalg.norm(offset) < 2 * self.NEAR)
        shift = self._carry(reading) if holds else self._approach(offset, near)
        tool = reading.arm.pose
        move = steer(self._task.action, tool, Pose(tool.position + shift, DOWN))
        return np.concatenate([self._noise.add(move), grip(self._task.gripper, near or holds)])

    def _approach(self, offset: Array, near: bool) -> Array:
        """Where the tool must go to have the plug between the fingers, m."""
        over = near or bool(np.linalg.norm(offset[:2]) < 0.004)
        return offset if over else offset + np.array([0.0, 0.0, self.ABOVE])

    def _carry(self, reading: Reading) -> Array:
        """Where the plug must go: up and out of the holder, across, and down into the port, m."""
        depth = float(reading.sim["plug_depth"][0])
        across = reading.sim["socket_position"] - reading.sim["plug_position"]
        aside = float(np.linalg.norm(reading.sim["plug_lateral"]))
        if aside < self.ALIGNED or (depth > 0.001 and aside < 0.003):
            return np.array([across[0], across[1], depth - DEPTH - 0.005])
        up = depth + self.CLEAR
        if up > self.CLEAR / 2:
            return np.array([0.0, 0.0, up])
        return np.array([across[0], across[1], up])


SPEC = TaskSpec(
    name="usb_pick_insert",
    summary="take a USB plug and insert it (privileged: from state, the plug's place comes from the simulator)",
    scene=Path(__file__).with_name("scene.xml"),
    home=np.array([0.0, 0.1784, 0.0, -2.4691, 0.0, 2.6475, 0.7854]),
    start=Pose(np.array([0.48, 0.0, 0.12]), DOWN),
    start_noise=np.array([0.025, 0.015, 0.025, 0.0]),
    anchor=INSERTED,
    workspace=Workspace(np.array([0.44, -0.03, 0.055]), np.array([0.56, 0.03, 0.20]), tilt=0.2),
    gains=Gains(
        stiffness=np.array([2000.0, 2000.0, 1000.0] + [100.0] * 3),
        damping=np.array([220.0, 220.0, 155.0] + [10.0] * 3),
        clip=np.array([-0.010, -0.010, -0.015] + [-0.05] * 3 + [0.010, 0.010, 0.010] + [0.05] * 3),
    ),
    reward=reward,
    verify=verify,
    expert=PickInsertExpert,
    randomise=randomise,
    sim=sim,
    action=ActionSpec(axes=("x", "y", "z"), translation=0.015),
    observation=ObservationSpec(position=0.02, torque=0.2, privileged=("plug_from_tool",)),
    gripper=GripperSpec(open=0.04, start=0.04),
    horizon=120,
    steps=8000,
    learner={"critics": 2, "batch": 128, "utd": 8, "noiseless_share": 0.2, "n_step": 3},
)
