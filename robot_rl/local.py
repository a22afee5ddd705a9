"""Actor and learner in one process: the same objects as in the graph, with nothing between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any

from robot_rl.actor import ends_block, version_due
from robot_rl.agents import Policy, policy_from_bytes
from robot_rl.config import LearnerConfig
from robot_rl.data.journal import Journal, JournalReader
from robot_rl.data.label import Label, Record
from robot_rl.exceptions import DataError
from robot_rl.learner import Learner

CHUNK = 256
"""Records that are read from the journal at once."""

Metrics = dict[str, Any]
AfterBlock = Callable[[Learner, Metrics], None]


def catch_up(
    learner: Learner,
    journals: Mapping[str, JournalReader],
    after_block: AfterBlock,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Give the learner what each actor's journal has more than it, and do all blocks that are due, until `stop()`."""
    while not stop():
        behind = {name: journal for name, journal in journals.items() if _lacks(learner, name, journal)}
        for name, journal in behind.items():
            learner.receive(islice(journal.records(learner.next_sequence(name)), CHUNK))
        if learner.ready():
            after_block(learner, learner.update_block())
        elif not behind:
            return


def _lacks(learner: Learner, actor: str, journal: JournalReader) -> bool:
    """Whether the journal has more. DataError: it has less than was learnt from."""
    wanted = learner.next_sequence(actor)
    if wanted > journal.next_sequence:
        raise DataError(
            f"{wanted} records of {journal.folder} were learnt from, and it holds {journal.next_sequence}; "
            "restore the journal from a copy, or begin a new run"
        )
    return wanted < journal.next_sequence


class LocalLink:
    """Between actors and the learner, which works in a thread beside them.

    Each step goes to its actor's journal first. A block of updates starts when its last step is there, and is done when
    the weights it makes are due, one block later. lockstep: wait for weights that are due; else never.
    """

    def __init__(
        self,
        learner: Learner,
        journals: Mapping[str, Journal],
        config: LearnerConfig,
        *,
        lockstep: bool = True,
        after_block: AfterBlock = lambda learner, metrics: None,
    ) -> None:
        self._learner, self._config, self._lockstep = learner, config, lockstep
        self._journals = dict(journals)
        self._after_block = after_block
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="learner")
        self._policies = {learner.version: self._policy()}
        self._running: Future[None] = self._thread.submit(self._catch_up)
        if lockstep:
            self._running.result()

    @property
    def steps(self) -> int:
        """Transitions in the journals so far."""
        return sum(journal.steps for journal in self._journals.values())

    @property
    def version(self) -> int:
        """Of the learner's newest weights."""
        return self._learner.version

    def port(self, actor: str) -> Port:
        """What the actor of that name sends to and gets from."""
        return Port(self, self._journals[actor], self._config)

    def send(self, record: Record) -> None:
        """Journal a record, and start a block of updates when one is due and the learner is free.

        What a learner at work has no room for, it reads from the journal afterwards.
        """
        self._journals[record.actor].append(record)
        if self._lockstep and not isinstance(record, Label) and ends_block(self.steps, self._config):
            self._running.result()
        taken = self._learner.receive([record])
        if self._running.done():
            self._running.result()  # raises what the learner raised
            if not taken:
                self._running = self._thread.submit(self._catch_up)
            elif self._learner.ready():
                self._running = self._thread.submit(self._learn)

    def get(self, version: int) -> tuple[Policy, int]:
        """The policy of `version`; in real time, and after a resume, the newest there is."""
        if self._lockstep and version not in self._policies:
            self._running.result()
        known = list(self._policies)  # at once: the learner's thread adds to it
        if not self._lockstep or version not in known:
            version = max(known)
        for old in known:
            if old < version:
                del self._policies[old]
        return self._policies[version], version

    def close(self) -> None:
        """Learn from everything that was sent, then stop."""
        try:
            self._running.result()
            self._catch_up()
        finally:
            self._thread.shutdown()
            for journal in self._journals.values():
                journal.close()

    def _learn(self) -> None:
        while self._learner.ready():
            self._tell(self._learner, self._learner.update_block())

    def _catch_up(self) -> None:
        catch_up(self._learner, self._journals, self._tell)

    def _tell(self, learner: Learner, metrics: Metrics) -> None:
        self._policies[learner.version] = self._policy()
        self._after_block(learner, metrics)

    def _policy(self) -> Policy:
        return policy_from_bytes(self._learner.policy_bytes())[0]


class Port:
    """`ExperienceSink` and `WeightSource` of one of a link's actors."""

    def __init__(self, link: LocalLink, journal: Journal, config: LearnerConfig) -> None:
        self._link, self._journal, self._config = link, journal, config

    @property
    def steps(self) -> int:
        """Transitions in the actor's journal so far."""
        return self._journal.steps

    @property
    def next_sequence(self) -> int:
        """Records in the actor's journal so far."""
        return self._journal.next_sequence

    def send(self, record: Record) -> None:
        """As `LocalLink.send`."""
        self._link.send(record)

    def get(self, version: int) -> tuple[Policy, int]:
        """As `LocalLink.get`, of the version due at the steps of all actors together; of one, that is `version`."""
        return self._link.get(version_due(self._link.steps, self._config))
