"""Single keys from a terminal, for jogging: one press is one small step, so a lost key-up cannot run away."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from robot_rl.exceptions import CommissionError
from robot_rl.teleop.keyboard import MOTION
from robot_rl.terminal import single_keys
from tasks.spec import AXES

KEYS = {key: (AXES[axis], direction) for key, (axis, direction) in MOTION.items()}
"""Axis of the base and direction of a key."""
STEP = (0.002, 0.02)
"""One press, m or rad."""
STOP, END = " ", "q"
HELP = "w s x, a d y, r f z, u o rx, i k ry, j l rz; space stops, q ends"


class Keyboard:
    """Reads the terminal's keys; `keyboard()` makes one."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def key(self, timeout: float = 0.0) -> str:
        """The next key, or an empty text after `timeout` s. Escape sequences of other keys are swallowed.

        Of what has piled up while the arm moved, the stop comes first, then the end; the rest is dropped after one key.
        A terminal that is gone says `q`.
        """
        if not select.select([self._descriptor], [], [], timeout)[0]:
            return ""
        typed = os.read(self._descriptor, 4096).decode(errors="ignore")
        return next((key for key in (STOP, END) if key in typed), typed[:1]) if typed else END


@contextmanager
def keyboard() -> Iterator[Keyboard]:
    """Keys one by one, without Enter and without echo; the terminal is put back at the end.

    Raises `CommissionError` where standard input is no terminal.
    """
    if not sys.stdin.isatty():
        raise CommissionError("standard input is no terminal, so keys cannot be read; script the motion with --jog.")
    with single_keys(sys.stdin.fileno()):
        yield Keyboard(sys.stdin.fileno())
