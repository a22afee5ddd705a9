"""Devices behind topics, and the node that reads all devices."""

import time

import numpy as np
import pytest

pytest.importorskip("rclpy")

import rclpy
from geometry_msgs.msg import TwistStamped
from sensor_msgs.msg import JointState, Joy

from controllers.arms.ros_io import TARGET
from robot_rl.exceptions import DeviceGone
from robot_rl.nodes.person import RosOperator, RosSource
from robot_rl.nodes.teleop import Caller, RosDevice, openers_of, serve
from robot_rl.operator import Answer
from robot_rl.teleop import Sources, read_configs


@pytest.fixture
def publish(host):
    """Says something on a topic once somebody hears it: publish(topic, message)."""
    node, publishers = host("somebody").node, {}

    def say(topic, message):
        if topic not in publishers:
            publishers[topic] = node.create_publisher(type(message), topic, TARGET)
        while publishers[topic].get_subscription_count() == 0:
            time.sleep(0.01)
        publishers[topic].publish(message)

    return say


def until(read, wanted, seconds=20.0):
    end = time.monotonic() + seconds
    while not wanted(said := read()):
        assert time.monotonic() < end, said
        time.sleep(0.005)
    return said


def test_a_joy_moves_and_each_of_its_presses_counts(host, publish):
    device = RosDevice(host("teleop").listener)
    for buttons in ([1, 0], [0, 0], [0, 1]):
        publish("teleop/joy", Joy(axes=[0.5, -2.0, float("nan")], buttons=buttons))
    pressed = []

    def read():
        state = device.read()
        pressed.extend(state.pressed)
        return state

    state = until(read, lambda state: state.held == {"1"})
    np.testing.assert_allclose(state.axes, [0.5, -1, 0, 0, 0, 0])
    assert pressed == ["0", "1"]
    until(read, lambda state: not state.axes.any() and not state.held)  # silent for half a second


def test_one_who_dies_while_moving_the_arm_is_gone_and_two_are_refused(host, publish):
    device = RosDevice(host("teleop").listener)
    assert not device.read().heard
    dying = rclpy.create_node("dying", context=host("teleop").node.context)
    joy = dying.create_publisher(Joy, "teleop/joy", TARGET)
    while joy.get_subscription_count() == 0:
        time.sleep(0.01)
    joy.publish(Joy(axes=[0.5]))
    assert until(device.read, lambda state: state.axes.any()).heard
    dying.destroy_node()
    with pytest.raises(DeviceGone, match="nobody speaks on teleop/joy"):
        until(device.read, lambda state: False)
    publish("teleop/joy", Joy(axes=[0.5]))
    other = rclpy.create_node("other", context=host("teleop").node.context)
    second = other.create_publisher(Joy, "teleop/joy", TARGET)

    def speak_too():
        second.publish(Joy(axes=[-0.5]))
        return device.read()

    with pytest.raises(DeviceGone, match="two publishers speak on .*teleop/joy"):
        until(speak_too, lambda state: False)
    device.close()
    assert device._heard is False and not device._axes.any()
    other.destroy_node()


def test_a_device_behind_a_topic_that_is_opened_again_listens_once(host):
    served = host("teleop", teleop="ros")
    opener = openers_of(served.config, served.listener, served.task)["ros"]
    assert opener() is opener()


def test_a_twist_moves(host, publish):
    device = RosDevice(host("teleop").listener)
    twist = TwistStamped()
    twist.twist.linear.z, twist.twist.angular.x = 0.25, -0.5
    publish("teleop/twist", twist)
    state = until(device.read, lambda state: state.axes.any())
    np.testing.assert_allclose(state.axes, [0, 0, 0.25, -0.5, 0, 0])


def test_a_leaders_joints_move(host, publish):
    served = host("teleop", teleop="leader")
    leader = openers_of(served.config, served.listener, served.task)["leader"]()
    home, first, led = served.task.home, np.eye(7)[0], []
    assert not leader.read().axes.any()
    for step in range(200):
        publish("teleop/leader_joint_states", JointState(position=(home + 0.002 * step * first).tolist()))
        time.sleep(0.01)
        led.append(leader.read().axes)
        if led[-1][1] > 0.1:
            return
    raise AssertionError(led[-1])


def test_the_actor_hears_what_a_person_does_and_says(host, publish, background):
    served, actor = host("teleop", teleop="ros"), host("actor")
    source, operator = RosSource(actor), RosOperator(actor)
    devices = Sources(
        openers_of(served.config, served.listener, served.task), read_configs(("ros",), None), served.task, print
    )
    background(served, lambda: serve(served, devices, Caller(served)))
    until(source.read, lambda said: not said.gone and source._came)
    publish("teleop/joy", Joy(axes=[0.0, 0.0, 0.5], buttons=[0, 0]))
    said = until(source.read, lambda said: said.engaged)
    assert said.action[2] == pytest.approx(-(0.5 - 0.05) / 0.95)  # the tool points down; past the dead zone
    until(source.read, lambda said: not said.engaged)
    publish("teleop/joy", Joy(axes=[], buttons=[0, 1]))
    assert until(operator.take, bool) == ["success"]
    operator.answer(Answer(True, "episode 0 is a success"))
