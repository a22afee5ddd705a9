import threading
import time

import pytest

from robot_rl.actors import FIRST
from robot_rl.agents import make_agent
from robot_rl.config import LearnerConfig
from robot_rl.data.journal import Journal, read_journal
from robot_rl.data.label import Label
from robot_rl.data.schema import Schema
from robot_rl.exceptions import DataError
from robot_rl.local import LocalLink
from tests.robot_rl.learning import SMALL, transition

CONFIG = LearnerConfig(start=6, block=3)
SCHEMA = Schema.from_example("reach", transition().observation, ("x", "y"))
POLICY = make_agent("rlpd", SMALL, transition().observation, 2, 0).policy()


class SlowLearner:
    """Counts like the learner; a block lasts until the test lets it end."""

    def __init__(self, version=0, received=0, room=10_000):
        self.version, self.received, self.room = version, received, room
        self.may_end = threading.Semaphore(0)
        self.fails = False

    def next_sequence(self, actor):
        return self.received

    def receive(self, transitions):
        taken = 0
        for step in transitions:
            if step.sequence == self.received < self._due() + self.room:
                self.received += 1
                taken += 1
        return taken

    def _due(self):
        return CONFIG.start + CONFIG.block * self.version

    def ready(self):
        return self.received >= self._due()

    def update_block(self):
        assert self.may_end.acquire(timeout=10)
        if self.fails:
            raise DataError("no good")
        self.version += 1
        return {}

    def policy_bytes(self):
        return POLICY.to_bytes(self.version)


@pytest.fixture
def journal(tmp_path):
    with Journal(tmp_path, SCHEMA, sync=False) as opened:
        yield opened


def send(link, count):
    for sequence in range(link.port(FIRST).next_sequence, link.port(FIRST).next_sequence + count):
        link.send(transition(sequence))


def test_in_lockstep_the_actor_waits_for_the_weights_that_are_due(journal):
    learner = SlowLearner()
    link = LocalLink(learner, {FIRST: journal}, CONFIG)
    send(link, 8)  # block 0 is at work since step 6, and nothing waits for it
    assert link.get(0)[1] == learner.version == 0
    threading.Timer(0.1, learner.may_end.release).start()
    assert link.get(1)[1] == learner.version == 1
    send(link, 1)
    assert link.get(1)[1] == 1  # though block 1 is at work
    learner.may_end.release()
    link.close()
    assert learner.version == 2


def test_labels_in_the_journal_make_no_block_due(journal):
    learner = SlowLearner(room=0)
    for number in range(2):
        journal.append(Label("actor0", number, 0.0, "episode", -1, "human", number, "success", 1.0))
    learner.received = 2
    link = LocalLink(learner, {FIRST: journal}, CONFIG)
    send(link, 5)
    assert (link.steps, link.port(FIRST).next_sequence) == (5, 7)
    assert link.get(0)[1] == learner.version == 0
    learner.may_end.release(3)
    link.close()


def test_a_block_that_ends_early_does_not_change_the_version_that_acts(journal):
    learner = SlowLearner()
    link = LocalLink(learner, {FIRST: journal}, CONFIG)
    learner.may_end.release()
    send(link, 6)
    link._running.result()
    assert learner.version == 1
    assert link.get(0)[1] == 0
    assert link.get(1)[1] == 1
    link.close()


def test_in_real_time_nothing_waits_and_the_newest_acts(journal):
    learner = SlowLearner()
    link = LocalLink(learner, {FIRST: journal}, CONFIG, lockstep=False)
    send(link, 30)
    assert link.get(8)[1] == 0
    assert learner.received == 30
    learner.may_end.release(9)
    link.close()
    assert learner.version == 9


def test_what_a_slow_learner_has_no_room_for_comes_from_the_journal_later(journal):
    learner = SlowLearner(room=4)
    link = LocalLink(learner, {FIRST: journal}, CONFIG, lockstep=False)
    send(link, 30)  # nothing waits
    assert learner.received == 10
    learner.may_end.release(3)
    wait_until(lambda: learner.version == 2)
    send(link, 1)
    learner.may_end.release(30)
    wait_until(lambda: learner.received == 31)
    link.close()
    assert learner.version == 9


def wait_until(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_learner_that_has_had_more_than_the_journal_holds_is_refused(journal):
    for sequence in range(4):
        journal.append(transition(sequence))
    with pytest.raises(DataError, match="7 records of .* were learnt from, and it holds 4"):
        LocalLink(SlowLearner(received=7), {FIRST: journal}, CONFIG)


def test_in_real_time_the_robot_does_not_wait_for_what_is_owed_at_a_resume(journal):
    for sequence in range(14):
        journal.append(transition(sequence))
    learner = SlowLearner(version=1, received=7)
    link = LocalLink(learner, {FIRST: journal}, CONFIG, lockstep=False)
    send(link, 1)
    assert link.get(3)[1] == 1
    learner.may_end.release(30)
    link.close()
    assert (learner.received, learner.version) == (15, 4)


def test_after_a_resume_the_learner_gets_what_the_journal_has_more(journal):
    for sequence in range(14):
        journal.append(transition(sequence))
    learner = SlowLearner(version=1, received=7)
    learner.may_end.release(2)
    link = LocalLink(learner, {FIRST: journal}, CONFIG)
    assert (learner.received, learner.version) == (14, 3)
    assert link.get(2)[1] == 2
    assert link.get(1)[1] == 3  # forgotten: the newest
    link.close()


@pytest.mark.parametrize("lockstep", [True, False])
def test_a_learner_that_fails_ends_the_run_and_the_journal_is_closed(tmp_path, lockstep):
    learner = SlowLearner()
    learner.fails = True
    link = LocalLink(learner, {FIRST: Journal(tmp_path, SCHEMA, sync=False)}, CONFIG, lockstep=lockstep)
    send(link, 6)
    learner.may_end.release()
    with pytest.raises(DataError, match="no good"):
        link.close()
    Journal(tmp_path, SCHEMA).close()  # nobody holds it any more
    assert len(list(read_journal(tmp_path))) == 6
