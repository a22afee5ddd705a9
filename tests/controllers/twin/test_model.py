"""The MJCF against Pinocchio, on the URDF that is written from the maker's yaml files."""

from __future__ import annotations

import mujoco
import numpy as np
import pinocchio
import pytest

from controllers.models import arm_model
from controllers.twin import loop
from controllers.twin.compose import JOINTS, compose
from controllers.twin.description import robot_description
from tests.controllers.twin.scenes import make_task

FR3 = arm_model("fr3").limits


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return compose(make_task(tmp_path_factory.mktemp("scene")))


@pytest.fixture(scope="module")
def reference():
    """Pinocchio's arm, with the fingers locked where the twin welds them."""
    whole = pinocchio.buildModelFromXML(robot_description())
    fingers = [whole.getJointId(name) for name in ("fr3_finger_joint1", "fr3_finger_joint2")]
    q = pinocchio.neutral(whole)
    for joint in fingers:
        q[whole.joints[joint].idx_q] = 0.01
    return pinocchio.buildReducedModel(whole, fingers, q)


@pytest.fixture(scope="module")
def configurations():
    rng = np.random.default_rng(0)
    return [(rng.uniform(FR3.low, FR3.high), rng.normal(size=7)) for _ in range(50)]


def place(model, q, dq):
    data = mujoco.MjData(model)
    data.qpos[:], data.qvel[:] = q, dq
    view = loop.views(model, data)
    loop.refresh(view)
    return data, view


def test_kinematics_and_jacobian_are_the_makers(model, reference, configurations):
    other = reference.createData()
    tool = reference.getFrameId("fr3_tool")
    for q, dq in configurations:
        data, view = place(model, q, dq)
        pinocchio.computeJointJacobians(reference, other, q)
        pinocchio.updateFramePlacements(reference, other)
        frame = other.oMf[tool]
        jacobian = pinocchio.getFrameJacobian(reference, other, tool, pinocchio.LOCAL_WORLD_ALIGNED)
        assert np.abs(view.position - frame.translation).max() < 1e-9
        assert np.abs(data.site("tool").xmat.reshape(3, 3) - frame.rotation).max() < 1e-9
        assert np.abs(pinocchio.Quaternion(*view.quaternion[[3, 0, 1, 2]]).matrix() - frame.rotation).max() < 1e-9
        assert np.abs(view.arm_jacobian - jacobian).max() < 1e-9


def test_every_link_is_where_the_maker_puts_it(model, reference, configurations):
    other = reference.createData()
    for q, dq in configurations[:5]:
        data, _ = place(model, q, dq)
        pinocchio.framesForwardKinematics(reference, other, q)
        for link in [*(f"fr3_link{i}" for i in range(8)), "fr3_hand"]:
            frame = other.oMf[reference.getFrameId(link)]
            assert np.abs(data.body(link).xpos - frame.translation).max() < 1e-9
            assert np.abs(data.body(link).xmat.reshape(3, 3) - frame.rotation).max() < 1e-9


def test_mass_matrix_and_bias_are_the_makers(model, reference, configurations):
    other = reference.createData()
    for q, dq in configurations:
        _, view = place(model, q, dq)
        mass = pinocchio.crba(reference, other, q)
        mass = np.triu(mass) + np.triu(mass, 1).T
        bias = pinocchio.nonLinearEffects(reference, other, q, dq)
        rotors = np.diag(model.dof_armature[:7])
        assert np.abs(view.arm_mass - rotors - mass).max() < 1e-6 * np.abs(mass).max()
        assert np.abs(view.arm_bias - bias).max() < 1e-6 * np.abs(bias).max()


def test_joint_limits_are_the_controllers(model):
    for index, name in enumerate(JOINTS):
        joint = model.joint(name).id
        assert np.allclose(model.jnt_range[joint], (FR3.low[index], FR3.high[index]))
        assert np.allclose(model.jnt_actfrcrange[joint], (-FR3.torque[index], FR3.torque[index]))


def test_description_names_and_weighs_what_the_twin_moves(model, reference):
    assert list(reference.names)[1:] == list(JOINTS)
    moving = sum(inertia.mass for inertia in list(reference.inertias)[1:])
    assert moving == pytest.approx(model.body("fr3_link1").subtreemass[0], rel=1e-9)
