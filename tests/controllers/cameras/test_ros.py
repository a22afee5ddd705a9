"""Against publishers in this process and a driver in its own, over a ROS domain of their own."""

import array
import threading
import time

import numpy as np
import pytest

from controllers.cameras import CameraConfig, SupervisedCamera
from controllers.exceptions import CameraError
from tests.robot_rl.nodes.conftest import context, domain  # noqa: F401 - fixtures

cv2 = pytest.importorskip("cv2")
pytest.importorskip("rclpy")

from sensor_msgs.msg import CompressedImage, Image  # noqa: E402 - need ROS

from controllers.arms.ros_io import STATE, time_message  # noqa: E402
from controllers.cameras import ros as driver  # noqa: E402

PICTURE = np.zeros((48, 64, 3), np.uint8)
PICTURE[:, :32] = (200, 40, 10)


def message(image, encoding, padding=0):
    rows = image.reshape(len(image), -1)
    sent = Image(height=len(image), width=image.shape[1], encoding=encoding, step=rows.shape[1] + padding)
    sent.data = array.array("B", np.pad(rows, ((0, 0), (0, padding))).tobytes())
    return sent


@pytest.mark.parametrize(
    "encoding, channels", [("rgb8", [0, 1, 2]), ("bgr8", [2, 1, 0]), ("rgba8", [0, 1, 2, 0]), ("bgra8", [2, 1, 0, 0])]
)
def test_every_encoding_becomes_rgb(encoding, channels):
    np.testing.assert_array_equal(
        driver.picture(message(PICTURE[..., channels], encoding, padding=5), "front"), PICTURE
    )


def test_grey_becomes_three_equal_channels_and_an_unknown_encoding_a_sentence():
    grey = driver.picture(message(PICTURE[..., :1], "mono8"), "front")
    assert (grey == PICTURE[..., :1]).all() and grey.shape == (48, 64, 3)
    with pytest.raises(CameraError, match="encoding 'bayer_rggb8' of its topic is not known; choose rgb8, bgr8"):
        driver.picture(message(PICTURE[..., :1], "bayer_rggb8"), "front")


@pytest.fixture(autouse=True)
def inherited(domain, monkeypatch):  # noqa: F811
    """The driver's process is in the same domain."""
    monkeypatch.setenv("ROS_DOMAIN_ID", str(domain))


@pytest.fixture
def publish(context):  # noqa: F811
    """Publishes a message under the present time, 30 times a second, until the test ends: publish(topic, message)."""
    from rclpy.node import Node

    node, over, threads = Node("publisher", context=context), threading.Event(), []

    def start(topic, sent):
        publisher = node.create_publisher(type(sent), topic, STATE)

        def run():
            while not over.wait(1 / 30):
                sent.header.stamp = time_message(time.time_ns() - 40_000_000)
                publisher.publish(sent)

        threads.append(threading.Thread(target=run))
        threads[-1].start()

    yield start
    over.set()
    for thread in threads:
        thread.join()
    node.destroy_node()


@pytest.fixture
def read():
    """Three pictures of a topic: read(topic, **settings)."""
    cameras = []

    def three(topic, **settings):
        config = CameraConfig(
            **{"driver": "ros", "topic": topic, "width": 64, "height": 48, "stale_after": 5.0, **settings}
        )
        cameras.append(SupervisedCamera("front", config))
        cameras[-1].open()
        return [cameras[-1].read() for _ in range(3)]

    yield three
    for camera in cameras:
        camera.close()


def test_a_topic_is_a_camera_with_the_publisher_s_stamps(publish, read):
    publish("other/image_raw", message(PICTURE, "rgb8"))
    frames = read("other/image_raw", size=(32, 24))
    np.testing.assert_array_equal(frames[-1].image, PICTURE[::2, ::2])
    assert 0.03 < frames[-1].arrival - frames[-1].stamp < 1.0  # published 40 ms after it was taken


def test_a_compressed_topic(publish, read):
    sent = CompressedImage(format="jpeg")
    sent.data = array.array("B", cv2.imencode(".jpg", PICTURE[..., ::-1])[1].tobytes())
    publish("other/image_raw/compressed", sent)
    image = read("other/image_raw/compressed")[-1].image
    assert np.abs(image[:, 4:28].astype(int) - (200, 40, 10)).max() < 10


def test_another_size_than_stated(publish, read):
    publish("other/small", message(PICTURE, "rgb8"))
    with pytest.raises(CameraError, match="camera front delivers 64 x 48, not the 640 x 480"):
        read("other/small", width=640, height=480)


def test_a_topic_without_a_publisher(monkeypatch):
    monkeypatch.setattr(driver, "PATIENCE", 0.3)
    camera = driver.RosCamera("front", CameraConfig(driver="ros", topic="nobody"))
    camera.open()
    with pytest.raises(CameraError, match=r"nothing on /nobody for 0.3 s; is its publisher alive"):
        camera.read()
    camera.close()
