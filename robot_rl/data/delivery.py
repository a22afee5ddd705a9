"""Exactly-once delivery from an actor's journal to the learner: go-back-N, without ROS and without a clock.

The learner answers every message with the sequence that it wants next from that actor. The actor sends from
there, a window ahead, and goes back when an answer or its absence says so. Nothing else is remembered: an
actor that restarts has its journal, a learner that restarts has its checkpoint, and both meet at the answer.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Protocol

from robot_rl.data.codec import NotJoined, decode, peek
from robot_rl.data.journal import JournalReader
from robot_rl.data.schema import Schema
from robot_rl.data.transition import Transition
from robot_rl.exceptions import DataError


class Receiver(Protocol):
    """Who takes transitions in and counts them: the learner."""

    def next_sequence(self, actor: str) -> int:
        """The sequence wanted next from `actor`."""

    def receive(self, transitions: Iterable[Transition]) -> int:
        """Take the transitions that are next in sequence."""


class Outbox:
    """The actor's side. Appending to the journal is all the actor does; it never waits for the learner.

    window: messages that may be on their way. timeout: s without progress until sending goes back; an idle
    outbox repeats its last message as often, so that a learner that came back with less asks for the rest.
    `due` and `acknowledge` may be called from different threads.
    """

    def __init__(self, journal: JournalReader, window: int = 64, timeout: float = 1.0) -> None:
        self._journal, self._window, self._timeout = journal, window, timeout
        self._lock = threading.Lock()
        self._acknowledged = 0
        self._sent = 0
        self._answered = False
        self._rewound = True
        self._progress: float | None = None

    @property
    def pending(self) -> int:
        """Records in the journal that the learner has not acknowledged."""
        return self._journal.next_sequence - self._acknowledged

    def acknowledge(self, next_sequence: int, now: float) -> None:
        """The learner wants `next_sequence` next. now: s, of any monotonic clock.

        Raises `DataError` where the learner has more than the journal: one of them is of another run.
        """
        if not 0 <= next_sequence <= self._journal.next_sequence:
            raise DataError(
                f"the learner wants record {next_sequence} of {self._journal.folder}, which ends before "
                f"{self._journal.next_sequence}; give both sides the same run"
            )
        with self._lock:
            if next_sequence != self._acknowledged or not self._answered:
                self._progress = now
            if next_sequence < self._acknowledged or next_sequence > self._sent or not self._answered:
                self._go_to(next_sequence)
            self._acknowledged, self._answered = next_sequence, True

    def due(self, now: float) -> list[bytes]:
        """The messages to send now, in order. Before the learner's first answer: one, to ask for it."""
        with self._lock:
            end = self._journal.next_sequence
            if self._progress is None:
                self._progress = now
            elif now - self._progress >= self._timeout:
                self._go_to(min(self._acknowledged, max(end - 1, 0)))
                self._progress = now
            stop = min(end, self._acknowledged + (self._window if self._answered else 1))
            messages = []
            while self._sent < stop:
                messages.append(self._journal.message(self._sent, whole=self._rewound))
                self._sent, self._rewound = self._sent + 1, False
            return messages

    def _go_to(self, sequence: int) -> None:
        """Send from `sequence` on; the learner may lack the record before it, so the first goes whole."""
        self._sent, self._rewound = sequence, True


class Inbox:
    """The learner's side: messages in, acknowledgements out. Which record comes next, the receiver knows."""

    def __init__(self, schema: Schema, receiver: Receiver) -> None:
        self._schema, self._receiver = schema, receiver
        self._last: dict[str, Transition] = {}

    def accept(self, message: bytes) -> tuple[str, int]:
        """Hand the message's transition on if it is the next one; (actor, sequence wanted next) to answer.

        Raises `DataError` for a damaged or foreign message, which changes nothing and has no answer.
        """
        actor, sequence = peek(message, self._schema)
        if sequence == self._receiver.next_sequence(actor):
            try:
                transition = decode(message, self._schema, self._last.get(actor))
            except NotJoined:  # sent before we restarted; it comes again, whole
                return actor, sequence
            self._receiver.receive([transition])
            self._last[actor] = transition
        return actor, self._receiver.next_sequence(actor)
