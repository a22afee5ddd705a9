"""The camera node: publishes one camera of the cell; the twin's is rendered from the arm node's state.

Topics under the camera's name: `image_raw` (rgb8) and `camera_info`, and `depth/image_raw` (32FC1, m, NaN where nothing
was measured) where asked for. A picture's stamp is the best estimate of the middle of its exposure.
"""

from __future__ import annotations

import array
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import Header

from controllers.arms.ros_io import SENSOR, STATE, nanoseconds
from controllers.arms.ros_messages import STATE_TOPIC, camera_info, image_message
from controllers.cameras import CameraConfig, Frame, Intrinsics, SupervisedCamera
from controllers.cameras.base import Depth
from controllers.cells import need_cameras
from controllers.twin import TwinCell
from robot_rl.actors import FIRST
from robot_rl.exceptions import ConfigError
from robot_rl.nodes.base import Host, hosting, settle_memory

RATE = 30.0
"""Images a second in real time; in lockstep every tick has one."""


WAIT = 0.1
"""Longest sleep, s, in which an interruption goes unnoticed."""


class CameraNode:
    """Renders one camera of the task with a twin of its own, whose state is the arm's."""

    def __init__(self, host: Host, camera: str) -> None:
        known = {spec.name: spec for spec in host.task.cameras}
        if camera not in known:
            raise ConfigError(f"task {host.task.name} has no camera {camera!r}; it has {', '.join(known)}.")
        self._host, self._spec = host, known[camera]
        domain = host.task.domain if host.config.randomise else None  # the state says what was drawn of it
        self._twin = TwinCell(host.task, randomise=False, domain=domain)
        self._opening = float(np.deg2rad(self._twin.model.camera(camera).fovy[0]))
        self._feed = host.listener.subscribe(JointState, STATE_TOPIC, STATE if host.lockstep else SENSOR)
        self._images = host.node.create_publisher(Image, f"{camera}/image_raw", STATE)
        self._infos = host.node.create_publisher(CameraInfo, f"{camera}/camera_info", STATE)
        self._last: tuple[int, Image] | None = None

    def run(self) -> None:
        """Render the newest state, under its stamp, until interrupted."""
        while True:
            self._host.listener.wait([self._feed], 1.0)
            began, state = time.monotonic(), self._feed.newest()
            if state is None:
                continue
            self._publish(state)
            if not self._host.lockstep:
                self._host.listener.sleep(began + 1.0 / RATE - time.monotonic())

    def _publish(self, state: JointState) -> None:
        stamp, spec = nanoseconds(state.header.stamp), self._spec
        if self._last is None or self._last[0] != stamp:
            self._twin.set_state_vector(np.array(state.position))
            self._last = stamp, image_message(self._twin.render(spec), spec.name, stamp)
        self._images.publish(self._last[1])
        self._infos.publish(camera_info(spec.name, spec.width, spec.height, self._opening, stamp))
        self._host.status("ok", "rendering", stamp=stamp / 1e9)


class DriverNode:
    """Publishes what a camera's driver captures, in a process of its own that is watched from here.

    A camera that stays dead ends the node by a `CameraError`: a run does not go on blind.
    """

    def __init__(self, host: Host, camera: str, config: CameraConfig) -> None:
        topic = f"{camera}/image_raw"
        if config.driver == "ros" and host.node.resolve_topic_name(config.topic) == host.node.resolve_topic_name(topic):
            raise ConfigError(
                f"camera {camera} would publish on the topic {config.topic} that it listens to; "
                "give its source another name, or leave the camera out of the cell."
            )
        self._host, self._name, self._config = host, camera, config
        logger = host.node.get_logger()
        self.camera = SupervisedCamera(
            camera, config, task=host.task.name, say=logger.warning, check=host.listener.check
        )
        self._images = host.node.create_publisher(Image, topic, STATE)
        self._infos = host.node.create_publisher(CameraInfo, f"{camera}/camera_info", STATE)
        self._depths = host.node.create_publisher(Image, f"{camera}/depth/image_raw", STATE) if config.depth else None

    def run(self) -> None:
        """Capture and publish until interrupted. Raises `CameraError` once the camera is dead."""
        try:
            self.camera.open()
            while True:
                self._host.listener.check()
                frame = self.camera.poll(WAIT)
                health = self.camera.health()
                self._host.status(health.level, health.message, **_rounded(health.values))
                if frame is not None:
                    self._publish(frame)
        finally:
            self.camera.close()

    def _publish(self, frame: Frame) -> None:
        stamp = time.time_ns() + round(1e9 * (frame.stamp - time.monotonic()))
        image = image_message(frame.image, self._name, stamp)
        self._images.publish(image)
        height, width, _ = self._config.shape
        self._infos.publish(pinhole_message(self.camera.facts.intrinsics, width, height, image.header))
        if self._depths is not None and frame.depth is not None:
            self._depths.publish(depth_message(frame.depth, image.header))


def depth_message(depth: Depth, header: Header) -> Image:
    """Depth in m (REP 118), in the picture's frame and of its time."""
    message = Image(header=header, height=depth.shape[0], width=depth.shape[1], encoding="32FC1")
    message.step = 4 * depth.shape[1]
    message.data = array.array("B", np.ascontiguousarray(depth).tobytes())
    return message


def pinhole_message(pinhole: Intrinsics | None, width: int, height: int, header: Header) -> CameraInfo:
    """What is known of a camera; a K of zeros says, as ROS has it, that it is not calibrated."""
    info = CameraInfo(header=header, width=width, height=height)
    if pinhole is None:
        return info
    info.distortion_model, info.d = pinhole.model, list(pinhole.coefficients)
    info.k = [pinhole.fx, 0.0, pinhole.cx, 0.0, pinhole.fy, pinhole.cy, 0.0, 0.0, 1.0]
    info.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    info.p = [pinhole.fx, 0.0, pinhole.cx, 0.0, 0.0, pinhole.fy, pinhole.cy, 0.0, 0.0, 0.0, 1.0, 0.0]
    return info


def _rounded(values: Mapping[str, object]) -> dict[str, object]:
    return {key: f"{value:.4g}" if isinstance(value, float) else value for key, value in values.items()}


def make_node(host: Host, camera: str) -> CameraNode | DriverNode:
    """The node of a camera of the run: the cell's own where it is real and so is the clock, else the twin's."""
    cell = host.config.cell
    if cell is None or host.config.robot == "twin" or host.lockstep:
        return CameraNode(host, camera)
    need_cameras(cell, [camera])
    return DriverNode(host, camera, cell.cameras[camera])


def main(run: Path, ros_args: list[str], camera: str, actor: str = FIRST) -> None:
    """Run the node until interrupted."""
    with hosting(f"camera_{camera}", run, ros_args, actor=actor) as host:
        node = make_node(host, camera)
        settle_memory()
        node.run()
