import numpy as np
import pytest

from controllers import spatial
from controllers.exceptions import ControllersError
from controllers.interface import Pose
from controllers.kinematics import MARGIN, Kinematics
from controllers.models import MODELS, arm_model

DOWN = np.array([1.0, 0.0, 0.0, 0.0])


@pytest.mark.parametrize("name", MODELS)
def test_a_solution_is_at_the_goal_inside_the_soft_range_and_far_from_singular(name):
    arm = arm_model(name)
    kinematics, rng = Kinematics(arm), np.random.default_rng(0)
    low, high = arm.limits.soft
    for _ in range(5):
        turn = spatial.exp(np.array([0.0, 0.0, rng.uniform(-0.8, 0.8)]))
        goal = Pose(rng.uniform([0.45, -0.2, 0.1], [0.6, 0.2, 0.4]), spatial.multiply(turn, DOWN))
        q = kinematics.solve(goal)
        found = kinematics.pose(q)
        np.testing.assert_allclose(found.position, goal.position, atol=1e-5)
        assert abs(found.quaternion @ goal.quaternion) == pytest.approx(1.0, abs=1e-9)
        assert (q >= low + MARGIN - 1e-9).all()
        assert (q <= high - MARGIN + 1e-9).all()
        jacobian = kinematics.jacobian(q)
        assert np.sqrt(np.linalg.det(jacobian @ jacobian.T)) > arm.limits.manipulability


def test_the_same_goal_has_the_same_solution():
    kinematics, goal = Kinematics(arm_model("ur5e")), Pose(np.array([0.5, 0.1, 0.2]), DOWN)
    np.testing.assert_array_equal(kinematics.solve(goal), kinematics.solve(goal))


def test_the_jacobian_is_the_poses_rate():
    kinematics, arm = Kinematics(arm_model("ur5e")), arm_model("ur5e")
    for joint, column in enumerate(kinematics.jacobian(arm.home).T):
        step = 1e-6 * np.eye(6)[joint]
        before, after = kinematics.pose(arm.home - step), kinematics.pose(arm.home + step)
        np.testing.assert_allclose((after.position - before.position) / 2e-6, column[:3], atol=1e-6)
        turn = spatial.log(spatial.multiply(after.quaternion, spatial.conjugate(before.quaternion)))
        np.testing.assert_allclose(turn / 2e-6, column[3:], atol=1e-6)


def test_a_place_out_of_reach_is_named():
    with pytest.raises(ControllersError, match=r"the fr3 cannot reach the pose at \(1.500, 0.000, 0.200\) m"):
        Kinematics(arm_model("fr3")).solve(Pose(np.array([1.5, 0.0, 0.2]), DOWN))
