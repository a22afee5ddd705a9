"""What can be made to go wrong between a client and the emulated robot."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from controllers.exceptions import ControllersError

KINDS = ("drop", "delay", "reorder", "reflex", "disconnect", "stop", "release", "clear")
"""Faults by service. drop: `share` of the commands, or the next `count`. delay: by `cycles`. reorder: `share` arrive
after their successor. reflex: the error `name`. disconnect: close the connections. stop, release: the person's stop.
clear: no more drop, delay, reorder."""


@dataclass
class Link:
    """Commands on their way. The same seed and the same calls lose the same ones.

    drop, reorder: shares from 0 to 1. burst: how many of the next to lose. delay: in cycles.
    """

    seed: int = 0
    drop: float = 0.0
    burst: int = 0
    delay: int = 0
    reorder: float = 0.0
    _late: deque[np.void | None] = field(default_factory=deque)
    _kept: np.void | None = None

    def __post_init__(self) -> None:
        self._random = np.random.default_rng(self.seed)
        self._check()

    def set(self, **values: float) -> None:
        """Change some of drop, burst, delay, reorder. Raises `ControllersError` for an impossible value."""
        old = {name: getattr(self, name) for name in values}
        vars(self).update(values)
        try:
            self._check()
        except ControllersError:
            vars(self).update(old)
            raise

    def _check(self) -> None:
        for name in ("drop", "reorder"):
            value = getattr(self, name)
            if not 0.0 <= value <= 1.0:
                raise ControllersError(f"the share of commands to {name} is {value}: give a number from 0 to 1")
        if self.delay < 0 or self.burst < 0:
            raise ControllersError(
                f"a delay of {self.delay} cycles or a burst of {self.burst} commands: give 0 or more"
            )

    def carry(self, command: np.void | None) -> np.void | None:
        """What arrives in this cycle when `command` (None: nothing) was sent."""
        if command is not None and self.burst > 0:
            self.burst -= 1
            command = None
        if command is not None and self.drop > 0.0 and self._random.random() < self.drop:
            command = None
        if self.reorder > 0.0 or self._kept is not None:
            command = self._swap(command)
        if self.delay == 0 and not self._late:
            return command
        self._late.append(command)
        while len(self._late) > self.delay + 1:
            self._late.popleft()
        return self._late.popleft() if len(self._late) > self.delay else None

    def _swap(self, command: np.void | None) -> np.void | None:
        """Now and then a command waits for its successor, which overtakes it: the robot keeps the newer."""
        if self._kept is not None:
            newest = command if command is not None else self._kept
            self._kept = None
            return newest
        if command is not None and self._random.random() < self.reorder:
            self._kept = command
            return None
        return command
