"""What an operator's commands do to episodes, first alone, then through an actor over a real environment."""

import pytest

from robot_rl.actor import Actor
from robot_rl.data.label import EPISODE, FAULT, HUMAN, Label, Labels
from robot_rl.oversight import Oversight
from tests.robot_rl.desk import Desk
from tests.robot_rl.test_actor import CONFIG, Weights, env  # noqa: F401 -- a fixture


class Journal:
    """Steps and labels in the order in which they came."""

    def __init__(self):
        self.sent = []

    @property
    def steps(self):
        return len(self.of(False))

    @property
    def next_sequence(self):
        return len(self.sent)

    def send(self, record):
        assert record.sequence == self.next_sequence
        self.sent.append(record)

    def of(self, labels):
        return [record for record in self.sent if isinstance(record, Label) == labels]


class Script(Desk):
    """Asks for a command when so many steps are in the journal; keeps the answers and what it was shown."""

    def __init__(self, journal, **commands):
        super().__init__()
        self.journal, self.commands = journal, {int(at[2:]): list(said) for at, said in commands.items()}
        self.answers, self.shown = [], []

    def take(self):
        for command in self.commands.pop(self.journal.steps, []):
            self.put(command)
        return super().take()

    def answer(self, answer):
        self.answers.append(answer)
        super().answer(answer)

    def show(self, state):
        self.shown.append(state)
        super().show(state)


def act(env, steps, penalise=False, rest=lambda s: None, **commands):  # noqa: F811
    journal = Journal()
    script = Script(journal, **commands)
    episodes = []
    actor = Actor(
        env, Weights(env), journal, CONFIG, seed=7, operator=script, penalise=penalise, rest=rest or script.rest
    )
    actor.run(steps, on_episode=episodes.append)
    return journal, script, episodes


@pytest.mark.parametrize(
    "command, penalise, terminated, reward, success",
    [
        ("success", False, True, 1.0, 1.0),
        ("failure", False, True, 0.0, 0.0),
        ("success", True, True, 0.0, 1.0),
        ("failure", True, False, -1.0, 0.0),
    ],
)
def test_a_judgement_ends_the_episode_at_the_step_it_was_given(env, command, penalise, terminated, reward, success):  # noqa: F811
    journal, script, episodes = act(env, 8, penalise, at3=[command])
    last = journal.of(False)[3]  # what is said while the fourth step is made is said of it
    assert (last.step, last.terminated, last.truncated) == (3, terminated, not terminated)
    assert journal.of(False)[4].step == 0
    labels = Labels()
    for label in journal.of(True):
        assert (label.source, label.step, label.episode) == (HUMAN, 3, last.episode)
        labels.add(label)
    assert len(journal.of(True)) == 2
    assert labels.reward(last.episode, 3, 0.5) == reward
    assert labels.success(last.episode, 3, not success) == success
    assert labels.reward(last.episode, 2, 0.5) == 0.5
    assert script.answers[0].done and f"episode 0 is a {command}" in script.answers[0].text
    assert (episodes[0].success, episodes[0].ended_by) == (bool(success), command)
    assert episodes[0].total == sum(step.reward for step in journal.of(False)[:3]) + reward


def test_the_records_of_an_episode_that_is_discarded_stay(env):  # noqa: F811
    journal, _, episodes = act(env, 8, at3=["discard"])
    (label,) = journal.of(True)
    assert (label.kind, label.step, label.value) == ("discard", EPISODE, 1.0)
    assert [step.episode for step in journal.of(False)[:4]] == [label.episode] * 4
    assert journal.of(False)[3].truncated and episodes[0].ended_by == "discard"


def test_each_undo_takes_the_episode_before_back(env):  # noqa: F811
    journal, script, _ = act(env, 9, at2=["reset"], at4=["reset"], at6=["undo", "undo", "undo"])
    steps = journal.of(False)
    first, second = steps[0].episode, steps[3].episode
    assert first != second
    assert [(label.kind, label.episode) for label in journal.of(True)] == [("discard", second), ("discard", first)]
    assert [answer.done for answer in script.answers] == [True, True, True, True, False]
    assert "left to take back" in script.answers[-1].text


def test_what_is_said_between_two_episodes_is_of_the_one_that_ended(env):  # noqa: F811
    journal = Journal()
    desk = Desk()
    oversight = Oversight(desk, journal, "actor0")
    oversight.between()
    desk.put("success")
    oversight.between()  # nothing has ended yet
    assert journal.sent == []
    oversight.begin(0, "e0")
    step = act(env, 1)[0].sent[0]
    journal.send(oversight.look(_end(step)))
    oversight.sent(step)
    desk.put("failure")
    oversight.between()
    assert [(label.kind, label.value, label.episode) for label in journal.of(True)] == [
        ("success", 0.0, "e0"),
        ("reward", 0.0, "e0"),
    ]


def _end(step):
    import dataclasses

    return dataclasses.replace(step, truncated=True)


def test_a_pause_lets_the_arm_hold_until_it_is_resumed(env):  # noqa: F811
    waits = []
    journal = Journal()
    script = Script(journal, at3=["pause"])

    def rest(seconds):
        waits.append(seconds)
        assert journal.steps == 4 and script.state.paused and not script.state.running
        if len(waits) == 3:
            script.put("pause")
        if len(waits) == 5:
            script.put("resume")

    episodes = []
    actor = Actor(env, Weights(env), journal, CONFIG, seed=7, operator=script, rest=rest)
    actor.run(6, on_episode=episodes.append)
    assert len(waits) == 5
    assert journal.of(False)[3].truncated and journal.of(False)[4].step == 0
    assert [answer.done for answer in script.answers] == [True, False, True]
    assert episodes[0].ended_by == "pause"
    assert not journal.of(True)  # a pause is no judgement


def test_the_operators_stop_ends_the_run_at_once_and_keeps_all(env):  # noqa: F811
    journal, script, episodes = act(env, 50, at3=["stop"])
    assert journal.steps == 4 and not episodes[-1].complete
    assert script.state.stopping and script.answers[0].done


def test_with_several_commands_at_once_the_first_end_counts(env):  # noqa: F811
    journal, script, episodes = act(env, 8, at3=["success", "failure", "discard"])
    assert episodes[0].ended_by == "success" and episodes[0].success
    assert [answer.done for answer in script.answers] == [True, False, False]
    assert {label.kind for label in journal.of(True)} == {"success", "reward"}


@pytest.mark.parametrize("penalise, labels", [(True, [(FAULT, -1.0)]), (False, [])])
def test_with_rlif_an_arm_that_latches_is_worth_minus_one(env, penalise, labels):  # noqa: F811
    journal = Journal()
    actor = Actor(env, Weights(env), journal, CONFIG, seed=1, penalise=penalise)

    def press(step):
        if step == 4:
            env.cell.stop("somebody pressed stop")

    with pytest.raises(Exception, match="somebody pressed stop"):
        actor.run(50, on_step=press)
    env.cell.recover()
    assert [(label.source, label.value) for label in journal.of(True)] == labels
    assert journal.of(False)[-1].truncated and not journal.of(False)[-1].terminated
    assert all(label.step == journal.of(False)[-1].step for label in journal.of(True))
