"""Exactly-once delivery from actors' journals to the learner: go-back-N, without ROS and without a clock.

The learner answers every parcel with the sequence that it wants next from that actor. The actor sends from there, a
window ahead, and goes back when an answer or its absence says so. Nothing else is remembered: an actor that restarts
has its journal, a learner that restarts has its checkpoint, and both meet at the answer. Records count in one
journal of one run; a learner takes from no other under the same name, and says why (`robot_rl.data.register`).
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterable
from typing import Protocol

from robot_rl.data.codec import NotJoined, decode, intact, peek
from robot_rl.data.journal import JournalReader
from robot_rl.data.label import Record
from robot_rl.data.parcel import Answer, Parcel
from robot_rl.data.register import Register
from robot_rl.data.schema import Schema
from robot_rl.data.transition import Transition
from robot_rl.exceptions import DataError, DiskError

LONGEST = 8.0
"""Longest silence, s, between two questions to a learner that does not answer."""


class Receiver(Protocol):
    """Who takes records in and counts them: the learner."""

    @property
    def received(self) -> int:
        """Transitions taken so far, of all actors."""

    @property
    def full(self) -> bool:
        """Whether it takes nothing more for now."""

    def next_sequence(self, actor: str) -> int:
        """The sequence wanted next from `actor`."""

    def durable(self, actor: str) -> int:
        """The sequence up to which a checkpoint has the records of `actor`."""

    def receive(self, records: Iterable[Record]) -> int:
        """Take the records that are next in sequence; returns how many were taken."""


class Outbox:
    """The actor's side. Appending to the journal is all the actor does; it never waits for the learner.

    run, identity: UUIDs of the run and of the journal. window, size: records and bytes that may be on their way.
    timeout: s without progress until sending goes back, twice as long each time that nothing is heard; an outbox that
    has nothing to send asks as often, so that a learner that came back with less gets the rest.
    `due` and `take` may be called from other threads than the one that appends.

    durable: the sequence up to which a checkpoint of the learner has the journal, as it last said.
    """

    def __init__(
        self,
        journal: JournalReader,
        *,
        run: str,
        identity: str,
        actor: str,
        window: int = 64,
        size: int = 4 << 20,
        timeout: float = 1.0,
    ) -> None:
        self._journal, self._run, self._identity, self._actor = journal, run, identity, actor
        self._window, self._size, self._timeout = window, size, timeout
        self._lock = threading.Lock()
        self._acknowledged = self._sent = 0
        self._on_way: deque[int] = deque()  # bytes of each record that is on its way
        self._rewound = True
        self._full = False
        self._heard: float | None = None  # of an answer that brought progress, or else of the last attempt
        self._patience = 0.0
        self._finished = False
        self.answered = False
        self.received = self.durable = 0

    @property
    def pending(self) -> int:
        """Records in the journal that the learner has not acknowledged."""
        return self._journal.next_sequence - self._acknowledged

    @property
    def blocked(self) -> bool:
        """Whether there are records that cannot be sent before an answer comes."""
        with self._lock:
            waiting = not self.answered or self._full or not self._more()
            return waiting and self._sent < self._journal.next_sequence

    def finish(self) -> None:
        """Tell the learner, at once, that nothing more will come, so that it makes a checkpoint of what it has."""
        with self._lock:
            self._finished, self._heard, self._patience = True, None, 0.0

    def take(self, answer: Answer, now: float) -> bool:
        """Take an answer in; False where it is to somebody else, or of another run. now: s, of a monotonic clock.

        Raises `DataError` where it refuses, or wants what the journal does not have.
        """
        if (answer.run, answer.journal, answer.actor) != (self._run, self._identity, self._actor):
            return False
        if answer.refusal:
            raise DataError(answer.refusal)
        if answer.wanted > self._journal.next_sequence:
            raise DataError(
                f"the learner has {answer.wanted} records of '{self._actor}', whose journal ends before "
                f"{self._journal.next_sequence}; bring the whole journal back from a copy, or begin a new run"
            )
        with self._lock:
            if answer.wanted != self._acknowledged or answer.full != self._full or not self.answered:
                self._heard, self._patience = now, self._timeout
            room_again = self._full and not answer.full  # what was on its way meanwhile was not taken
            if answer.wanted < self._acknowledged or answer.wanted > self._sent or room_again or not self.answered:
                self._go_to(answer.wanted)
            while self._sent - len(self._on_way) < answer.wanted:
                self._on_way.popleft()
            self._acknowledged, self.answered = answer.wanted, True
            self._full, self.received, self.durable = answer.full, answer.received, answer.durable
            return True

    def due(self, now: float) -> Parcel | None:
        """What to send now, if anything; ask again until there is nothing."""
        with self._lock:
            if self._heard is None or now - self._heard >= self._patience:
                self._patience = min(max(2 * self._patience, self._timeout), LONGEST)
                self._heard = now
                self._go_to(self._acknowledged)
                if not self.answered or self._full or not self._more():
                    return self._parcel()
            if not self.answered or self._full or not self._more():
                return None
            record = self._journal.message(self._sent, whole=self._rewound)
            self._on_way.append(len(record))
            self._sent, self._rewound = self._sent + 1, False
            return self._parcel(record)

    def _parcel(self, record: bytes = b"") -> Parcel:
        end = self._journal.next_sequence
        return Parcel(self._run, self._identity, self._actor, end, record, self._finished)

    def _more(self) -> bool:
        """Whether there is a record to send, and room for it on the way."""
        room = len(self._on_way) < self._window and sum(self._on_way) < self._size
        return room and self._sent < self._journal.next_sequence

    def _go_to(self, sequence: int) -> None:
        """Send from `sequence` on; the learner may lack the record before it, so the first goes whole."""
        self._sent, self._rewound = sequence, True
        self._on_way.clear()


class _Refused(DataError):
    """Nothing is taken from a sender. reason: in a word, for diagnostics; the text is for the sender."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class Inbox:
    """The learner's side: parcels in, answers out. Which record comes next, the receiver knows.

    run: UUID of the run. refused: how many parcels, by reason; each of them changed nothing else.
    """

    def __init__(self, schema: Schema, receiver: Receiver, register: Register, run: str) -> None:
        self._schema, self._receiver, self._register, self._run = schema, receiver, register, run
        self._last: dict[str, Transition] = {}
        self._known: dict[str, str] = {}
        self._ends: dict[str, int] = {}
        self._finished: set[str] = set()
        self.refused: Counter[str] = Counter()

    def accept(self, data: bytes) -> Answer:
        """Hand the parcel's record on if it is the next one, and answer.

        A sender that has to be mended is told why. Raises `DataError` for what was damaged on its way: nobody is
        answered, and it comes again.
        """
        try:
            parcel = Parcel.from_bytes(data)
            if parcel.record and not intact(parcel.record):
                raise DataError(f"a record of '{parcel.actor}' fails its checksum; refused")
        except DataError:
            self.refused["damaged"] += 1
            raise
        try:
            self._check_sender(parcel)
            if parcel.record:
                self._take(parcel)
        except _Refused as refusal:
            self.refused[refusal.reason] += 1
            return self._answer(parcel.journal, parcel.actor, str(refusal))
        self._known[parcel.actor] = parcel.journal
        self._ends[parcel.actor] = max(parcel.end, self._ends.get(parcel.actor, 0))
        (self._finished.add if parcel.finished else self._finished.discard)(parcel.actor)
        return self._answer(parcel.journal, parcel.actor)

    def answers(self) -> list[Answer]:
        """What to say to every actor that was heard, unasked: that there is room again, for instance."""
        return [self._answer(journal, actor) for actor, journal in list(self._known.items())]

    def behind(self) -> dict[str, int]:
        """Of each actor that was heard, the records that its journal had, as it last said, and the learner has not."""
        ends = list(self._ends.items())
        return {actor: max(0, end - self._receiver.next_sequence(actor)) for actor, end in ends}

    @property
    def owes_checkpoint(self) -> bool:
        """Whether an actor waits until all that it made, which is here, is in a checkpoint."""
        wanted = {actor: self._receiver.next_sequence(actor) for actor in list(self._finished)}
        return any(self._receiver.durable(actor) < self._ends[actor] <= here for actor, here in wanted.items())

    def _take(self, parcel: Parcel) -> None:
        """Hand an intact record of the right journal on, if it is the next one."""
        try:
            actor, sequence = peek(parcel.record, self._schema)
        except DataError as error:
            raise _Refused("schema", str(error)) from error
        if actor != parcel.actor:
            raise _Refused("content", f"'{parcel.actor}' delivers a record of '{actor}'; give each its own journal")
        if self._receiver.full or sequence != self._receiver.next_sequence(actor):
            return
        try:
            record = decode(parcel.record, self._schema, self._last.get(actor))
            self._register.enter(actor, parcel.journal)
            taken = self._receiver.receive([record])
        except NotJoined:  # sent before we restarted; it comes again, whole
            return
        except DiskError:  # our own disk's, no fault of the actor's: it hears nothing and keeps what it has
            raise
        except DataError as error:
            raise _Refused("content", f"the learner cannot take record {sequence} of '{actor}': {error}") from error
        if taken and isinstance(record, Transition):
            self._last[actor] = record

    def _check_sender(self, parcel: Parcel) -> None:
        """Raise `_Refused` where the parcel is not of our run, or not of the journal that its actor delivers from."""
        actor = parcel.actor
        if parcel.run != self._run:
            raise _Refused(
                "run",
                f"the learner is of run {self._run}, and '{actor}' of run {parcel.run}; give both sides the same run, "
                "or each run a ROS_DOMAIN_ID of its own",
            )
        known, wanted = self._register.journal(actor), self._receiver.next_sequence(actor)
        if known is not None and known != parcel.journal:
            raise _Refused(
                "journal",
                f"the learner has {wanted} records of '{actor}' from journal {known}, and this is journal "
                f"{parcel.journal}; bring the other one back from a copy, or begin a new run",
            )

    def _answer(self, journal: str, actor: str, refusal: str = "") -> Answer:
        receiver = self._receiver
        return Answer(
            run=self._run,
            journal=journal,
            actor=actor,
            wanted=receiver.next_sequence(actor),
            full=receiver.full,
            received=receiver.received,
            refusal=refusal,
            durable=receiver.durable(actor),
        )
