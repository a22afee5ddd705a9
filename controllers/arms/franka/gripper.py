"""The Franka Hand in a process of its own: its calls last as long as the fingers move, and must hold up nobody.

Closing altogether grasps, with force; to any other opening the fingers move. Through franky's hand, where it is
installed, the width is measured while the fingers move; pylibfranka blocks meanwhile, so that the width stands still
until they have arrived.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import Any, Protocol

from controllers.arms.franka.config import FrankaConfig
from controllers.arms.franka.process import Child
from controllers.arms.franka.robot import library_version, reason_of
from controllers.arms.franka.shared import Memory, bytes_of, text_of
from controllers.exceptions import ControllersError
from controllers.interface import GripperState

MODULE = "controllers.arms.franka.gripper"
PATIENCE = 20.0
"""Time for the hand's process to connect, s."""
CHANGE, GAP = 0.001, 0.002
"""m: a smaller change of the target is none; something is grasped when the fingers stand this far before the target."""
CLOSED = 0.005
"""A target below this opening, m, asks to close on whatever is there."""
ANYTHING = 1.0
"""Tolerance of a grasp, m: whatever is between the fingers will do."""
PACE = 0.01
"""Pause between two looks, s."""


class Hand:
    """The cell's side. Raises `ControllersError` where the hand does not connect."""

    def __init__(self, config: FrankaConfig, memory: Memory) -> None:
        self._record: Any = memory.gripper[0]
        self._record["ready"] = self._record["failures"] = 0
        self._record["text"] = b""
        settings = {"address": config.address, "force": config.grip_force, "speed": config.grip_speed}
        self._child = Child(MODULE, memory, json.dumps(settings))
        end = time.monotonic() + PATIENCE
        while not self._record["ready"]:
            if self._record["text"] or not self._child.alive or time.monotonic() > end:
                said = text_of(self._record["text"]) or self._child.how_it_ended()
                self.close()
                if "refused" in said:
                    said = "nobody answers; set gripper to none, or set the hand up in Desk"
                raise ControllersError(f"the hand at {config.address} does not work: {said}.")
            time.sleep(0.01)
        self._record["target"] = self._record["width"]

    def move(self, width: float) -> None:
        """Send the fingers to an opening in m; returns at once."""
        width = min(max(width, 0.0), float(self._record["largest"]))
        if abs(width - self._record["target"]) > CHANGE:
            self._record["target"] = width
            self._record["asked"] += 1

    def state(self) -> GripperState:
        """The newest opening, and whether something is held."""
        width = float(self._record["width"])
        held = bool(self._record["grasped"]) and width - float(self._record["target"]) > GAP
        return GripperState(width, held)

    @property
    def trouble(self) -> str:
        """Why it does not work; empty when it does."""
        if not self._child.alive:
            return f"the hand's process {self._child.how_it_ended()}"
        return text_of(self._record["text"])

    @property
    def pid(self) -> int:
        """Of the hand's process."""
        return self._child.pid

    def close(self) -> None:
        """End the process."""
        if self._child.alive:
            self._child.terminate()
        self._child.end()


class Fingers(Protocol):
    """A connection to the hand."""

    def look(self) -> tuple[float, float, bool]:
        """(opening, largest opening, grasped), m."""

    def go(self, width: float, closing: bool) -> None:
        """Begin to move to an opening, m."""

    def result(self) -> bool | None:
        """Whether the last move succeeded; None while it is under way, and after it was told once."""


class FrankyFingers:
    """Through franky: moves in the background."""

    def __init__(self, address: str, speed: float, force: float) -> None:
        import franky

        self._hand, self._speed, self._force = franky.Gripper(address), speed, force
        self._move: Any = None

    def look(self) -> tuple[float, float, bool]:
        state = self._hand.state
        return state.width, state.max_width, state.is_grasped

    def go(self, width: float, closing: bool) -> None:
        if self._move is not None:
            self._hand.stop()
            self._move.wait(1.0)
        if closing:
            self._move = self._hand.grasp_async(width, self._speed, self._force, ANYTHING, ANYTHING)
        else:
            self._move = self._hand.move_async(width, self._speed)

    def result(self) -> bool | None:
        if self._move is None or not self._move.wait(0.0):
            return None
        done, self._move = self._move.get(), None
        return bool(done)


class PylibfrankaFingers:
    """Through pylibfranka: `go` returns when the fingers have arrived."""

    def __init__(self, address: str, speed: float, force: float) -> None:
        import pylibfranka

        self._hand, self._speed, self._force = pylibfranka.Gripper(address), speed, force
        self._done: bool | None = None

    def look(self) -> tuple[float, float, bool]:
        state = self._hand.read_once()
        return state.width, state.max_width, state.is_grasped

    def go(self, width: float, closing: bool) -> None:
        if closing:
            self._done = self._hand.grasp(width, self._speed, self._force, ANYTHING, ANYTHING)
        else:
            self._done = self._hand.move(width, self._speed)

    def result(self) -> bool | None:
        done, self._done = self._done, None
        return done


def connect(address: str, speed: float, force: float) -> Fingers:
    """The hand through the better of the installed libraries."""
    try:
        library_version("franky")
    except ControllersError:
        return PylibfrankaFingers(address, speed, force)
    return FrankyFingers(address, speed, force)


def serve(fingers: Fingers, record: Any, parent: int) -> None:
    """Follow the cell's targets until it is gone."""
    asked = int(record["asked"])
    while os.getppid() == parent:
        record["width"], record["largest"], record["grasped"] = fingers.look()
        record["stamp"] = time.monotonic()
        record["ready"] = 1
        done = fingers.result()
        if done is not None:
            record["moves"] += 1
            record["failures"] += not done
        if int(record["asked"]) != asked:
            asked, target = int(record["asked"]), float(record["target"])
            fingers.go(target, closing=target < CLOSED)
        time.sleep(PACE)


def main(arguments: list[str]) -> None:
    """Arguments: descriptors of the memory and two bells, which it does not need, and the cell's process id."""
    fd, _, _, parent = (int(argument) for argument in arguments)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    settings = json.loads(sys.stdin.read())
    record: Any = Memory(fd).gripper[0]
    try:
        serve(connect(settings["address"], settings["speed"], settings["force"]), record, parent)
    except Exception as error:  # noqa: BLE001 -- the two libraries' errors share no other base; it is told, not hidden
        record["text"] = bytes_of(reason_of(str(error)))
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
