"""A terminal's keys as a device. A terminal tells of presses alone, never of a release.

A key that is held repeats itself after a pause of the system's (about half a second) and then some 30 times a second.
So a key counts as down for `TAP` s after a press, and from its first repetition on for `HELD` s after each.
"""

from __future__ import annotations

import os
import re
import select
import time
from collections.abc import Callable
from contextlib import ExitStack

import numpy as np

from robot_rl.exceptions import DeviceGone
from robot_rl.operator import Command
from robot_rl.teleop.device import DeviceState, at_rest
from robot_rl.terminal import single_keys

MOTION = {
    "w": (0, 1.0), "s": (0, -1.0), "a": (1, 1.0), "d": (1, -1.0), "r": (2, 1.0), "f": (2, -1.0),
    "u": (3, 1.0), "o": (3, -1.0), "i": (4, 1.0), "k": (4, -1.0), "j": (5, 1.0), "l": (5, -1.0),
}  # fmt: skip
"""Axis and direction of a key: w s forward and back, a d left and right, r f up and down; u o, i k, j l turns."""
OPERATOR: dict[str, Command] = {
    "1": "success", "2": "failure", "3": "discard", "4": "undo", "5": "pause", "6": "resume", "7": "reset", "0": "stop",
}  # fmt: skip
"""What an operator says with which key."""
GRIP, ENGAGE = "space", "tab"
NAMES = {" ": GRIP, "\t": ENGAGE}
SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.)")
"""What an arrow, Delete or a function key sends: digits in it are no digits that somebody typed."""
UNFINISHED = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|O)?$")
TAP, HELD, REPEATS = 0.15, 0.12, 0.7
"""s: a press; a repetition; and how long after a press another one of the same key is a repetition."""


class Keyboard:
    """Keys of the terminal, or of a pipe from one, at `descriptor`. motion: False: an operator's alone."""

    name = "keyboard"

    def __init__(
        self, descriptor: int = 0, *, motion: bool = True, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._descriptor, self._motion, self._clock = descriptor, motion, clock
        self._down: dict[str, float] = {}  # until when
        self._last: dict[str, float] = {}
        self._unfinished = ""
        self._stack = ExitStack()
        self._stack.enter_context(single_keys(descriptor))

    def read(self) -> DeviceState:
        """As `Device.read`. The terminal is gone where it has ended."""
        pressed = [NAMES.get(key, key) for key in self._typed()]
        now = self._clock()
        fresh = []
        for key in pressed:
            repeated = now - self._last.get(key, -np.inf) < REPEATS
            self._last[key] = now
            self._down[key] = now + (HELD if repeated else TAP)
            if not repeated:
                fresh.append(key)
        held = frozenset(key for key, until in self._down.items() if now < until)
        axes = at_rest()
        if self._motion:
            for key in held & MOTION.keys():
                axis, direction = MOTION[key]
                axes[axis] += direction
        return DeviceState(axes, held, tuple(fresh))

    def close(self) -> None:
        """Put the terminal back."""
        self._stack.close()

    def _typed(self) -> str:
        """What has been typed since. Escape sequences of other keys are left out."""
        typed = b""
        while select.select([self._descriptor], [], [], 0)[0]:
            part = os.read(self._descriptor, 1024)
            if not part:
                raise DeviceGone("the terminal has ended, so there are no keys any more; resume the run in another.")
            typed += part
        text = self._unfinished + typed.decode(errors="ignore")
        text = SEQUENCE.sub("", text)
        tail = UNFINISHED.search(text)
        self._unfinished = tail.group() if tail and typed else ""
        return UNFINISHED.sub("", text)
