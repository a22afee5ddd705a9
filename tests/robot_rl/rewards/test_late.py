import dataclasses
import threading

import numpy as np
import pytest

from controllers.interface import Reading
from robot_rl.data.label import LATE, Label, Labels
from robot_rl.data.replay import Replay
from robot_rl.envs.robot_env import LateStep
from robot_rl.operator import NoOperator
from robot_rl.oversight import Oversight
from robot_rl.rewards.base import Late, RewardResult
from robot_rl.rewards.late import NOTHING, Beside
from tests.robot_rl.data.replay.truth import ACTIONS, SPEC, World
from tests.robot_rl.desk import Desk
from tests.robot_rl.learning import transition
from tests.robot_rl.rewards.test_compose import READING
from tests.robot_rl.test_oversight import Journal


class Slow:
    """Says that the task is done at the ticks that are asked for, once it may."""

    source = "slow"

    def __init__(self, *successes):
        self.successes, self.may, self.asked = successes, threading.Event(), []

    def __call__(self, reading: Reading):
        self.asked.append(reading.tick)
        assert self.may.wait(5)
        return RewardResult(1.0, reading.tick in self.successes)


def at(tick):
    return dataclasses.replace(READING, tick=tick)


def until_done(beside):
    beside._asked[1].exception()


def test_a_slow_reward_is_asked_beside_and_answers_about_the_moment_it_saw():
    model = Slow(7)
    beside = Beside(model)
    assert beside(at(7)) == NOTHING
    assert beside(at(8)) == NOTHING  # it still thinks, and is not asked again
    model.may.set()
    until_done(beside)
    assert beside(at(9)).late == (Late(7, RewardResult(1.0, True)),)
    until_done(beside)
    assert beside(at(10)).late == (Late(9, RewardResult(1.0, False)),)
    assert model.asked[:2] == [7, 9]


def test_what_goes_wrong_in_it_comes_out():
    def broken(reading):
        raise ValueError("no eyes")

    broken.source = "broken"
    beside = Beside(broken)
    beside(at(0))
    until_done(beside)
    with pytest.raises(ValueError, match="no eyes"):
        beside(at(1))


@pytest.fixture
def journal():
    return Journal()


def made(oversight, journal, step, late=(), **changes):
    said = [LateStep(*one) for one in late]
    one = oversight.look(transition(journal.next_sequence, step=step, reward=0.0, **changes), late=said)
    journal.send(one)
    return one, oversight.sent(one)


def test_a_late_success_ends_the_episode_at_its_step_and_what_followed_is_not_learnt_from(journal):
    oversight = Oversight(NoOperator(), journal, "actor0")
    oversight.begin(0, "episode")
    for step in range(4):
        made(oversight, journal, step)
    one, total = made(oversight, journal, 4, [(0, 0.0, False), (2, 1.0, True), (3, 1.0, True)])
    assert one.truncated and not one.terminated and total == 1.0
    assert oversight.success(False) is True
    said = [(label.step, label.kind, label.value) for label in journal.of(True)]
    wanted = [(0, "reward", 0.0), (2, "reward", 1.0), (2, "success", 1.0), (3, "discard", 1.0), (4, "discard", 1.0)]
    assert said == wanted and {label.source for label in journal.of(True)} == {LATE}
    oversight.begin(1, "next")
    assert not oversight.success(False)


def test_an_answer_about_the_very_step_counts_once(journal):
    oversight = Oversight(NoOperator(), journal, "actor0")
    oversight.begin(0, "episode")
    one, total = made(oversight, journal, 0, [(0, 1.0, True)], episode="episode")
    assert one.truncated and total == 1.0
    assert [label.kind for label in journal.of(True)] == ["reward", "success"]


def test_a_late_answer_about_the_episode_before_belongs_to_it(journal):
    oversight = Oversight(NoOperator(), journal, "actor0")
    oversight.begin(0, "first")
    for step in range(3):
        made(oversight, journal, step, episode="first", truncated=step == 2)
    oversight.begin(1, "second")
    one, total = made(oversight, journal, 0, [(1, 1.0, True, True)], episode="second")
    assert not one.truncated and total == 0.0 and not oversight.success(False)
    said = [(label.episode, label.step, label.kind, label.value) for label in journal.of(True)]
    assert said == [("first", 1, "reward", 1.0), ("first", 1, "success", 1.0), ("first", 2, "discard", 1.0)]


class Saying(Desk):
    """An operator who says so when asked the first time after `at` steps."""

    def __init__(self, journal, at, command):
        super().__init__()
        self.journal, self.at, self.command = journal, at, command

    def take(self):
        if self.command and len(self.journal.of(False)) == self.at:
            self.put(self.command)
            self.command = None
        return super().take()


def judged(journal):
    labels = Labels()
    for label in journal.of(True):
        labels.add(label)
    return labels


def test_a_person_who_judged_the_episode_knows_better_than_a_late_answer(journal):
    oversight = Oversight(Saying(journal, 2, "failure"), journal, "actor0")
    oversight.begin(0, "episode")
    for step in range(2):
        made(oversight, journal, step, episode="episode")
    one, _ = made(oversight, journal, 2, [(1, 1.0, True)], episode="episode")
    assert one.terminated and not oversight.success(None)
    labels = judged(journal)
    assert labels.reward("episode", 1, 0.5) == 0.5 and not labels.discarded("episode", 2)
    oversight.begin(1, "next")
    made(oversight, journal, 0, [(1, 1.0, True, True)], episode="next")
    assert not judged(journal).ends("episode", 1)


def test_a_person_may_take_a_late_success_back(journal):
    oversight = Oversight(Saying(journal, 4, "failure"), journal, "actor0")
    oversight.begin(0, "episode")
    for step in range(3):
        made(oversight, journal, step, episode="episode")
    made(oversight, journal, 3, [(1, 1.0, True)], episode="episode")
    oversight.between()
    labels = judged(journal)
    assert labels.reward("episode", 1, 0.5) == 0.0 and not labels.ends("episode", 1)
    assert not labels.discarded("episode", 3) and labels.discarded("episode", 2)


def test_a_success_of_a_step_is_the_end_of_its_value_until_it_is_taken_back():
    world, replay = World(), Replay(SPEC, ACTIONS, 20, n_step=3)
    steps = [world.step("a", "go on") for _ in range(5)]
    for step in steps:
        replay.add(step)

    def label(number, kind, step, value=1.0):
        replay.label(Label("a", number, 0.0, steps[0].episode, step, LATE, number, kind, value))

    label(100, "success", 2)
    for number in (3, 4):
        label(100 + number, "discard", number)
    held = replay.gather(np.arange(len(replay)))
    assert held.terminated.tolist() == [1, 1, 1]  # sums of rewards end there, too
    assert replay.gather(np.arange(1)).next_observation["pose"][0, 0] == steps[2].next_observation["pose"][0]
    label(110, "undo", 2, 0.0)
    assert not replay.gather(np.arange(3)).terminated.any()


def test_only_a_label_of_the_step_itself_ends_it():
    labels = Labels()
    labels.add(Label("a", 0, 0.0, "e", -1, "human", 0, "success", 1.0))
    assert labels.success("e", 3, False) and not labels.ends("e", 3)
    labels.add(Label("a", 1, 0.0, "e", 3, LATE, 1, "success", 1.0))
    assert labels.ends("e", 3)
    labels.add(Label("a", 2, 0.0, "e", 3, "human", 2, "success", 0.0))  # a person knows better
    assert not labels.ends("e", 3)
