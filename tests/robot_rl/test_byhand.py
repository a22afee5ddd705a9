"""Demonstrations by a person, who is a script here."""

import dataclasses
import functools

import numpy as np
import pytest

from robot_rl.byhand import Recording, make_set, record_by_hand
from robot_rl.data.demos import Demonstrations
from robot_rl.data.journal import Journal, read_journal
from robot_rl.data.label import Label
from robot_rl.envs import make
from robot_rl.person import Person
from robot_rl.resets.base import Outcome
from tests.robot_rl.test_person import Said


@pytest.fixture
def env():
    env = make("reach")
    yield env
    env.close()


class Hands:
    """Reaches the goal in every episode, as the task's expert does, but for what `say` has for an episode.

    say: by episode, what is said at which step: a command, or "wait", or "fail" (to move away until the time is up).
    """

    def __init__(self, env, recording, say=()):
        self.env, self.recording, self.say = env, recording, dict(say)
        self.expert = env.task.expert(env.task)
        self.episode, self.step, self.waits = -1, 0, 0
        self._reset = env._reset
        env._reset = functools.partial(self.reset)
        env._reset.outcome = Outcome()
        self.looks = 0

    def reset(self, cell, seed):
        self.episode, self.step = self.episode + 1, 0
        self.expert.reset(np.random.default_rng(self.episode))
        return self._reset(cell, seed)

    def read(self):
        if self.episode < 0:
            return Said()
        plan = self.say.get(self.episode, {})
        said = plan.pop(self.step, None)
        if said == "wait":
            plan[self.step] = "waited"
            return Said()
        if said == "waited":
            self.waits += 1
            if self.waits < 5:
                plan[self.step] = "waited"
                return Said()
        commands = (said,) if said in ("success", "failure", "discard", "undo", "stop", "reset") else ()
        action = np.clip(self.expert.act(self.env.cell.read()), -1, 1).astype(np.float32)
        return Said(True, action, commands)

    def count(self):
        self.step += 1


def record(env, folder, count, say=(), stop=lambda: False):
    told = []
    with Journal(folder, env.schema()) as journal:
        recording = Recording(journal)
        hands = Hands(env, recording, say)
        step = env.step

        def counted(action):
            hands.count()
            return step(action)

        env.step = counted
        person = Person(hands, tell=told.append)
        record.ready = []
        episodes = []
        kept = record_by_hand(
            env, person, recording, count, 3, on_episode=lambda e, n: episodes.append((e.ended_by, e.success, n)),
            on_ready=record.ready.append, stop=stop, rest=lambda s: None,
        )  # fmt: skip
        del env.step
        env._reset = hands._reset
        records = list(recording.shown())
    return kept, episodes, records, told


def test_episodes_that_succeed_are_kept_until_there_are_enough(env, tmp_path):
    kept, episodes, records, _ = record(env, tmp_path / "a", 3)
    assert kept == 3 and [n for _, _, n in episodes] == [1, 2, 3]
    assert all(success for _, success, _ in episodes)
    steps = [step for step in records if not isinstance(step, Label)]
    assert not any(step.intervened for step in steps)
    assert all(np.array_equal(step.action, step.policy_action) for step in steps)
    assert len({step.episode for step in steps}) == 3


def test_what_a_person_discards_or_calls_a_failure_is_not_kept(env, tmp_path):
    say = {0: {2: "discard"}, 1: {2: "failure"}, 2: {2: "success"}, 3: {2: "reset"}}
    kept, episodes, records, told = record(env, tmp_path / "a", 2, say)
    assert [(by, n) for by, _, n in episodes] == [("discard", 0), ("failure", 0), ("success", 1), ("reset", 1), ("", 2)]
    assert kept == 2 and "episode 2 is a success" in told
    names = list(dict.fromkeys(record.episode for record in records))
    raw = list(read_journal(tmp_path / "a"))
    made = list(dict.fromkeys(step.episode for step in raw))
    assert names == [made[2], made[4]] and len(made) == 5


def test_an_undo_takes_the_last_one_back(env, tmp_path):
    kept, episodes, _, _ = record(env, tmp_path / "a", 2, {1: {3: "undo"}})
    assert kept == 2 and len(episodes) == 3


def test_an_episode_begins_with_the_first_motion(env, tmp_path):
    _, _, records, _ = record(env, tmp_path / "a", 1, {0: {0: "wait"}})
    assert records[0].action.any()
    _, _, waited, _ = record(env, tmp_path / "b", 1)
    assert len(waited) == len(records)


def test_the_first_observation_is_of_the_moment_in_which_the_person_begins(env, tmp_path):
    """On a robot time goes on while nobody moves: what was measured before is old."""
    read = env.cell.read

    def later():
        return dataclasses.replace(read(), stamp=read().stamp + 8.0)

    env.cell.read = later
    _, _, records, _ = record(env, tmp_path / "a", 1, {0: {0: "wait"}})
    del env.cell.read
    assert records[0].stamp > 8.0 and env.settle is None


def test_the_last_one_can_be_taken_back_before_a_motion_confirms_that_it_is_enough(env, tmp_path):
    kept, episodes, _, _ = record(env, tmp_path / "a", 2, {2: {0: "undo"}})
    assert [count for _, _, count in episodes] == [1, 2, 2] and kept == 2
    assert record.ready == [False, False, True, True]


def test_a_recording_that_was_ended_goes_on(env, tmp_path):
    kept, *_ = record(env, tmp_path / "a", 3, {1: {2: "stop"}})
    assert kept == 1
    before = len(list(read_journal(tmp_path / "a")))
    kept, episodes, records, _ = record(env, tmp_path / "a", 3)
    assert kept == 3 and len(episodes) == 2
    assert len(list(read_journal(tmp_path / "a"))) > before
    assert len({record.episode for record in records}) == 3


def test_the_set_is_one_that_a_run_can_learn_from(env, tmp_path):
    record(env, tmp_path / "a", 2, {0: {1: "discard"}})
    with Journal(tmp_path / "a", env.schema()) as journal:
        written = make_set(tmp_path / "set", Recording(journal))
    assert written.episodes == 2
    records = list(Demonstrations(tmp_path / "set", env.schema()))
    assert len(records) == written.steps and [record.sequence for record in records] == list(range(written.steps))
