import threading
from dataclasses import dataclass, field

import numpy as np
import pytest

from robot_rl.actor import Actor
from robot_rl.metrics import MetricsFollower, MetricsWriter
from robot_rl.operator import Answer, OperatorState
from robot_rl.person import GONE, NoDevice, Person, watched
from tests.robot_rl.desk import Desk
from tests.robot_rl.test_actor import CONFIG, Sink, Weights, env  # noqa: F401 -- a fixture


@dataclass
class Said:
    engaged: bool = False
    action: np.ndarray = field(default_factory=lambda: np.full(3, 0.5, np.float32))
    commands: tuple = ()
    gone: bool = False


class Hands:
    """Says, at the n-th step that is made, what `at` has for it; commands are said once."""

    def __init__(self, sink, at):
        self.sink, self.at = sink, at

    def read(self):
        said = self.at.get(self.sink.steps, Said())
        if said.commands:
            self.at[self.sink.steps] = Said(said.engaged, said.action, (), said.gone)
        return said


def act(env, steps, at):  # noqa: F811
    sink, told, shown = Sink(), [], []
    person = Person(Hands(sink, at), tell=told.append, shown=shown.append)
    Actor(env, Weights(env), sink, CONFIG, seed=7, intervener=person, operator=person).run(steps)
    return sink.sent, told, shown


@pytest.mark.parametrize("first, last", [(0, 0), (0, 3), (4, 4), (4, 8), (9, 9)])
def test_exactly_the_steps_of_a_takeover_are_marked_and_executed_as_the_person_acts(env, first, last):  # noqa: F811
    dim = env.action_dim
    push = np.full(dim, 0.25, np.float32)
    sent, told, _ = act(env, 10, {step: Said(True, push) for step in range(first, last + 1)})
    assert [step.sequence for step in sent if step.intervened] == list(range(first, last + 1))
    for step in sent:
        if step.intervened:
            np.testing.assert_array_equal(step.action, push)
            assert not np.array_equal(step.policy_action, push)
        else:
            np.testing.assert_array_equal(step.action, step.policy_action)
    assert told == []


def test_a_device_that_vanishes_while_it_acts_holds_tells_and_hands_back(env):  # noqa: F811
    push = np.full(env.action_dim, 0.25, np.float32)
    at = {2: Said(True, push), 3: Said(True, push), **{step: Said(True, push, gone=True) for step in range(4, 7)}}
    sent, told, _ = act(env, 10, at)
    assert [step.intervened for step in sent[:8]] == [False, False, True, True, True, False, False, False]
    np.testing.assert_array_equal(sent[4].action, 0 * push)
    assert told == [GONE]


def test_a_device_that_vanishes_at_rest_is_told_of_and_moves_nothing(env):  # noqa: F811
    sent, told, _ = act(env, 6, {step: Said(gone=True) for step in range(2, 9)})
    assert not any(step.intervened for step in sent)
    assert len(told) == 1 and "is gone; the policy goes on" in told[0]


def test_buttons_are_commands_and_what_became_of_them_is_told(env):  # noqa: F811
    sink, told, shown = Sink(), [], []
    desk = Desk()
    hands = Hands(sink, {3: Said(commands=("reset",))})
    person = Person(hands, tell=told.append, shown=shown.append, others=desk)
    Actor(env, Weights(env), sink, CONFIG, seed=7, intervener=person, operator=person).run(8)
    assert sink.sent[3].truncated and sink.sent[4].step == 0
    assert told == ["episode 0 begins anew"]
    assert shown[-1].running and shown[-1].episode == 1 and desk.state == shown[-1]


def test_what_another_thread_hands_over_is_taken_too(env):  # noqa: F811
    sink, told, desk = Sink(), [], Desk()
    person = Person(Hands(sink, {0: Said(commands=("reset",))}), tell=told.append, others=desk)
    heard = []
    thread = threading.Thread(target=lambda: heard.append(desk.ask("stop", 20.0)))
    thread.start()
    Actor(env, Weights(env), sink, CONFIG, seed=7, intervener=person, operator=person).run(10_000)
    thread.join()
    assert sink.steps < 10_000
    assert (
        "no episode" in told[0]
        and told[1] == heard[0].text == "it ends now; what was made is kept, and can go on later"
    )


def test_without_a_device_nobody_acts_and_others_are_still_heard(env):  # noqa: F811
    sink, desk = Sink(), Desk()
    person = Person(NoDevice(), tell=lambda text: None, others=desk)
    desk.put("reset")
    Actor(env, Weights(env), sink, CONFIG, seed=7, intervener=person, operator=person).run(3)
    assert not any(step.intervened for step in sink.sent) and desk.state.running


def test_the_runs_metrics_tell_of_pauses_and_of_what_was_said(tmp_path):
    with MetricsWriter(tmp_path / "metrics.jsonl") as metrics:
        person = watched(NoDevice(), metrics)
        for state in (OperatorState(0, running=True), OperatorState(0, paused=True), OperatorState(0, paused=True)):
            person.show(state)
        person.answer(Answer(True, "paused: the arm holds until resume"))
        person.show(OperatorState(0, stopping=True))
    records = MetricsFollower(tmp_path / "metrics.jsonl").read()
    told = [(record["kind"], record.get("paused"), record.get("stopping"), record["text"]) for record in records]
    assert told == [
        ("operator", True, False, "paused"),
        ("notice", None, None, "paused: the arm holds until resume"),
        ("operator", False, True, "stopping"),
    ]


def test_a_person_acts_at_the_rate_of_the_task(env):  # noqa: F811
    waits = []
    sink = Sink()
    person = Person(NoDevice(), tell=lambda text: None, period=0.5, rest=waits.append)
    Actor(env, Weights(env), sink, CONFIG, seed=7, intervener=person, operator=person).run(5)
    assert len(waits) == 4 and all(0.3 * step < wait <= 0.5 * step for step, wait in enumerate(waits, 1))
