"""Any camera that another program publishes: a topic of sensor_msgs/Image or CompressedImage."""

from __future__ import annotations

import math
import os
import time
from typing import Any

import numpy as np
import rclpy
from rclpy.context import Context
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CompressedImage, Image

from controllers.arms.ros_io import SENSOR, Listener, nanoseconds
from controllers.cameras.base import Facts, Frame
from controllers.cameras.clock import ExposureClock, next_number
from controllers.cameras.config import CameraConfig
from controllers.cameras.processing import check_shape, opencv, process
from controllers.exceptions import CameraError

CHANNELS = {"rgb8": (0, 1, 2), "bgr8": (2, 1, 0), "rgba8": (0, 1, 2), "bgra8": (2, 1, 0), "mono8": (0, 0, 0)}
"""Where red, green and blue lie in a pixel of each encoding."""
WIDTHS = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "mono8": 1}
PATIENCE = 5.0
"""s of silence after which the topic is given up; a supervisor has less patience."""


class RosCamera:
    """The pictures of a topic, under their own stamps, which are times of the wall clock."""

    def __init__(self, name: str, config: CameraConfig) -> None:
        self.facts = Facts(name)
        self._name, self._config = name, config
        self._compressed = config.topic.endswith("/compressed")
        self._clock = ExposureClock(config.latency)
        self._sequence, self._last = 0, math.nan
        self._context: Context | None = None
        self._listener: Listener
        self._feed: Any

    def open(self) -> None:
        self._context = Context()
        rclpy.init(context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        node = Node(f"camera_driver_{self._name}_{os.getpid()}", context=self._context)
        self._listener = Listener(node)
        kind = CompressedImage if self._compressed else Image
        self._feed = self._listener.subscribe(kind, self._config.topic, SENSOR)
        self.facts = Facts(f"topic {self._feed.subscription.topic_name}")

    def read(self) -> Frame:
        self._listener.wait([self._feed], PATIENCE)
        message = self._feed.newest()
        if message is None:
            raise CameraError(
                f"camera {self._name}: nothing on {self._feed.subscription.topic_name} for {PATIENCE:g} s; "
                "is its publisher alive, in this ROS domain?"
            )
        arrival = time.monotonic()
        image = self._decompressed(message) if self._compressed else picture(message, self._name)
        check_shape(image, self._config, self._name)
        stamp = nanoseconds(message.header.stamp) / 1e9 or math.nan
        self._sequence = next_number(self._sequence, stamp - self._last, self._config.rate)
        self._last = stamp
        return Frame(
            image=process(image, self._config),
            depth=None,
            sequence=self._sequence,
            stamp=self._clock.stamp(stamp, arrival, "system"),
            arrival=arrival,
            device_stamp=stamp,
        )

    def close(self) -> None:
        if self._context is not None:
            self._listener.node.destroy_node()
            self._context.try_shutdown()
            self._context = None

    def _decompressed(self, message: CompressedImage) -> Any:
        cv2 = opencv()
        image = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_COLOR)
        if image is None:
            raise CameraError(f"camera {self._name}: {message.format!r} pictures cannot be decoded; use jpeg or png.")
        return image[:, :, ::-1]


def picture(message: Any, name: str) -> Any:
    """(h, w, 3) uint8 RGB view of a sensor_msgs/Image. Raises `CameraError` for an encoding that is not known."""
    channels = CHANNELS.get(message.encoding)
    if channels is None:
        raise CameraError(
            f"camera {name}: encoding {message.encoding!r} of its topic is not known; choose {', '.join(CHANNELS)}."
        )
    rows = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)
    width = WIDTHS[message.encoding]
    pixels = rows[:, : message.width * width].reshape(message.height, message.width, width)
    return pixels if message.encoding == "rgb8" else pixels[:, :, channels]
