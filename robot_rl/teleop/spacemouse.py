"""A 3Dconnexion SpaceMouse over hidapi.

Reports (3Dconnexion's HID devices; little endian): 1 has x, y, z as int16, and in newer models the three turns behind
them; 2 has the turns where they come alone; 3 has the buttons, a bit each. A full deflection is 350. The device's x is
to the right, y towards the person, z down.
"""

from __future__ import annotations

import importlib
import struct
from typing import Any, Protocol

import numpy as np

from robot_rl.exceptions import DeviceGone
from robot_rl.teleop.device import DeviceState, at_rest

MAKERS = (0x046D, 0x256F)
"""USB vendors: Logitech, which made the first ones, and 3Dconnexion."""
DESKTOP, MULTI_AXIS = 1, 8
"""HID usage page and usage of such a device: a Logitech mouse has another usage."""
FULL = 350.0
SWAPPED = np.array([1, 0, 2, 4, 3, 5])
"""Forward is the device's -y, left its -x, up its -z; turns likewise."""
LENGTH = 13
"""Bytes of the longest report that is read."""
PLUG = "plug it in, and let udev give you its hidraw device (docs/teleop.md)"


class Hid(Protocol):
    """What of `hid.device` is used."""

    def read(self, max_length: int) -> list[int]: ...

    def close(self) -> None: ...


class SpaceMouse:
    """The first SpaceMouse that is plugged in. Buttons are `0`, `1`, ... as the device counts them."""

    name = "spacemouse"

    def __init__(self, hid: Hid | None = None) -> None:
        """hid: an open one that does not block; unless given one is looked for. Raises `DeviceGone`: there is none."""
        self._hid = open_hid() if hid is None else hid
        self._raw = np.zeros(6, np.float32)
        self._held: frozenset[str] = frozenset()

    def read(self) -> DeviceState:
        """As `Device.read`."""
        pressed: list[str] = []
        try:
            while report := self._hid.read(LENGTH):
                pressed += self._take(bytes(report))
        except (OSError, ValueError) as error:
            raise DeviceGone(f"the SpaceMouse is gone ({error}); {PLUG}.") from error
        axes = at_rest()
        axes[:] = np.clip(-self._raw[SWAPPED] / FULL, -1, 1)
        return DeviceState(axes, self._held, tuple(pressed))

    def close(self) -> None:
        """Let another program have it."""
        self._hid.close()

    def _take(self, report: bytes) -> list[str]:
        """Take a report in; the buttons that it says were pressed."""
        kind, body = report[0], report[1:]
        if kind in (1, 2):
            values = struct.unpack(f"<{len(body) // 2}h", body[: len(body) // 2 * 2])[:6]
            first = 3 if kind == 2 else 0
            self._raw[first : first + len(values)] = values[: 6 - first]
        elif kind == 3:
            bits = int.from_bytes(body, "little")
            held = frozenset(str(number) for number in range(8 * len(body)) if bits >> number & 1)
            pressed = sorted(held - self._held, key=int)
            self._held = held
            return pressed
        return []


def open_hid() -> Hid:
    """The first SpaceMouse there is, which then does not block. Raises `DeviceGone`."""
    hid = _library()
    found: list[dict[str, Any]] = [
        info
        for maker in MAKERS
        for info in hid.enumerate(maker)
        if (info["usage_page"], info["usage"]) == (DESKTOP, MULTI_AXIS)
    ]
    if not found:
        raise DeviceGone(f"there is no SpaceMouse; {PLUG}.")
    device = hid.device()
    try:
        device.open_path(found[0]["path"])
        device.set_nonblocking(True)
    except OSError as error:
        raise DeviceGone(f"the SpaceMouse {found[0]['product_string']} does not open ({error}); {PLUG}.") from error
    return device


def _library() -> Any:
    """hidapi, by the kernel's hidraw devices where it has them. Raises `DeviceGone`."""
    for name in ("hidraw", "hid"):
        try:
            return importlib.import_module(name)
        except ImportError as error:
            missing = error
    raise DeviceGone(f"no SpaceMouse without hidapi ({missing}); pip install 'robot_rl[teleop]'.")
