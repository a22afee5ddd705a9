"""Joint targets as tool poses."""

import numpy as np
import pytest

pytest.importorskip("rclpy")

from sensor_msgs.msg import JointState

import tasks
from controllers import spatial
from controllers.exceptions import CommandRejected
from controllers.models import arm_model
from controllers.twin import TwinCell
from robot_rl.nodes.crisp.joints import Joints

NAMES = arm_model("fr3").joint_names()
ANGLES = np.linspace(0.1, 0.7, 7)


def test_names_say_the_order_with_or_without_the_client_s_prefix():
    joints = Joints(NAMES, "left_")
    for prefix in ("", "left_"):
        names = [f"{prefix}{name}" for name in reversed(NAMES)]
        np.testing.assert_array_equal(joints.of(JointState(name=names, position=ANGLES[::-1].tolist())), ANGLES)


@pytest.mark.parametrize(
    "names, angles, said",
    [
        (NAMES[:6], ANGLES[:6], "the target is for joints fr3_joint1, .*, the arm has fr3_joint1"),
        (("panda_joint1", *NAMES[1:]), ANGLES, "the target is for joints panda_joint1"),
        (NAMES, ANGLES[:6], "the arm has"),
        (NAMES, [*ANGLES[:6], float("nan")], "give finite numbers"),
        ((), (), r"the target is for joints \(none\)"),
    ],
)
def test_what_is_not_this_arm_s_is_refused(names, angles, said):
    with pytest.raises(CommandRejected, match=said):
        Joints(NAMES).of(JointState(name=list(names), position=[float(angle) for angle in angles]))


def test_the_pose_is_where_the_twin_s_tool_would_be():
    cell = TwinCell(tasks.load("reach"), seed=0)
    here = cell.read().arm
    there = here.q + np.array([0.3, -0.1, 0.2, 0.1, -0.2, 0.3, 0.4])
    pose = Joints(cell.joint_names).pose(there, here)
    cell.teleport_home()
    state = cell.state_vector()
    state[1:8] = there
    cell.set_state_vector(state)
    measured = cell.read().arm.pose
    np.testing.assert_allclose(pose.position, measured.position, atol=1e-6)
    assert np.linalg.norm(spatial.log(spatial.multiply(pose.quaternion, spatial.conjugate(measured.quaternion)))) < 1e-6


def test_an_arm_of_unknown_kinematics_takes_no_joint_targets():
    joints = Joints(("shoulder", "elbow"))
    with pytest.raises(CommandRejected, match="the kinematics of an arm with joints shoulder, elbow are not known"):
        joints.pose(np.zeros(2), TwinCell(tasks.load("reach"), seed=0).read().arm)
