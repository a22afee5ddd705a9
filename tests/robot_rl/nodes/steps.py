"""What tests of the arm node share."""

import time

from controllers.interface import Pose, PoseTarget


def moved(reading, offset):
    pose = reading.arm.pose
    return PoseTarget(Pose(pose.position + offset, pose.quaternion), reading.tick)


def wait_until(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
