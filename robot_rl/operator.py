"""The operator: a person who says how an episode went, and lets the run wait or end.

Commands come from wherever the person is (a device's buttons, the terminal's keys, a ROS service) through an
`Operator`; the actor carries them out between two steps and answers each.
"""

from __future__ import annotations

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
    "stop": "end now; what was made is kept, and can go on later",
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

    @property
    def text(self) -> str:
        """In a word or two."""
        if self.stopping:
            return "stopping"
        if self.paused:
            return "paused"
        return f"episode {self.episode}" if self.running else "between episodes"


class Operator(Protocol):
    """Where an actor hears of commands. Called in the actor's thread, between two steps; nothing here waits."""

    def take(self) -> list[Command]:
        """What was asked since the last call, in the order in which it was asked."""

    def answer(self, answer: Answer) -> None:
        """What became of the commands last taken: one answer for each, in their order."""

    def show(self, state: OperatorState) -> None:
        """How things are now; called when they have changed."""


class NoOperator:
    """Asks for nothing."""

    def take(self) -> list[Command]:
        """Nothing."""
        return []

    def answer(self, answer: Answer) -> None:
        """Nobody asked."""

    def show(self, state: OperatorState) -> None:
        """Nobody looks."""
