"""A task's robot and scene in Bullet, with MuJoCo's model of it as a mirror that never steps.

Bullet moves bodies and solves contacts. The mirror takes over where they are after each step, and says what follows
from that: kinematics, mass matrix, Coriolis forces, springs, dampers and motors of the joints, `sim/*`, pictures.
"""

from __future__ import annotations

import importlib
from types import ModuleType

import mujoco
import numpy as np

from controllers.bullet.translate import FREE, NOWHERE, Translator, Tree
from controllers.controller import Controller
from controllers.exceptions import SettingsError
from controllers.interface import Array
from controllers.tick import tick
from controllers.twin import loop
from controllers.twin.plant import Plant
from tasks.spec import TaskSpec

SUBSTEPS = 8
"""Of Bullet in a control period of 1 ms: springs and dampers are explicit there, and those of a grasp are stiff."""
SOLVER = {"numSolverIterations": 60, "erp": 0.2, "contactERP": 0.2, "frictionERP": 0.2,
          "enableFileCaching": 0, "deterministicOverlappingPairs": 1}  # fmt: skip


def load_bullet() -> ModuleType:
    """The module. Raises `SettingsError` where it is not installed."""
    try:
        return importlib.import_module("pybullet")
    except ModuleNotFoundError as error:
        raise SettingsError(
            "engine is bullet, but pybullet is not installed: pip install 'robot_rl[bullet]'"
        ) from error


class BulletPlant(Plant):
    """As `Plant`, moved by Bullet. Time passes in `run` alone."""

    def __init__(self, task: TaskSpec, *, randomise: bool = True) -> None:
        """Raises `SettingsError` without pybullet, `SceneError` for a scene that has what Bullet has not."""
        self._bullet = load_bullet()
        self._client = -1
        super().__init__(task, randomise=randomise)
        b, model = self._bullet, self.model
        self._client = b.connect(b.DIRECT)
        period = float(model.opt.timestep)
        b.setPhysicsEngineParameter(fixedTimeStep=period / SUBSTEPS, physicsClientId=self._client, **SOLVER)
        b.setGravity(*model.opt.gravity, physicsClientId=self._client)
        self._trees = Translator(b, self._client, model, task.name).trees()
        model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_CONTACT  # the mirror never looks for contacts
        self._moving = [_Moving(b, self._client, model, tree) for tree in self._trees if _moves(model, tree)]
        self._fixed = [tree for tree in self._trees if model.body_mocapid[tree.base] >= 0]
        arm_body = int(model.jnt_bodyid[model.joint(self.arms[0].joint_names[0]).id])
        root = int(model.body_rootid[arm_body])
        self._arm = next(tree.number for tree in self._trees if tree.base == root)
        self._free_motors()
        self._push()

    def run(self, controller: Controller, periods: int) -> None:
        """Advance so many control periods of 1 ms under the law, as `loop.run` does."""
        v, data = self.views, self.data
        for _ in range(periods):
            tick(controller.arrays, v.arm_jacobian, v.arm_mass, v.q, v.dq, v.arm_bias, v.position, v.quaternion, v.tau)
            for _ in range(SUBSTEPS):
                mujoco.mj_fwdActuation(self.model, data)
                forces = data.qfrc_passive + data.qfrc_actuator
                forces[v.first : v.first + len(v.tau)] += v.tau + v.arm_jacobian.T @ v.external
                for part in self._moving:
                    part.push(forces)
                self._bullet.stepSimulation(physicsClientId=self._client)
                for part in self._moving:
                    part.pull(data)
                loop.refresh(v)
            data.time += float(self.model.opt.timestep)
            self._feel()

    def close(self) -> None:
        """Free what pictures and Bullet needed."""
        super().close()
        if self._client >= 0:
            self._bullet.disconnect(self._client)
            self._client = -1

    def _refresh(self) -> None:
        """The mirror was set from outside: so is Bullet."""
        super()._refresh()
        if self._client >= 0:
            self._push()

    def _free_motors(self) -> None:
        """Bullet's joints come with brakes: they hold as much as dry friction does."""
        b = self._bullet
        for part in self._moving:
            if part.links:
                b.setJointMotorControlArray(
                    part.number, part.links, b.VELOCITY_CONTROL, forces=part.friction,
                    physicsClientId=self._client,
                )  # fmt: skip

    def _push(self) -> None:
        """Put everything where the mirror has it."""
        for part in self._moving:
            part.place(self.data)
        for tree in self._fixed:
            mocap = self.model.body_mocapid[tree.base]
            turn = np.roll(self.data.mocap_quat[mocap], -1)
            self._bullet.resetBasePositionAndOrientation(
                tree.number, self.data.mocap_pos[mocap], turn, physicsClientId=self._client
            )

    def _feel(self) -> None:
        """Wrench on the tool: the sum of the contacts of the hand and what hangs on it, low-passed as the twin's."""
        v = self.views
        v.raw[:] = v.external
        for contact in self._bullet.getContactPoints(bodyA=self._arm, physicsClientId=self._client):
            at, normal = np.array(contact[5]), np.array(contact[7])
            force = contact[9] * normal + contact[10] * np.array(contact[11]) + contact[12] * np.array(contact[13])
            v.raw[:3] += force
            v.raw[3:] += np.cross(at - v.spot, force)
        v.peak[0] = max(v.peak[0], float(np.linalg.norm(v.raw[:3])))
        v.wrench[:] += v.share[0] * (v.raw - v.wrench)


class _Moving:
    """A tree in both engines. links: of Bullet, that have a joint of MuJoCo's; friction: of these, N or Nm."""

    def __init__(self, bullet: ModuleType, client: int, model: mujoco.MjModel, tree: Tree) -> None:
        self._bullet, self._client, self.number = bullet, client, tree.number
        self.links = [index for index, joint in enumerate(tree.joints) if joint >= 0]
        joints = [tree.joints[index] for index in self.links]
        self._places = np.array([model.jnt_qposadr[joint] for joint in joints], int)
        self._dofs = np.array([model.jnt_dofadr[joint] for joint in joints], int)
        self._zero = model.qpos0[self._places]
        self.friction = model.dof_frictionloss[self._dofs].tolist()
        first = int(model.body_jntadr[tree.base])
        self._base = first if first >= 0 and model.jnt_type[first] == FREE else NOWHERE
        if self._base >= 0:
            self._at, self._speed = int(model.jnt_qposadr[first]), int(model.jnt_dofadr[first])
            self._centre, turn = model.body_ipos[tree.base].copy(), model.body_iquat[tree.base]
            self._turn = np.array(turn)

    def push(self, forces: Array) -> None:
        """Apply generalised forces (nv,)."""
        if self.links:
            self._bullet.setJointMotorControlArray(
                self.number, self.links, self._bullet.TORQUE_CONTROL, forces=forces[self._dofs].tolist(),
                physicsClientId=self._client,
            )  # fmt: skip

    def pull(self, data: mujoco.MjData) -> None:
        """Take over where Bullet has moved it."""
        b = self._bullet
        if self.links:
            states = b.getJointStates(self.number, self.links, physicsClientId=self._client)
            data.qpos[self._places] = [state[0] for state in states] + self._zero
            data.qvel[self._dofs] = [state[1] for state in states]
        if self._base >= 0:
            place, quaternion = b.getBasePositionAndOrientation(self.number, physicsClientId=self._client)
            linear, angular = (np.array(part) for part in b.getBaseVelocity(self.number, physicsClientId=self._client))
            back, turn = np.zeros(4), np.zeros(4)
            mujoco.mju_negQuat(back, self._turn)
            mujoco.mju_mulQuat(turn, np.roll(quaternion, 1), back)
            arm, local = np.zeros(3), np.zeros(3)
            mujoco.mju_rotVecQuat(arm, self._centre, turn)
            mujoco.mju_negQuat(back, turn)
            mujoco.mju_rotVecQuat(local, angular, back)
            data.qpos[self._at : self._at + 7] = *(np.array(place) - arm), *turn
            data.qvel[self._speed : self._speed + 6] = *(linear - np.cross(angular, arm)), *local

    def place(self, data: mujoco.MjData) -> None:
        """Put it where the mirror has it."""
        b = self._bullet
        for link, place, zero, dof in zip(self.links, self._places, self._zero, self._dofs, strict=True):
            b.resetJointState(
                self.number, link, float(data.qpos[place] - zero), float(data.qvel[dof]), physicsClientId=self._client
            )
        if self._base >= 0:
            turn, arm, angular = data.qpos[self._at + 3 : self._at + 7].copy(), np.zeros(3), np.zeros(3)
            whole = np.zeros(4)
            mujoco.mju_mulQuat(whole, turn, self._turn)
            mujoco.mju_rotVecQuat(arm, self._centre, turn)
            mujoco.mju_rotVecQuat(angular, data.qvel[self._speed + 3 : self._speed + 6].copy(), turn)
            linear = data.qvel[self._speed : self._speed + 3] + np.cross(angular, arm)
            b.resetBasePositionAndOrientation(
                self.number, data.qpos[self._at : self._at + 3] + arm, np.roll(whole, -1), physicsClientId=self._client
            )
            b.resetBaseVelocity(self.number, linear.tolist(), angular.tolist(), physicsClientId=self._client)


def _moves(model: mujoco.MjModel, tree: Tree) -> bool:
    """Whether a tree has a joint."""
    first = int(model.body_jntadr[tree.base])
    return first >= 0 or any(joint >= 0 for joint in tree.joints)
