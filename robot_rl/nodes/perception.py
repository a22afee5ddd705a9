"""The perception node: looks at every camera's pictures once, for all that act, learn and judge.

`<camera>/features` answers `<camera>/image_raw`, under the picture's own header. In lockstep all cameras of a tick are
one call of the backbone, so an actor that waits for its tick's features never misses one; in real time the newest
pictures are looked at, at most `PACE` times a control period.
"""

from __future__ import annotations

import time
from pathlib import Path

from sensor_msgs.msg import Image

from controllers.arms.ros_io import SENSOR, STATE, nanoseconds
from controllers.arms.ros_messages import features_message, image_from
from robot_rl.actors import FIRST
from robot_rl.cells import open_perception
from robot_rl.exceptions import ConfigError
from robot_rl.nodes.base import Host, hosting, settle_memory
from robot_rl.perception import Encoder

PACE = 2
"""In real time the backbone runs at most this often in a control period: cameras are faster than a policy."""


class PerceptionNode:
    """Publishes the features of the task's cameras."""

    def __init__(self, host: Host, perception: Encoder) -> None:
        cameras = [camera.name for camera in host.task.cameras]
        qos = STATE if host.lockstep else SENSOR
        self._host, self._perception = host, perception
        self._feeds = {name: host.listener.subscribe(Image, f"{name}/image_raw", qos) for name in cameras}
        self._out = {name: host.node.create_publisher(Image, f"{name}/features", STATE) for name in cameras}
        self._pictures: dict[str, Image] = {}
        self._seen: dict[str, Image] = {}

    def run(self) -> None:
        """Look at what arrives until interrupted."""
        while True:
            self._host.listener.wait(list(self._feeds.values()), 1.0)
            began, new = time.monotonic(), self._drain()
            if self._host.lockstep:
                self._look_at_tick(new)
            elif new:
                self._look(new)
                self._host.listener.sleep(began + self._host.task.period / PACE - time.monotonic())

    def _drain(self) -> list[str]:
        """Cameras with a picture that was not there before."""
        newest = {name: feed.newest() for name, feed in self._feeds.items()}
        arrived = {name: picture for name, picture in newest.items() if picture is not None}
        self._pictures |= arrived
        return list(arrived)

    def _look_at_tick(self, new: list[str]) -> None:
        """All cameras at once where they stand at one stamp; pictures said again are answered again, unlooked at."""
        stamps = {name: _stamp(picture) for name, picture in self._pictures.items()}
        if not new or len(stamps) < len(self._feeds) or len(set(stamps.values())) > 1:
            return
        if {name: _stamp(features) for name, features in self._seen.items()} == stamps:
            self._publish(new)
        else:
            self._look(list(self._feeds))

    def _look(self, cameras: list[str]) -> None:
        """The crops are drawn by the tick, as they are in one process."""
        began = time.monotonic()
        pictures = {name: self._pictures[name] for name in cameras}
        stamp = max(_stamp(picture) for picture in pictures.values())
        tick = round(stamp / round(1e9 * self._host.task.period))
        features = self._perception.encode({name: image_from(picture) for name, picture in pictures.items()}, tick)
        for name, maps in features.items():
            self._seen[name] = features_message(maps, pictures[name].header)
        self._publish(cameras)
        took = f"{1e3 * (time.monotonic() - began):.1f}"
        self._host.status("ok", "looking", stamp=stamp / 1e9, milliseconds=took)

    def _publish(self, cameras: list[str]) -> None:
        for name in cameras:
            self._out[name].publish(self._seen[name])


def _stamp(message: Image) -> int:
    return nanoseconds(message.header.stamp)


def main(run: Path, ros_args: list[str], actor: str = FIRST) -> None:
    """Run the node until interrupted. Raises `ConfigError` where the run's backbone cannot be had."""
    with hosting("perception", run, ros_args, actor=actor) as host:
        perception = open_perception(host.config)
        if perception is None:
            raise ConfigError(f"the run observes {host.config.obs}, so it has no perception node; use --obs features.")
        node = PerceptionNode(host, perception)
        settle_memory()
        node.run()
