"""A gamepad over Linux's event devices, as the kernel names its axes and buttons.

Left stick: forward and left. Right stick: turn about z and y. Triggers: up (right) and down (left). Cross: turn about
x.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from robot_rl.exceptions import DeviceGone
from robot_rl.teleop.device import DeviceState, at_rest

KEY, ABSOLUTE = 1, 3
"""Event types EV_KEY and EV_ABS."""
DROPPED = (0, 3)
"""SYN_DROPPED: the kernel had to throw events away."""
STICKS = {0: (1, -1.0), 1: (0, -1.0), 3: (5, -1.0), 4: (4, -1.0), 16: (3, 1.0)}
"""Axis and sign of ABS_X, ABS_Y, ABS_RX, ABS_RY, ABS_HAT0X: a stick's y grows towards the person."""
DOWN, UP = 2, 5
"""ABS_Z and ABS_RZ: the left and the right trigger."""
BUTTONS = {
    0x130: "south", 0x131: "east", 0x133: "north", 0x134: "west", 0x136: "left_shoulder", 0x137: "right_shoulder",
    0x13A: "select", 0x13B: "start", 0x13C: "mode", 0x13D: "left_stick", 0x13E: "right_stick",
}  # fmt: skip
"""Codes of BTN_SOUTH and so on, by the place on the pad."""
SWAPPED = {"north": "west", "west": "north"}
"""The kernel's driver of Xbox pads names these two by their letters, X and Y, which lie the other way round there."""
XPAD = "xpad"
GAMEPAD = 0x130
PLUG = "plug it in, or add yourself to the group input (docs/teleop.md)"


class Events(Protocol):
    """What of `evdev.InputDevice` is used."""

    def read(self) -> Iterable[Any]: ...

    def close(self) -> None: ...


class Gamepad:
    """The first gamepad that is plugged in."""

    name = "gamepad"

    def __init__(
        self, events: Events | None = None, ranges: Mapping[int, tuple[int, int]] | None = None, driver: str = ""
    ) -> None:
        """events, ranges: an open device, and its axes' least and greatest values; unless given one is looked for.

        driver: the kernel's, of an open device.

        Raises `DeviceGone`: there is none.
        """
        found = open_pad() if events is None else (events, dict(ranges or {}), driver)
        self._events, self._ranges, driver = found
        self._names = {code: SWAPPED.get(name, name) if driver == XPAD else name for code, name in BUTTONS.items()}
        self._values: dict[int, float] = {}
        self._held: set[str] = set()

    def read(self) -> DeviceState:
        """As `Device.read`."""
        pressed: list[str] = []
        try:
            for event in self._events.read():
                if event.type == ABSOLUTE:
                    self._values[event.code] = self._share(event.code, event.value)
                elif (event.type, event.code) == DROPPED:
                    self._values.clear()  # what was let go meanwhile is unknown:
                    self._held.clear()  # nothing is held until it is pressed again
                elif event.type == KEY and event.code in BUTTONS:
                    pressed += self._turn(self._names[event.code], event.value)
        except BlockingIOError:
            pass  # nothing has happened since
        except OSError as error:
            raise DeviceGone(f"the gamepad is gone ({error}); {PLUG}.") from error
        return DeviceState(self._axes(), frozenset(self._held), tuple(pressed))

    def close(self) -> None:
        """Let go of it."""
        self._events.close()

    def _turn(self, button: str, value: int) -> list[str]:
        """value: 1 pressed, 0 let go, 2 repeated."""
        if value == 0:
            self._held.discard(button)
            return []
        self._held.add(button)
        return [button] if value == 1 else []

    def _share(self, code: int, value: int) -> float:
        """-1 to 1 for a stick, 0 to 1 for a trigger."""
        least, greatest = self._ranges.get(code, (-32768, 32767))
        part = (value - least) / max(1, greatest - least)
        return part if code in (DOWN, UP) else 2 * part - 1

    def _axes(self) -> np.ndarray:
        axes = at_rest()
        for code, (axis, sign) in STICKS.items():
            axes[axis] = sign * self._values.get(code, 0.0)
        axes[2] = self._values.get(UP, 0.0) - self._values.get(DOWN, 0.0)
        return np.clip(axes, -1, 1)


def open_pad() -> tuple[Events, dict[int, tuple[int, int]], str]:
    """The first gamepad there is, the ranges of its axes, and its driver in the kernel. Raises `DeviceGone`."""
    try:
        import evdev
    except ImportError as error:
        raise DeviceGone(f"no gamepad without evdev ({error}); pip install 'robot_rl[teleop]'.") from error
    device: Any
    for path in evdev.list_devices():
        device = evdev.InputDevice(path)
        capabilities = device.capabilities()
        if GAMEPAD in capabilities.get(KEY, ()):
            ranges = {code: (info.min, info.max) for code, info in capabilities.get(ABSOLUTE, ())}
            return device, ranges, driver_of(Path(path))
        device.close()
    raise DeviceGone(f"there is no gamepad that may be read; {PLUG}.")


def driver_of(device: Path, classes: Path = Path("/sys/class/input")) -> str:
    """Name of the kernel's driver of an event device, empty where that is not told."""
    driver = classes / device.name / "device" / "device" / "driver"
    return driver.resolve().name if driver.exists() else ""
