"""The compiled kinematics against MuJoCo's."""

import mujoco
import numpy as np
import pytest

import tasks
from controllers import spatial
from controllers.emulators import kinematics, memory
from controllers.emulators.robot import FLANGE
from controllers.twin.plant import Plant


@pytest.fixture(scope="module")
def plant():
    return Plant(tasks.load("reach"))


@pytest.mark.parametrize("seed", range(5))
def test_flange_and_jacobian_are_mujoco_s(plant, seed):
    robot, q = memory.new_robot(plant.model, FLANGE, 0.1), np.random.default_rng(seed).uniform(-1.5, 1.5, 7)
    axes, anchors, position, turn, jacobian = (
        np.zeros((7, 3)),
        np.zeros((7, 3)),
        np.zeros(3),
        np.zeros(4),
        np.zeros((6, 7)),
    )
    kinematics.forward(robot.chain, q, axes, anchors, position, turn)
    kinematics.jacobian(axes, anchors, position, jacobian)
    data = mujoco.MjData(plant.model)
    data.qpos[:7] = q
    mujoco.mj_forward(plant.model, data)
    expected = np.zeros((6, plant.model.nv))
    mujoco.mj_jacSite(plant.model, data, expected[:3], expected[3:], plant.model.site(FLANGE).id)
    np.testing.assert_allclose(position, data.site(FLANGE).xpos, atol=1e-9)
    np.testing.assert_allclose(spatial.matrix(turn), data.site(FLANGE).xmat.reshape(3, 3), atol=1e-9)
    np.testing.assert_allclose(jacobian, expected[:, :7], atol=1e-9)


@pytest.mark.parametrize("angle", [0.0, 1.0, 3.1415, -2.0])
@pytest.mark.parametrize("axis", np.eye(3), ids="xyz")
def test_a_pose_gives_the_quaternion_it_was_made_of(axis, angle):
    quaternion, pose, back = spatial.exp(axis * angle), np.zeros(16), np.zeros(4)
    kinematics.apply(np.zeros(3), quaternion, np.eye(4).ravel(), pose)
    kinematics.quaternion_of(pose, back)
    assert abs(quaternion @ back) == pytest.approx(1.0, abs=1e-9)


def test_a_frame_is_applied_in_the_moving_axes():
    quaternion, out = spatial.exp(np.array([0.0, 0.0, np.pi / 2])), np.zeros(16)
    frame = np.eye(4)
    frame[:3, 3] = 1.0, 0.0, 0.0
    kinematics.apply(np.array([0.0, 0.0, 0.5]), quaternion, frame.T.ravel().copy(), out)
    np.testing.assert_allclose(out[12:15], [0.0, 1.0, 0.5], atol=1e-12)
