"""The driver that a configuration names, loaded only when it is asked for: each needs another library."""

from __future__ import annotations

from controllers.cameras.base import Camera
from controllers.cameras.config import CameraConfig

RESET_AFTER = 2
"""Failures in a row after which a new process does not help, and a RealSense is reset."""


def make_driver(name: str, config: CameraConfig, task: str = "", failures: int = 0) -> Camera:
    """The camera `name` in this process, not yet open; `SupervisedCamera` runs it where it can be killed.

    task: whose scene driver `twin` renders. failures: starts in a row that failed just before, for a driver that can
    do more for its camera than open it once again.
    """
    if config.driver == "realsense":
        from controllers.cameras.realsense import RealSenseCamera

        return RealSenseCamera(name, config, reset=failures >= RESET_AFTER)
    if config.driver == "uvc":
        from controllers.cameras.uvc import UvcCamera

        return UvcCamera(name, config)
    if config.driver == "ros":
        from controllers.cameras.ros import RosCamera

        return RosCamera(name, config)
    from controllers.cameras.twin import TwinCamera

    return TwinCamera(name, config, task)
