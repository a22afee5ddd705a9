"""The second of a task's two arms: a cell whose time, scene and latch are the first one's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controllers.interface import Reading
from controllers.twin.arm import TwinArm
from controllers.twin.arm_cell import ArmCell

if TYPE_CHECKING:
    from controllers.twin.cell import TwinCell


class PartnerCell(ArmCell):
    """Has a controller, a filter and an owner of its own, and no cameras: all pictures are in the first arm's readings.

    Its targets arrive at once: a domain's latency is of the first arm's.
    """

    def __init__(self, first: TwinCell, arm: TwinArm) -> None:
        super().__init__(first.world, arm)
        self._first = first

    def wait(self) -> Reading:
        """Advance both arms by `period` of simulated time; this arm's reading."""
        self._first.wait()
        return self.read()

    def reset_scene(self, seed: int) -> None:
        """Draw the scene of both arms anew."""
        self._first.reset_scene(seed)

    def stop(self, reason: str = "stop requested") -> None:
        """Latch both arms: they hold compliantly until the first one's `recover`."""
        if self.controller.state != "latched":
            super().stop(reason)
        self.latch_together()

    def latch_together(self) -> None:
        """Where one of the two has latched, the other latches, too: nobody goes on alone with what both hold."""
        for one, other in ((self, self._first), (self._first, self)):
            latched, on = one.controller, other.controller
            if latched.state == "latched" and on.state != "latched":
                ArmCell.stop(other, f"the other arm latched: {latched.reason}")

    def close(self) -> None:
        """Nothing: the first arm's cell is closed, with the world."""
