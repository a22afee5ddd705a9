"""The arm node on an arm whose time passes by itself: deadman, rivals, diagnostics."""

import time

import numpy as np
import pytest

pytest.importorskip("rclpy")

from std_msgs.msg import Header

from controllers.arms import ros_messages as messages
from controllers.arms.ros_io import time_message
from tests.robot_rl.nodes.steps import moved, wait_until


def test_a_deadman_that_falls_silent_holds_the_arm_though_targets_go_on(live, host):
    """In real time: the person's device goes on sending poses, but nobody presses the pedal any more."""
    from geometry_msgs.msg import PoseStamped
    from std_msgs.msg import Bool

    from controllers.arms.ros import ENABLE_TOPIC
    from controllers.arms.ros_io import TARGET

    node = live()
    client = host("client", clock="realtime")
    proxy = client.cell(sim=False, cameras=False)
    proxy.acquire("teleop")
    pedal = client.node.create_publisher(Bool, ENABLE_TOPIC, TARGET)
    poses = client.node.create_publisher(PoseStamped, "teleop/target_pose", TARGET)
    wait_until(lambda: pedal.get_subscription_count() and poses.get_subscription_count())

    def send(pressed):
        for _ in range(20):
            if pressed:
                pedal.publish(Bool(data=True))
            message = messages.pose_message(goal, Header(frame_id="base", stamp=time_message(time.time_ns())))
            poses.publish(message)
            time.sleep(0.02)
        return proxy.read()

    start = proxy.read()
    goal = moved(start, np.array([0.1, 0.0, 0.0])).pose
    tracking = send(pressed=True)
    assert tracking.safety == "track" and tracking.arm.reference.position[0] > start.arm.reference.position[0] + 0.01
    assert send(pressed=False).safety == "hold"
    assert node.targets.refused["no deadman"] > 0
    assert send(pressed=True).safety == "track"


def test_the_driver_speaks_for_itself_on_diagnostics(live, host):
    node = live()
    wait_until(lambda: float(node.host.report[2].get("rate", 0)) > 0)
    level, message, values = node.host.report
    assert (level, message) == ("ok", "hold")
    assert values["owner"] == "nobody" and {"jitter", "missed"} <= set(values)
    node.cell.silent = True
    wait_until(lambda: node.host.report[0] == "error")
    assert node.host.report[1] == "no state of the arm for 1 s: is its cable in?"
    node.cell.silent = False
    wait_until(lambda: node.host.report[0] == "ok")


def test_two_publishers_of_the_deadman_are_nobody(live, host):
    from std_msgs.msg import Bool

    from controllers.arms.ros import ENABLE_TOPIC
    from controllers.arms.ros_io import TARGET

    node = live()
    client, intruder = host("client"), host("intruder")
    pedal = client.node.create_publisher(Bool, ENABLE_TOPIC, TARGET)

    def pressed():
        pedal.publish(Bool(data=True))
        return node._deadman.held

    wait_until(pressed)
    rival = intruder.node.create_publisher(Bool, ENABLE_TOPIC, TARGET)
    wait_until(lambda: node._deadman.contested)
    wait_until(lambda: not pressed())
    assert not any(pressed() for _ in range(20))
    wait_until(lambda: node.host.report[:2] == ("error", node._rivals) and "the deadman" in node._rivals)
    intruder.node.destroy_publisher(rival)
    wait_until(pressed)


def test_two_publishers_of_joint_targets_are_refused(live, host):
    from sensor_msgs.msg import JointState

    from controllers.arms.ros_io import TARGET

    node = live()
    first, second = (host(name).node.create_publisher(JointState, "target_joint", TARGET) for name in ("one", "two"))
    wait_until(lambda: "target_joint" in node._crisp.contested)
    with node.lock:
        node.acquire("external")
    rest = node.cell.read().arm.q
    for publisher in (first, second):
        publisher.publish(JointState(name=list(node.cell.joint_names), position=rest.tolist()))
    wait_until(lambda: node.targets.refused["two publishers on target_joint"] == 2)
    assert node._crisp._posture is None
