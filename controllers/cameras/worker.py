"""`python -m controllers.cameras.worker`: one camera in a process that can be killed. Started by `SupervisedCamera`.

It writes pictures into a `Ring` and one line for each into a pipe:

    facts {"name": ..., "intrinsics": ..., "settings": ...}
    frame 17
    error {"text": "one sentence"}
"""

from __future__ import annotations

import ctypes
import dataclasses
import json
import os
import signal
import sys
from types import TracebackType

from controllers.cameras.base import Camera, Facts
from controllers.cameras.drivers import make_driver
from controllers.cameras.order import Order
from controllers.cameras.ring import Ring
from controllers.exceptions import ControllersError

_PR_SET_PDEATHSIG = 1


class Reports:
    """The pipe to the parent. A line is written whole or, when a slow parent has let it fill up, not at all."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        os.set_blocking(descriptor, False)

    def send(self, kind: str, content: str) -> None:
        """One line."""
        try:
            os.write(self._descriptor, f"{kind} {content}\n".encode())
        except BlockingIOError:
            return  # the parent is behind; the next picture's line will do
        except BrokenPipeError:
            sys.exit(0)  # nobody is left to take pictures for


def capture(camera: Camera, ring: Ring, reports: Reports) -> None:
    """Open the camera and pass its pictures on until it fails or the process is ended."""
    try:
        camera.open()
        reports.send("facts", _facts_text(camera.facts))
        count, missed, last = 0, 0, None
        while True:
            frame = camera.read()
            count += 1
            if last is not None:
                missed += max(frame.sequence - last - 1, 0)
            last = frame.sequence
            ring.write(count, frame, missed)
            reports.send("frame", str(count))
    finally:
        camera.close()


def _facts_text(facts: Facts) -> str:
    return json.dumps(dataclasses.asdict(facts))


def _live_with(parent: int) -> None:
    """Have the kernel kill this process when the thread that started it ends, even while a driver hangs."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(0)


def main() -> None:
    """Exit code 0: told to end. 2: an error that was reported in one sentence. Else a fault of the program."""
    order = Order.read(sys.argv[1])
    _live_with(order.parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C reaches the whole group; the parent decides
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    reports = Reports(order.pipe)

    def unforeseen(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        reports.send("error", json.dumps({"text": f"{kind.__name__}: {error}"}))
        sys.__excepthook__(kind, error, trace)

    sys.excepthook = unforeseen
    try:
        ring = Ring(order.ring, order.config.shape, order.config.depth)
        capture(make_driver(order.name, order.config, order.task, order.failures), ring, reports)
    except ControllersError as error:
        reports.send("error", json.dumps({"text": str(error)}))
        sys.exit(2)


if __name__ == "__main__":
    main()
