"""The deadman of a person at a teleoperation device, as the arm node hears it."""

from __future__ import annotations

import time

from std_msgs.msg import Bool

from controllers.arms.ros import ENABLE_TOPIC
from controllers.arms.ros_io import TARGET, Listener

FRESH = 0.15
"""Age, s of the wall clock, up to which a held deadman counts: it is a person's hand, whatever the robot's clock."""


class Deadman:
    """Whether somebody holds it: `teleop/enable` (std_msgs/Bool) was true within `FRESH`, from one publisher alone."""

    def __init__(self, listener: Listener) -> None:
        self._feed = listener.subscribe(Bool, ENABLE_TOPIC, TARGET)
        self._until = 0.0
        self.contested = False

    def collect(self) -> None:
        """Take what has arrived; a false counts at once."""
        while (message := self._feed.take()) is not None:
            self._until = time.monotonic() + FRESH if message.data and not self.contested else 0.0

    def look_for_rivals(self) -> bool:
        """With two publishers nobody holds it, until one is gone."""
        self.contested = self._feed.contested
        return self.contested

    def release(self) -> None:
        """Until the next message nobody holds it."""
        self._until = 0.0

    @property
    def held(self) -> bool:
        """Whether it is held now."""
        return time.monotonic() < self._until
