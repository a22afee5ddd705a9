"""Controller manager, trajectory action, parameters and gripper actions: what is done, and what is refused and why."""

import time

import numpy as np
import pytest

pytest.importorskip("rclpy")

from tests.robot_rl.nodes.crisp.test_client import drive  # noqa: F401  (skips this file where that is skipped)


@pytest.fixture
def client(host):
    """A node that calls services and actions: client.call(...), client.act(...)."""
    from rclpy.action import ActionClient
    from rclpy.parameter import Parameter

    from controllers.arms.ros import call

    class Client:
        def __init__(self):
            self.host = host("client")

        def call(self, kind, name, **fields):
            return call(self.host.node, self.host.listener, kind, name, kind.Request(**fields), 60.0)

        def act(self, kind, name, goal):
            """The action's (status, result)."""
            action = ActionClient(self.host.node, kind, name)
            assert action.wait_for_server(60.0)
            handle = self._wait(action.send_goal_async(goal))
            answer = self._wait(handle.get_result_async())
            action.destroy()
            return answer.status, answer.result

        def set(self, name, value):
            from rcl_interfaces.srv import SetParameters

            parameter = Parameter(name, value=value).to_parameter_msg()
            node = "cartesian_impedance_controller"
            return self.call(SetParameters, f"{node}/set_parameters", parameters=[parameter]).results[0]

        def switch(self, *names, off=()):
            from controller_manager_msgs.srv import SwitchController

            return self.call(
                SwitchController,
                "controller_manager/switch_controller",
                activate_controllers=list(names),
                deactivate_controllers=list(off),
            )

        def _wait(self, future):
            end = time.monotonic() + 60.0
            while not future.done():
                assert time.monotonic() < end
                time.sleep(0.02)
            return future.result()

    return Client()


def test_switching_hands_the_arm_over_and_back(crisp_arm, client):
    node = crisp_arm("reach")
    assert client.switch("cartesian_impedance_controller").ok
    assert node.owner == "external"
    assert client.switch(off=["cartesian_impedance_controller"]).ok
    assert node.owner == "reset"  # held, and moved by nobody
    for names, said in (
        (["gravity_compensation"], "there is no controller 'gravity_compensation'; choose one of"),
        (["cartesian_impedance_controller", "joint_impedance_controller"], "both want the arm's joints: activate one"),
    ):
        answer = client.switch(*names)
        assert not answer.ok and said in answer.message
    assert node.owner == "reset"


def trajectory(names, *points):
    from control_msgs.action import FollowJointTrajectory
    from rclpy.duration import Duration
    from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

    made = [
        JointTrajectoryPoint(positions=list(angles), time_from_start=Duration(seconds=at).to_msg())
        for at, angles in points
    ]
    return FollowJointTrajectory.Goal(trajectory=JointTrajectory(joint_names=list(names), points=made))


def test_trajectories_that_cannot_be_are_refused_with_the_reason(crisp_arm, client):
    from action_msgs.msg import GoalStatus
    from control_msgs.action import FollowJointTrajectory

    node = crisp_arm("reach")
    rest = node.cell.read().arm.q
    names = node.cell.joint_names
    action = "joint_trajectory_controller/follow_joint_trajectory"
    far = rest + np.array([2.0, 0, 0, 0, 0, 0, 0])

    def follow(goal):
        return client.act(FollowJointTrajectory, action, goal)

    status, result = follow(trajectory(names, (1.0, rest)))
    assert (status, result.error_code) == (GoalStatus.STATUS_ABORTED, FollowJointTrajectory.Result.INVALID_GOAL)
    assert result.error_string == "joint_trajectory_controller is not active: switch to it first."
    assert client.switch("joint_trajectory_controller").ok
    for goal, said in (
        (trajectory(names, (1.0, far)), "outside the workspace"),
        (trajectory(names), "give at least one point"),
        (trajectory(names[:6], (1.0, rest[:6])), "the arm has fr3_joint1"),
    ):
        status, result = follow(goal)
        assert status == GoalStatus.STATUS_ABORTED and said in result.error_string
    np.testing.assert_allclose(node.cell.read().arm.q, rest, atol=0.01)
    status, result = follow(trajectory(names, (0.5, rest + 0.02), (1.0, rest + 0.05)))
    assert (status, result.error_string) == (GoalStatus.STATUS_SUCCEEDED, "")
    np.testing.assert_allclose(node.cell.read().arm.q, rest + 0.05, atol=0.021)


def test_a_stop_ends_a_trajectory(crisp_arm, client):
    import threading

    from control_msgs.action import FollowJointTrajectory

    node = crisp_arm("reach")
    client.switch("joint_trajectory_controller")

    def stop():
        with node.lock:
            node.cell.stop("a person pressed stop")

    timer = threading.Timer(1.0, stop)
    timer.start()
    goal = trajectory(node.cell.joint_names, (20.0, node.cell.read().arm.q + 0.05))
    _, result = client.act(FollowJointTrajectory, "joint_trajectory_controller/follow_joint_trajectory", goal)
    timer.join()
    assert result.error_string == "the arm is latched: a person pressed stop"


def test_parameters_of_the_law_are_checked(crisp_arm, client):
    node = crisp_arm("reach")
    assert client.set("task.k_pos_x", 500.0).successful
    assert client.set("task.d_rot_z", -1.0).successful  # crisp's critical damping
    assert client.set("use_friction", True).successful  # of a file for crisp; does nothing here
    gains = node._crisp.gains
    assert gains["stiffness"][0] == 500.0 and gains["damping"][5] == pytest.approx(2 * np.sqrt(gains["stiffness"][5]))
    refused = client.set("task.k_pos_x", -1.0)
    assert not refused.successful and "none below 0" in refused.reason
    assert gains["stiffness"][0] == 500.0


def test_the_gripper_s_actions_are_franka_ros2_s(crisp_arm, client):
    from action_msgs.msg import GoalStatus
    from franka_msgs.action import Grasp, Homing, Move

    node = crisp_arm("pick_cube")
    done = GoalStatus.STATUS_SUCCEEDED
    assert client.act(Move, "franka_gripper/move", Move.Goal(width=0.03, speed=0.1))[0] == done
    assert node.cell.read().gripper.width == pytest.approx(0.03, abs=0.003)
    assert node.owner == "external"  # nobody held the arm, and the gripper goes with it
    assert client.act(Homing, "franka_gripper/homing", Homing.Goal())[0] == done
    assert node.cell.read().gripper.width == pytest.approx(0.08, abs=0.003)
    status, result = client.act(Move, "franka_gripper/move", Move.Goal(width=0.2, speed=0.1))
    assert status == GoalStatus.STATUS_ABORTED
    assert result.error == "the gripper opens from 0 to 0.08 m, not to 0.2 m."
    wide = Grasp.Goal(width=0.05, force=20.0, speed=0.1)
    status, result = client.act(Grasp, "franka_gripper/grasp", wide)
    assert (status, result.error) == (GoalStatus.STATUS_ABORTED, "the fingers stopped elsewhere")  # nothing is there
    wide.epsilon.inner = 0.05
    assert client.act(Grasp, "franka_gripper/grasp", wide)[0] == done
    with node.lock:
        node.acquire("policy")
    status, result = client.act(Grasp, "franka_gripper/grasp", wide)
    assert result.error == "policy holds the arm, and the gripper goes with it."
