"""An operator for tests: any thread may hand commands to it, and hears the answer to its own."""

import threading
from collections import deque

from robot_rl.operator import OperatorState


class _Asked:
    """A command on its way, and the answer once there is one."""

    def __init__(self, command):
        self.command = command
        self.answer = None
        self.done = threading.Event()


class Desk:
    """An `Operator` that any thread may hand commands to."""

    def __init__(self):
        self._lock = threading.Lock()
        self._waiting = deque()
        self._taken = deque()
        self.state = OperatorState()

    def put(self, command):
        """Hand a command over, without waiting for what becomes of it."""
        with self._lock:
            self._waiting.append(_Asked(command))

    def ask(self, command, timeout):
        """Hand a command over and wait for its answer; None where none came within `timeout` s: it still counts."""
        asked = _Asked(command)
        with self._lock:
            self._waiting.append(asked)
        asked.done.wait(timeout)
        return asked.answer

    def take(self):
        """As `Operator.take`."""
        with self._lock:
            new = list(self._waiting)
            self._waiting.clear()
            self._taken.extend(new)
        return [asked.command for asked in new]

    def answer(self, answer):
        """As `Operator.answer`."""
        with self._lock:
            asked = self._taken.popleft()
        asked.answer = answer
        asked.done.set()

    def show(self, state):
        """As `Operator.show`."""
        self.state = state
