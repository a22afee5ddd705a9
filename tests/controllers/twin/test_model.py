"""Each arm's MJCF against Pinocchio, on the URDF that is written from the maker's yaml files."""

from __future__ import annotations

import mujoco
import numpy as np
import pinocchio
import pytest

from controllers.kinematics import Kinematics
from controllers.maker import chain
from controllers.models import MODELS, arm_model
from controllers.twin import loop
from controllers.twin.compose import Mount, compose
from controllers.twin.description import robot_description
from tests.controllers.twin.scenes import make_task


class Arm:
    """An arm in the twin, and Pinocchio's, with the fingers locked where the twin welds them."""

    def __init__(self, name, folder):
        self.kind = arm_model(name)
        self.mount = Mount(make_task(folder).on(name))
        self.model = compose(self.mount.task)
        whole = pinocchio.buildModelFromXML(robot_description(self.kind))
        fingers = [whole.getJointId(self.mount.name(f"finger_joint{i}")) for i in (1, 2)]
        q = pinocchio.neutral(whole)
        for joint in fingers:
            q[whole.joints[joint].idx_q] = 0.01
        self.reference = pinocchio.buildReducedModel(whole, fingers, q)
        self.other = self.reference.createData()
        rng, limits = np.random.default_rng(0), self.kind.limits
        self.states = [(rng.uniform(limits.low, limits.high), rng.normal(size=len(limits.low))) for _ in range(50)]

    def place(self, q, dq):
        data = mujoco.MjData(self.model)
        data.qpos[:], data.qvel[:] = q, dq
        view = loop.views(self.model, data, self.mount)
        loop.refresh(view)
        return data, view


@pytest.fixture(scope="module", params=MODELS)
def arm(request, tmp_path_factory):
    return Arm(request.param, tmp_path_factory.mktemp("scene"))


def test_kinematics_and_jacobian_are_the_makers(arm):
    reference, other, kinematics = arm.reference, arm.other, Kinematics(arm.kind)
    tool = reference.getFrameId(arm.mount.name("tool"))
    for q, dq in arm.states:
        data, view = arm.place(q, dq)
        pinocchio.computeJointJacobians(reference, other, q)
        pinocchio.updateFramePlacements(reference, other)
        frame = other.oMf[tool]
        jacobian = pinocchio.getFrameJacobian(reference, other, tool, pinocchio.LOCAL_WORLD_ALIGNED)
        assert np.abs(view.position - frame.translation).max() < 1e-8
        assert np.abs(data.site("tool").xmat.reshape(3, 3) - frame.rotation).max() < 1e-8
        assert np.abs(pinocchio.Quaternion(*view.quaternion[[3, 0, 1, 2]]).matrix() - frame.rotation).max() < 1e-8
        assert np.abs(view.arm_jacobian - jacobian).max() < 1e-8
        assert np.abs(kinematics.pose(q).position - frame.translation).max() < 1e-8
        assert np.abs(kinematics.jacobian(q) - jacobian).max() < 1e-8


def test_every_link_is_where_the_maker_puts_it(arm):
    links = [part.link for part in chain(arm.kind) if part.moving]
    for q, dq in arm.states[:5]:
        data, _ = arm.place(q, dq)
        pinocchio.framesForwardKinematics(arm.reference, arm.other, q)
        for link in map(arm.mount.name, [*links, "hand"]):
            frame = arm.other.oMf[arm.reference.getFrameId(link)]
            assert np.abs(data.body(link).xpos - frame.translation).max() < 1e-8
            assert np.abs(data.body(link).xmat.reshape(3, 3) - frame.rotation).max() < 1e-8


def test_mass_matrix_and_bias_are_the_makers(arm):
    close = 2e-3 if arm.kind.name == "panda" else 1e-5  # the Panda's fourth link as published cannot exist
    for q, dq in arm.states:
        _, view = arm.place(q, dq)
        mass = pinocchio.crba(arm.reference, arm.other, q)
        mass = np.triu(mass) + np.triu(mass, 1).T
        bias = pinocchio.nonLinearEffects(arm.reference, arm.other, q, dq)
        rotors = np.diag(arm.model.dof_armature[: len(q)])
        assert np.abs(view.arm_mass - rotors - mass).max() < close * np.abs(mass).max()
        assert np.abs(view.arm_bias - bias).max() < close * np.abs(bias).max()


def test_joint_limits_are_the_controllers(arm):
    limits = arm.kind.limits
    for index, name in enumerate(arm.kind.joint_names()):
        joint = arm.model.joint(name).id
        assert np.allclose(arm.model.jnt_range[joint], (limits.low[index], limits.high[index]))
        assert np.allclose(arm.model.jnt_actfrcrange[joint], (-limits.torque[index], limits.torque[index]))


def test_description_names_and_weighs_what_the_twin_moves(arm):
    assert tuple(arm.reference.names)[1:] == arm.kind.joint_names()
    moving = sum(inertia.mass for inertia in list(arm.reference.inertias)[1:])
    first = next(part.link for part in chain(arm.kind) if part.moving)
    assert moving == pytest.approx(arm.model.body(arm.mount.name(first)).subtreemass[0], rel=1e-9)
