"""Features over ROS: those of the tick's own pictures, under their stamp."""

import numpy as np
import pytest

pytest.importorskip("rclpy")

from sensor_msgs.msg import Image, JointState

from controllers.arms.ros_io import STATE, nanoseconds
from controllers.arms.ros_messages import STATE_TOPIC, features_from, image_message
from controllers.interface import PoseTarget
from robot_rl.nodes.perception import PerceptionNode
from robot_rl.perception import FEATURES

CROPS = 2


class Brightness:
    """Stands in for a backbone: all of a map is the picture's first value plus the tick. Counts its calls."""

    def __init__(self):
        self.calls = 0

    def encode(self, images, tick):
        self.calls += 1
        return {name: np.full((CROPS, *FEATURES), image[0, 0, 0] + tick, np.float16) for name, image in images.items()}


class Cameras:
    """Both cameras of the task, saying what they are told to, and a listener of features."""

    def __init__(self, served):
        self.names = [camera.name for camera in served.task.cameras]
        self.period = round(1e9 * served.task.period)
        self._served = served
        self._out = {n: served.node.create_publisher(Image, f"{n}/image_raw", STATE) for n in self.names}
        self._feeds = {n: served.listener.subscribe(Image, f"{n}/features", STATE) for n in self.names}

    def ready(self):
        while any(each.get_subscription_count() == 0 for each in self._out.values()) or any(
            self._served.node.count_publishers(feed.subscription.topic_name) == 0 for feed in self._feeds.values()
        ):
            self._served.listener.sleep(0.02)
        self._served.listener.sleep(0.1)

    def show(self, name, value, tick):
        self._out[name].publish(image_message(np.full((8, 8, 3), value, np.uint8), name, tick * self.period))

    def features(self, name, timeout=20.0):
        self._served.listener.wait([self._feeds[name]], timeout)
        return self._feeds[name].take()


@pytest.fixture
def cameras(host):
    return Cameras(host("cameras"))


@pytest.fixture
def looking(host, background):
    """Starts a perception node: looking(clock="lockstep") returns what it looks with."""

    def start(**values):
        backbone, served = Brightness(), host("perception", **values)
        background(served, PerceptionNode(served, backbone).run)
        return backbone

    return start


def test_all_cameras_of_a_tick_are_one_call_under_their_stamp(cameras, looking):
    backbone = looking()
    cameras.ready()
    cameras.show("wrist", 10, tick=3)
    assert cameras.features("wrist", timeout=0.3) is None, "the front camera's picture of that tick is missing"
    cameras.show("front", 20, tick=3)
    for name, value in (("wrist", 13), ("front", 23)):
        message = cameras.features(name)
        assert nanoseconds(message.header.stamp) == 3 * cameras.period
        assert message.header.frame_id == f"{name}_optical_frame"
        assert (message.encoding, message.step, message.height) == ("16UC64", 512, 4 * CROPS)
        np.testing.assert_array_equal(features_from(message), np.full((CROPS, *FEATURES), value, np.float16))
    assert backbone.calls == 1


def test_a_picture_said_again_is_answered_again_and_not_looked_at_again(cameras, looking):
    backbone = looking()
    cameras.ready()
    for name in cameras.names:
        cameras.show(name, 10, tick=1)
    first = cameras.features("wrist")
    cameras.show("wrist", 10, tick=1)
    again = cameras.features("wrist")
    assert again == first and backbone.calls == 1


def test_in_real_time_a_camera_does_not_wait_for_a_dead_one(cameras, looking):
    looking(clock="realtime")
    cameras.ready()
    got = []
    for tick in range(20):
        cameras.show("wrist", 7, tick)
        got.append(cameras.features("wrist", timeout=1.0))
    assert any(got)
    assert cameras.features("front", timeout=0.2) is None


class Echo:
    """Cameras without a renderer: answer each state of the arm under its stamp; the value is how many they answered."""

    def __init__(self, served):
        self._served = served
        self._feed = served.listener.subscribe(JointState, STATE_TOPIC, STATE)
        names = [camera.name for camera in served.task.cameras]
        self._out = {name: served.node.create_publisher(Image, f"{name}/image_raw", STATE) for name in names}
        self.shown = {}

    def run(self):
        while True:
            self._served.listener.wait([self._feed], 1.0)
            state = self._feed.newest()
            if state is None:
                continue
            stamp = nanoseconds(state.header.stamp)
            value = self.shown.setdefault(stamp, len(self.shown))
            for name, out in self._out.items():
                out.publish(image_message(np.full((8, 8, 3), value, np.uint8), name, stamp))


def test_an_actor_gets_the_features_of_its_tick_and_no_tick_is_lost(arm, looking, host, background):
    served = host("cameras")
    echo = Echo(served)
    background(served, echo.run)
    arm()
    client = host("client")
    proxy = client.cell(sim=False, cameras=False, features=True)
    proxy.acquire("policy")
    for step in range(4):
        if step == 0:
            looking()
            reading = proxy.read()
        else:
            proxy.command(PoseTarget(reading.arm.pose, reading.tick))
            reading = proxy.wait()
        assert reading.tick == step and reading.images == {}
        assert list(reading.features) == ["wrist", "front"]
        for maps in reading.features.values():
            np.testing.assert_array_equal(maps, np.full((CROPS, *FEATURES), echo.shown[proxy.stamp] + step, np.float16))
