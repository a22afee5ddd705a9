"""What only an emulator at the robot's address can do for a cell: draw its scene, and tell what a simulator knows."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from controllers.exceptions import ControllersError
from controllers.interface import Array

if TYPE_CHECKING:
    from controllers.emulators.control import Control

SERVICE_PORT = 1339
PATIENCE = 0.5
"""How long an address may take to say that it has no service port, s; a robot has none."""


class Emulation:
    """The service port of an emulator. sim: values of `Reading.sim` when they were last fetched."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self.lockstep = control.about["clock"] == "lockstep"
        self.sim: Mapping[str, Array] = {}

    def fetch(self) -> None:
        """Fetch `sim` as it is now; its peak force counts anew."""
        sim = self._control.ask("state", clear_peak=True)["sim"]
        self.sim = {name: np.array(values) for name, values in sim.items()}

    def reset_scene(self, seed: int) -> None:
        """Draw the scene anew."""
        self._control.reset_scene(seed)
        self.fetch()

    def close(self) -> None:
        """Hang up."""
        self._control.close()


def find_emulator(address: str) -> Emulation | None:
    """The emulator at `address`, or None where a robot is."""
    try:
        socket.create_connection((address, SERVICE_PORT), PATIENCE).close()
    except OSError:
        return None
    from controllers.emulators.control import Control

    try:
        return Emulation(Control(address))
    except ControllersError:
        return None
