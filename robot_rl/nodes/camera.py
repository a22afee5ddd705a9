"""The camera node of the twin: renders one camera from the arm node's state, in a process of its own."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from sensor_msgs.msg import CameraInfo, Image, JointState

from controllers.arms.ros_io import SENSOR, STATE, nanoseconds
from controllers.arms.ros_messages import STATE_TOPIC, camera_info, image_message
from controllers.twin import TwinCell
from robot_rl.exceptions import ConfigError
from robot_rl.nodes.base import hosting, settle_memory

RATE = 30.0
"""Images a second in real time; in lockstep every tick has one."""


def main(run: Path, ros_args: list[str], camera: str) -> None:
    """Render the newest state, under its stamp, until interrupted."""
    with hosting(f"camera_{camera}", run, ros_args) as host:
        spec = next((spec for spec in host.task.cameras if spec.name == camera), None)
        if spec is None:
            names = ", ".join(known.name for known in host.task.cameras)
            raise ConfigError(f"task {host.task.name} has no camera {camera!r}; it has {names}")
        twin = TwinCell(host.task, randomise=False)
        opening = float(np.deg2rad(twin.model.camera(camera).fovy[0]))
        feed = host.listener.subscribe(JointState, STATE_TOPIC, STATE if host.lockstep else SENSOR)
        images = host.node.create_publisher(Image, f"{camera}/image_raw", STATE)
        infos = host.node.create_publisher(CameraInfo, f"{camera}/camera_info", STATE)
        settle_memory()
        stamp, message = -1, None
        while True:
            host.listener.wait([feed], 1.0)
            began, state = time.monotonic(), feed.newest()
            if state is None:
                continue
            if nanoseconds(state.header.stamp) != stamp or message is None:
                stamp = nanoseconds(state.header.stamp)
                twin.set_state_vector(np.array(state.position))
                message = image_message(twin.render(spec), camera, stamp)
            images.publish(message)
            infos.publish(camera_info(camera, spec.width, spec.height, opening, stamp))
            host.status("ok", "rendering", stamp=stamp / 1e9)
            if not host.lockstep:
                host.listener.sleep(began + 1.0 / RATE - time.monotonic())
