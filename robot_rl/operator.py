"""The operator: a person who says how an episode went, and lets the run wait or end.

Commands come from wherever the person is (a device's buttons, the terminal's keys, a ROS service) through an
`Operator`; the actor carries them out between two steps and answers each.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

Command = Literal["success", "failure", "discard", "undo", "pause", "resume", "reset", "stop"]
COMMANDS: tuple[Command, ...] = get_args(Command)

MEANINGS: dict[Command, str] = {
    "success": "the episode succeeded: it ends",
    "failure": "the episode failed: it ends",
    "discard": "the episode ends, and is not learnt from",
    "undo": "the last episode that ended is not learnt from; again: the one before",
    "pause": "the arm holds, and the policy waits",
    "resume": "begin a new episode after a pause",
    "reset": "begin the episode anew, without a judgement",
    "stop": "end the run; --resume goes on",
}
"""What each does, for whoever shows them to a person."""


@dataclass(frozen=True)
class Answer:
    """Whether a command was carried out, and in a sentence what was done, or why nothing was."""

    done: bool
    text: str


@dataclass(frozen=True)
class OperatorState:
    """What an operator sees of the actor. intervened: share of the steps so far that a person acted in.

    running: an episode is; between two, and in a pause, none is. episode: the running one, or the last.
    """

    episode: int = 0
    running: bool = False
    paused: bool = False
    stopping: bool = False
    intervened: float = 0.0


class Operator(Protocol):
    """Where an actor hears of commands. Called in the actor's thread, between two steps; nothing here waits."""

    def take(self) -> list[Command]:
        """What was asked since the last call, in the order in which it was asked."""

    def answer(self, answer: Answer) -> None:
        """What became of the commands last taken: one answer for each, in their order."""

    def show(self, state: OperatorState) -> None:
        """How things are now; called when they have changed."""


class Nobody:
    """Asks for nothing."""

    def take(self) -> list[Command]:
        """Nothing."""
        return []

    def answer(self, answer: Answer) -> None:
        """Nobody asked."""

    def show(self, state: OperatorState) -> None:
        """Nobody looks."""


class _Asked:
    """A command on its way, and the answer once there is one."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self.answer: Answer | None = None
        self.done = threading.Event()


class Desk:
    """An `Operator` that any thread may hand commands to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[_Asked] = deque()
        self._taken: deque[_Asked] = deque()
        self.state = OperatorState()

    def put(self, command: Command) -> None:
        """Hand a command over, without waiting for what becomes of it."""
        with self._lock:
            self._waiting.append(_Asked(command))

    def ask(self, command: Command, timeout: float) -> Answer | None:
        """Hand a command over and wait for its answer; None where none came within `timeout` s: it still counts."""
        asked = _Asked(command)
        with self._lock:
            self._waiting.append(asked)
        asked.done.wait(timeout)
        return asked.answer

    def take(self) -> list[Command]:
        """As `Operator.take`."""
        with self._lock:
            new = list(self._waiting)
            self._waiting.clear()
            self._taken.extend(new)
        return [asked.command for asked in new]

    def answer(self, answer: Answer) -> None:
        """As `Operator.answer`."""
        with self._lock:
            asked = self._taken.popleft()
        asked.answer = answer
        asked.done.set()

    def show(self, state: OperatorState) -> None:
        """As `Operator.show`."""
        self.state = state
