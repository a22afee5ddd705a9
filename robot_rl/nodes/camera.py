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
from robot_rl.nodes.base import Host, hosting, settle_memory

RATE = 30.0
"""Images a second in real time; in lockstep every tick has one."""


class CameraNode:
    """Renders one camera of the task with a twin of its own, whose state is the arm's."""

    def __init__(self, host: Host, camera: str) -> None:
        known = {spec.name: spec for spec in host.task.cameras}
        if camera not in known:
            raise ConfigError(f"task {host.task.name} has no camera {camera!r}; it has {', '.join(known)}.")
        self._host, self._spec = host, known[camera]
        self._twin = TwinCell(host.task, randomise=False)
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


def main(run: Path, ros_args: list[str], camera: str) -> None:
    """Run the node until interrupted."""
    with hosting(f"camera_{camera}", run, ros_args) as host:
        node = CameraNode(host, camera)
        settle_memory()
        node.run()
