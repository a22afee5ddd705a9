"""Actor and learner in one process: the same objects as in the graph, with nothing between them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from robot_rl.actor import ends_block
from robot_rl.agents import Policy, policy_from_bytes
from robot_rl.config import LearnerConfig
from robot_rl.data.journal import Journal
from robot_rl.data.transition import Transition
from robot_rl.learner import Learner

Metrics = dict[str, Any]


class LocalLink:
    """`ExperienceSink` and `WeightSource` of an actor whose learner works in a thread beside it.

    Each step goes to the journal first. A block of updates starts when its last step is there, and is done when
    the weights it makes are due, one block later. lockstep: wait for weights that are due; else never.
    """

    def __init__(
        self,
        learner: Learner,
        journal: Journal,
        config: LearnerConfig,
        *,
        lockstep: bool = True,
        after_block: Callable[[Learner, Metrics], None] = lambda learner, metrics: None,
    ) -> None:
        self._learner, self._journal, self._config, self._lockstep = learner, journal, config, lockstep
        self._after_block = after_block
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="learner")
        self._running: Future[None] | None = None
        self._waiting: list[Transition] = []
        self._policies = {learner.version: self._policy()}
        self._catch_up()

    @property
    def next_sequence(self) -> int:
        """Steps in the journal so far."""
        return self._journal.next_sequence

    def send(self, transition: Transition) -> None:
        """Journal a step, and start a block of updates when one is due and the learner is free."""
        self._journal.append(transition)
        self._waiting.append(transition)
        if self._turn():
            self._finish()
            self._learner.receive(self._waiting)
            self._waiting = []
            if self._learner.ready():
                self._running = self._thread.submit(self._learn)

    def get(self, version: int) -> tuple[Policy, int]:
        """The policy of `version`; in real time, and after a resume, the newest there is."""
        if self._lockstep and version not in self._policies:
            self._finish()
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
            self._finish()
            self._learner.receive(self._waiting)
            self._waiting = []
            self._learn()
        finally:
            self._thread.shutdown()
            self._journal.close()

    def _catch_up(self) -> None:
        """After a resume: give the learner what the journal holds beyond its checkpoint."""
        first = self._learner.next_sequence("actor0")
        self._learner.receive(self._journal.read(first))
        self._learn()

    def _turn(self) -> bool:
        """Whether to hand over steps now: in lockstep at the end of a block, in real time when the learner is free."""
        if self._lockstep:
            return ends_block(self.next_sequence, self._config)
        return self._running is None or self._running.done()

    def _finish(self) -> None:
        if self._running is not None:
            self._running.result()
            self._running = None

    def _learn(self) -> None:
        while self._learner.ready():
            metrics = self._learner.update_block()
            self._policies[self._learner.version] = self._policy()
            self._after_block(self._learner, metrics)

    def _policy(self) -> Policy:
        return policy_from_bytes(self._learner.policy_bytes())[0]
