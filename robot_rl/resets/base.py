"""What every reset is, and what it tells of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from controllers.interface import Cell, Reading


@dataclass(frozen=True)
class Outcome:
    """How the last reset went. failures: why each attempt before the last one failed, in a sentence.

    seconds: of robot time. homed: whether it went by the home joint angles. put_back: whether the twin drew a scene
    that was to stay, because something was lost.
    """

    failures: tuple[str, ...] = ()
    seconds: float = 0.0
    homed: bool = False
    put_back: bool = False


class Reset(Protocol):
    """Brings a cell to the start of the episode drawn by a seed, and returns the first reading.

    Raises `ArmLatched` where a person must recover the arm, `CellTimeout` or `ResetFailed` where it did not get there.
    """

    @property
    def outcome(self) -> Outcome:
        """Of the last call."""

    def __call__(self, cell: Cell, seed: int) -> Reading: ...
