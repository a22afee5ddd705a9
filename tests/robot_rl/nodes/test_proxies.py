"""The actor's view of the reward and the reset node."""

import time

import numpy as np
import pytest

pytest.importorskip("rclpy")

from std_srvs.srv import Trigger

from controllers import exceptions
from controllers.arms.ros_messages import named_message
from controllers.interface import Pose, PoseTarget


def step(proxy):
    pose = proxy.read().arm.pose
    proxy.command(PoseTarget(Pose(pose.position, pose.quaternion), proxy.read().tick))
    return proxy.wait()


def test_a_label_of_an_earlier_tick_is_not_taken(arm, host):
    from sensor_msgs.msg import JointState

    from controllers.arms.ros_io import STATE
    from robot_rl.nodes.protocol import LABEL_TOPIC
    from robot_rl.nodes.proxies import RosReward

    arm()
    client = host("client")
    proxy = client.cell(sim=False, cameras=False)
    proxy.acquire("policy")
    reward = RosReward(client, proxy, timeout=1.0)
    labels = host("reward").node.create_publisher(JointState, LABEL_TOPIC, STATE)
    while labels.get_subscription_count() == 0:
        time.sleep(0.02)
    reading = step(proxy)
    labels.publish(named_message({"reward": 0.0, "success": 0.0}, proxy.stamp - 1))
    with pytest.raises(exceptions.CellTimeout, match="no label of tick 1 on label within 1 s"):
        reward(reading)
    labels.publish(named_message({"reward": 0.5, "success": 1.0}, proxy.stamp))
    result = reward(reading)
    assert (result.value, result.success) == (0.5, True)


def test_the_reset_is_the_same_as_in_one_process(arm, host, background):
    from controllers.twin import TwinCell
    from robot_rl.nodes import reset
    from robot_rl.nodes.proxies import RosReset
    from robot_rl.resets.scripted import ScriptedReset

    arm()
    server, client = host("reset"), host("client")
    server.node.declare_parameter("seed", 0)
    background(server, lambda: reset.serve(server))
    proxy, cell = client.cell(sim=True, cameras=False), TwinCell(client.task, seed=0)
    for seed in (11, 12):
        over_ros = RosReset(client, proxy)(proxy, seed)
        alone = ScriptedReset(client.task)(cell, seed)
        np.testing.assert_array_equal(over_ros.arm.q, alone.arm.q)
        np.testing.assert_array_equal(over_ros.arm.wrench, alone.arm.wrench)
        assert over_ros.tick == alone.tick


def test_a_latched_arm_is_told_as_such(host):
    from robot_rl.nodes.proxies import RosReset

    def refuse(request, response):
        response.success, response.message = False, "ArmLatched: the arm is latched: reflex"
        return response

    server, client = host("reset"), host("client")
    server.node.declare_parameter("seed", 0)
    server.node.create_service(Trigger, "reset", refuse)
    proxy = client.cell(sim=False, cameras=False)
    with pytest.raises(exceptions.ArmLatched, match="^the arm is latched: reflex$"):
        RosReset(client, proxy)(proxy, 1)


def test_a_reset_node_that_is_missing_is_named(host):
    from robot_rl.nodes.proxies import RosReset

    client = host("client")
    proxy = client.cell(sim=False, cameras=False)
    reset = RosReset(client, proxy)
    reset._patience = 0.2
    with pytest.raises(exceptions.CellTimeout, match=r"no service reset/set_parameters after 0\.2 s"):
        reset(proxy, 1)
