"""A loop in a thread of its own beside a node's main thread."""

from __future__ import annotations

import threading
from collections.abc import Callable

from robot_rl.exceptions import RobotRLError
from robot_rl.nodes.base import Host


class Worker:
    """Calls `turn` again and again until it is closed; a turn waits a short while at most.

    An error that a person has to mend is kept for `check`; any other fault ends the process, as a service's does.
    """

    def __init__(self, host: Host, name: str, turn: Callable[[], None]) -> None:
        self._host, self._turn = host, turn
        self._error: RobotRLError | None = None
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise the `RobotRLError` that ended the loop, if one did."""
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """End the loop after this turn."""
        self._closed.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._closed.is_set():
                self._turn()
        except RobotRLError as error:
            self._error = error
        except Exception as error:
            self._host.fault = error
            self._host.listener.interrupted.set()
            raise
