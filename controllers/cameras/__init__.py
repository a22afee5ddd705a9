"""Cameras: RealSense, UVC, the twin's, and any ROS image topic behind one interface (docs/cameras.md)."""

from controllers.cameras.base import Camera, Facts, Frame, Intrinsics
from controllers.cameras.config import CameraConfig
from controllers.cameras.watchdog import SupervisedCamera

__all__ = ["Camera", "CameraConfig", "Facts", "Frame", "Intrinsics", "SupervisedCamera"]
