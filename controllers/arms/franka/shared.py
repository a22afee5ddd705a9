"""Memory that the cell and its driver process share: what is measured, what is asked, what is counted.

Nobody ever waits for a lock. The measured state lies behind a sequence lock: its one writer counts up before and after,
and a reader takes again what changed under it. Requests go one at a time: the asker fills the record, then raises its
number; the other side answers with the same number. This relies on stores being seen in order, as on x86-64; on other
processors a reader could see a torn state, so they are refused.

The memory has no name (memfd): whatever is killed, the kernel takes it back with the last process that holds it.
"""

from __future__ import annotations

import mmap
import os
import platform
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controllers.exceptions import CellTimeout, ControllersError

JOINTS = 7
BIN, BINS = 10_000, 5000
"""Width of a bin in the histograms of times, ns, and how many: the last holds all that is longer."""

STARTING, CONTROLLING, IDLE, LOST = range(4)
"""Phases of the driver: before the first motion, in control at 1 kHz, connected without a motion, not connected."""
PHASES = ("starting", "controlling", "no motion", "no connection")

STATE = np.dtype(
    [
        *((name, "i8") for name in ("safety", "phase", "mode", "cycles", "robot_time")),
        *((name, "f8") for name in ("stamp", "told", "success_rate")),
        *((name, "f8", (JOINTS,)) for name in ("q", "dq", "tau")),
        *((name, "f8", (3,)) for name in ("position", "reference_position")),
        *((name, "f8", (4,)) for name in ("quaternion", "reference_quaternion")),
        *((name, "f8", (6,)) for name in ("twist", "wrench")),
        ("reason", "S256"),
    ],
    align=True,
)
"""As `ArmState`, the wrench before taring. stamp: arrival on the monotonic clock, s; robot_time: its own, ms.

told: when the driver wrote this, on the monotonic clock, s: it lives, even where the robot says nothing.
"""

OPTIONAL = {"twist": 6, "stiffness": 6, "damping": 6, "clip": 12, "posture": JOINTS}
"""Parts of a pose target that may be absent, and their sizes."""
REQUEST = np.dtype(
    [
        *((name, "i8") for name in ("number", "kind", "count", "sequence", "enabled")),
        *((f"has_{name}", "i8") for name in OPTIONAL),
        *(("position", "f8", (3,)), ("quaternion", "f8", (4,))),
        *((name, "f8", (size,)) for name, size in OPTIONAL.items()),
        *(("frame", "S32"), ("text", "S256")),
    ],
    align=True,
)
"""A request, `kind` one of `KINDS`; the pose target's fields as in `PoseTarget`. text: an owner or a reason."""
KINDS = ("start", "acquire", "submit", "stop", "recover", "advance", "end")
START, ACQUIRE, SUBMIT, STOP, RECOVER, ADVANCE, END = range(len(KINDS))

ANSWER = np.dtype([("number", "i8"), ("status", "i8"), ("text", "S512")], align=True)
DONE, REJECTED, IS_LATCHED, REFUSED = range(4)
"""Statuses of an answer: `CommandRejected`, `ArmLatched` and other errors carry their sentence in `text`."""

COUNTERS = np.dtype(
    [
        *((name, "i8") for name in ("cycles", "missed", "longest_gap", "longest_period", "longest_duration")),
        ("least_success", "f8"),
        *((name, "i8", (BINS,)) for name in ("period", "duration")),
        *(("rules", "S4096"), ("scheduling", "S512")),
    ],
    align=True,
)
"""Of the 1 kHz loop: periods and durations in bins of `BIN` ns, longest in ns, gaps in ms. rules: JSON of what the
filter clamped and refused. scheduling: what the system did not allow, empty when all is as asked."""

GRIPPER = np.dtype(
    [
        *((name, "i8") for name in ("ready", "moves", "grasped", "asked", "failures")),
        *((name, "f8") for name in ("width", "largest", "target", "stamp")),
        ("text", "S256"),
    ],
    align=True,
)
"""The hand: width, largest and target in m; asked: number of the newest target; text: why it failed."""

PARTS = (("lock", np.dtype("i8")), ("state", STATE), ("request", REQUEST), ("answer", ANSWER), ("counters", COUNTERS))


def text_of(value: bytes) -> str:
    """Text from a field of bytes, however it was cut."""
    return value.decode(errors="replace")


def bytes_of(text: str, size: int = 255) -> bytes:
    """Text as a field of bytes."""
    return text.encode()[:size]


class Memory:
    """One block shared by the cell and its processes. fd: pass it to a child, which attaches by it."""

    def __init__(self, fd: int | None = None) -> None:
        if platform.machine() != "x86_64":
            raise ControllersError(f"the Franka driver needs an x86-64 processor, but this is {platform.machine()}.")
        layout = [*PARTS, ("gripper_lock", np.dtype("i8")), ("gripper", GRIPPER)]
        whole = np.dtype(layout, align=True)
        self.fd = os.memfd_create("franka") if fd is None else fd
        if fd is None:
            os.ftruncate(self.fd, whole.itemsize)
        self._map = mmap.mmap(self.fd, whole.itemsize)
        block: Any = np.frombuffer(self._map, whole)
        self.state = Sequenced(block["lock"], block["state"])
        self.request: NDArray[Any] = block["request"]
        self.answer: NDArray[Any] = block["answer"]
        self.counters: NDArray[Any] = block["counters"]
        self.gripper: NDArray[Any] = block["gripper"]

    def forget_requests(self) -> None:
        """For a new driver, before it starts: what the last one left unanswered is not its to do."""
        self.request["number"] = self.answer["number"] = 0

    def close(self) -> None:
        """Give the descriptor back; the memory lives as long as somebody maps it."""
        os.close(self.fd)


class Sequenced:
    """A record behind a sequence lock: one writer, any number of readers, none ever waits for the other."""

    def __init__(self, lock: NDArray[np.int64], record: NDArray[Any]) -> None:
        self._lock, self._record = lock, record
        self._bytes = record.view(np.uint8)

    def write(self, value: NDArray[Any]) -> None:
        """Put `value`, an array (1,) of the record's type, in place; the writer alone calls this."""
        self._lock[0] += 1
        self._bytes[:] = value.view(np.uint8)
        self._lock[0] += 1

    def read(self, patience: float = 1.0) -> Any:
        """A consistent copy of the record. Raises `CellTimeout` when its writer died, or hangs, halfway."""
        end = time.monotonic() + patience
        while True:
            before = int(self._lock[0])
            if before % 2 == 0:
                copy = self._record[0].copy()
                if int(self._lock[0]) == before:
                    return copy
            if time.monotonic() > end:
                raise CellTimeout("the driver process ended while it wrote its state: recover the arm.")
            time.sleep(20e-6)

    def peek(self, name: str) -> float:
        """One number of the record as it is now, without waiting for its writer: numbers are written whole."""
        return float(self._record[name][0])

    def repair(self) -> None:
        """For a new writer, after the last one died: its half-written state will be overwritten."""
        self._lock[0] = 2 * ((int(self._lock[0]) + 1) // 2)  # the same from two threads at once
