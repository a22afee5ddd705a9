"""What every device that a person moves an arm with offers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


def at_rest() -> NDArray[np.float32]:
    """Axes that nobody moves."""
    return np.zeros(6, np.float32)


@dataclass(frozen=True)
class DeviceState:
    """How a device is now, and what was pressed since it was read before: no press is lost, however short.

    axes: (6,) in [-1, 1], of a person who looks along the base's x axis: forward, left, up; turns about the same.
    held: buttons that are down now. pressed: each press since the last reading, in order. heard: False where it has not
    said anything yet, as one behind a topic.
    """

    axes: NDArray[np.float32] = field(default_factory=at_rest)
    held: frozenset[str] = frozenset()
    pressed: tuple[str, ...] = ()
    heard: bool = True


class Device(Protocol):
    """A device. `name`: as `--teleop` has it."""

    name: str

    def read(self) -> DeviceState:
        """Its state now; never waits. Raises `DeviceGone` once it is unplugged."""
        ...

    def close(self) -> None:
        """Let go of it."""
