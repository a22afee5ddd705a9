"""A bare arm in MuJoCo for the tests of the law and the filter: FR3, a round tip at the tool point, one wall."""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np

import controllers
from controllers import spatial
from controllers.controller import Controller, tick
from controllers.interface import Pose, PoseTarget
from controllers.models import arm_model
from tasks.spec import Gains, Workspace

FR3 = arm_model("fr3").limits

HOME = np.array([0.0, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785])
DOWN = np.array([1.0, 0.0, 0.0, 0.0])
EVERYWHERE = Workspace(np.full(3, -2.0), np.full(3, 2.0), tilt=np.pi, yaw=np.pi)
MODEL = Path(controllers.__file__).parent / "twin" / "models" / "fr3.xml"


def gains(clip: float = 0.01, turn: float = 0.1, stiffness: float = 2000.0, filter_time: float = 0.02) -> Gains:
    return Gains(
        stiffness=np.array([stiffness] * 3 + [100.0] * 3),
        damping=np.array([5.8 * np.sqrt(stiffness)] * 3 + [15.0] * 3),
        clip=np.array([-clip] * 3 + [-turn] * 3 + [clip] * 3 + [turn] * 3),
        filter_time=filter_time,
    )


class Rig:
    """The arm at `q` under its controller; the controller compensates gravity. wall: x of a plane that faces it, m."""

    def __init__(self, task_gains: Gains, workspace: Workspace = EVERYWHERE, q=HOME, wall: float = 2.0, **options):
        spec = mujoco.MjSpec.from_file(str(MODEL))
        flange = spec.site("flange").parent
        half = np.pi / 8
        flange.add_site(name="tool", pos=[0, 0, 0.2104], quat=[np.cos(half), 0, 0, -np.sin(half)])
        flange.add_geom(
            name="tip", type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[0.01, 0, 0], pos=[0, 0, 0.2104], mass=0.7,
            contype=1, conaffinity=1, friction=[0, 0, 0], condim=1,
        )  # fmt: skip
        spec.worldbody.add_geom(
            type=mujoco.mjtGeom.mjGEOM_BOX, size=[0.1, 2, 2], pos=[wall + 0.1, 0, 0], contype=1, conaffinity=1,
            friction=[0, 0, 0], condim=1, solref=[0.004, 1],
        )  # fmt: skip
        self.model = spec.compile()
        self.model.opt.timestep = 0.001
        self.data = mujoco.MjData(self.model)
        self.data.qpos[:] = q
        self.site = self.model.site("tool").id
        self.jacobian, self.mass, self.tau = np.zeros((6, 7)), np.zeros((7, 7)), np.zeros(7)
        self._measure()
        self.controller = Controller(
            FR3, task_gains, workspace, home=q, start=options.pop("start", self.quaternion), **options
        )
        self.controller.seed(self.position, self.quaternion)
        self.sequence = 0
        self.controller.acquire("policy")

    @property
    def position(self):
        return self.data.site_xpos[self.site].copy()

    @property
    def quaternion(self):
        wxyz = np.zeros(4)
        mujoco.mju_mat2Quat(wxyz, self.data.site_xmat[self.site])
        return np.roll(wxyz, -1)

    @property
    def force(self):
        """Contact force on the tip along x of the base, N."""
        total, wrench = 0.0, np.zeros(6)
        for i in range(self.data.ncon):
            mujoco.mj_contactForce(self.model, self.data, i, wrench)
            total += wrench[0]
        return total

    def _measure(self) -> None:
        mujoco.mj_step1(self.model, self.data)
        mujoco.mj_jacSite(self.model, self.data, self.jacobian[:3], self.jacobian[3:], self.site)
        mujoco.mj_fullM(self.model, self.data, self.mass)

    def send(self, position=None, quaternion=None, **fields) -> None:
        self.sequence += 1
        reference = self.controller.reference
        pose = Pose(
            reference.position if position is None else position,
            reference.quaternion if quaternion is None else quaternion,
        )
        self.controller.submit("policy", PoseTarget(pose, self.sequence, **fields))

    def step(self) -> None:
        data = self.data
        tick(
            self.controller.arrays, self.jacobian, self.mass, data.qpos, data.qvel, data.qfrc_bias,
            self.position, self.quaternion, self.tau,
        )  # fmt: skip
        data.qfrc_applied[:] = self.tau
        mujoco.mj_step2(self.model, data)
        self._measure()

    def run(self, seconds: float, position=None, quaternion=None, **fields):
        """Steps, with the same target sent anew every 100 ms if one is given; positions (steps, 3)."""
        path = []
        for i in range(round(seconds * 1000)):
            if i % 100 == 0 and (position is not None or quaternion is not None):
                self.send(position, quaternion, **fields)
            self.step()
            path.append(self.position)
        return np.array(path)

    def turn_to(self, quaternion) -> float:
        """Angle in rad between the tool's orientation and another."""
        return float(np.linalg.norm(spatial.log(spatial.multiply(spatial.conjugate(self.quaternion), quaternion))))
