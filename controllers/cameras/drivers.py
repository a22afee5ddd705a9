"""The driver that a configuration names, loaded only when it is asked for: each needs another library."""

from __future__ import annotations

from controllers.cameras.base import Camera
from controllers.cameras.config import CameraConfig


def make_driver(name: str, config: CameraConfig, task: str = "") -> Camera:
    """The camera `name` in this process, not yet open; `SupervisedCamera` runs it where it can be killed.

    task: whose scene driver `twin` renders.
    """
    if config.driver == "realsense":
        from controllers.cameras.realsense import RealSenseCamera

        return RealSenseCamera(name, config)
    if config.driver == "uvc":
        from controllers.cameras.uvc import UvcCamera

        return UvcCamera(name, config)
    if config.driver == "ros":
        from controllers.cameras.ros import RosCamera

        return RosCamera(name, config)
    from controllers.cameras.twin import TwinCamera

    return TwinCamera(name, config, task)
