"""When rules take over, and for how long."""

import numpy as np
import pytest

from robot_rl.config import RunConfig
from robot_rl.exceptions import ConfigError
from robot_rl.interveners import make_intervener
from robot_rl.interveners.disagreement import Disagreement, DisagreementSettings
from robot_rl.interveners.timed import TIMES, Timed
from robot_rl.interveners.value import Value, ValueSettings

ADVICE = np.array([1.0, 0.0], np.float32)


class Steady:
    """An expert who always says the same."""

    def __init__(self):
        self.asked = self.episodes = 0

    def begin(self, episode):
        self.episodes += 1

    def __call__(self, env, observation):
        self.asked += 1
        return ADVICE


def turns(rule, steps, proposed=lambda step: -ADVICE):
    """Whether the rule acts at each step."""
    return [rule(None, {}, proposed(step)) is not None for step in range(steps)]


def runs(acts, kind):
    """Lengths of the unbroken stretches of `kind` that end within."""
    lengths, now = [], 0
    for act in acts:
        if act == kind:
            now += 1
        elif now:
            lengths.append(now)
            now = 0
    return lengths


@pytest.mark.parametrize("name, share", [("random30", 0.353), ("random50", 0.625), ("random85", 0.903)])
def test_random_turns_are_as_the_paper_draws_them(name, share):
    expert = Steady()
    rule = Timed(TIMES[name], expert, seed=1)
    acts = [act for episode in range(40) for act in (rule.begin(episode), *turns(rule, 300))[1:]]
    assert np.mean(acts) == pytest.approx(share, abs=0.03)
    assert expert.asked == len(acts)
    first = TIMES[name].onset[1]
    pauses = runs(acts, False)
    assert max(pauses) <= 2 * first  # the end of one episode and the beginning of the next
    if name == "random30":
        assert min(runs(acts, True)) == 1


def test_the_same_episode_of_the_same_seed_is_the_same_wherever_it_comes():
    one, other = (Timed(TIMES["random50"], Steady(), seed=3) for _ in range(2))
    for episode in (0, 1, 2):
        one.begin(episode)
        seen = turns(one, 50)
    other.begin(2)
    assert turns(other, 50) == seen
    other.begin(3)
    assert turns(other, 50) != seen


class Judge:
    """Values by the first number of an action."""

    def __init__(self):
        self.begun = 0

    def begin(self):
        self.begun += 1

    def __call__(self, observation, actions):
        return actions[:, 0]


def values(**settings):
    return Value(ValueSettings(**({"beta": 1.0} | settings)), Judge(), Steady(), seed=0)


def test_a_worse_action_is_taken_over_for_four_steps_and_one_of_the_policy_follows():
    assert turns(values(), 11) == [True] * 4 + [False] + [True] * 4 + [False] + [True]


@pytest.mark.parametrize(
    "settings, level, taken",
    [
        ({"alpha": 0.5}, 0.4, True),
        ({"alpha": 0.5}, 0.6, False),
        ({"delta": 0.3}, 0.6, True),
        ({"delta": 0.3}, 0.8, False),
    ],
)
def test_how_much_worse_it_must_be(settings, level, taken):
    proposed = np.array([level, 0], np.float32)
    assert turns(values(**settings), 1, lambda step: proposed) == [taken]


def test_decisions_are_wrong_as_often_as_is_asked():
    good = values(beta=0.9, length=1)
    acts = turns(good, 4000, lambda step: ADVICE * 2)  # better than the expert: nobody should take over
    assert np.mean(acts) == pytest.approx(0.1 / 1.1, abs=0.02)  # a step of the policy follows each


def test_who_disagrees_for_long_enough_is_taken_over():
    rule = Disagreement(DisagreementSettings(patience=3, length=2), Steady(), seed=0)
    assert turns(rule, 6) == [False, False, True, True, False, True]
    rule.begin(1)
    apart = [True, True, False, True, True, True, True]
    acts = turns(rule, 7, lambda step: -ADVICE if apart[step] else ADVICE)
    assert acts == [False, False, False, False, False, True, True]


@pytest.mark.parametrize(
    "rule, expert, message",
    [
        ("randm30", "scripted", r"intervener is 'randm30', which is no rule; did you mean random30\?"),
        ("random30,length=3", "scripted", "random30 has no settings"),
        ("disagreement,patence=3", "scripted", r"unknown key patence; did you mean patience\?"),
        ("disagreement,patience=0", "scripted", "both are 1 at least"),
        ("disagreement,patience", "scripted", "'patience' is no setting; write NAME,KEY=VALUE"),
        ("value,beta=2", "scripted", "beta is 2.*a share"),
        ("value", "scripted", "the scripted expert has none; add reference=RUN"),
        ("random30", "scripted,noise=-1", "noise is -1.*must not be below 0"),
        ("random30", "scripted,wrong=2", "wrong is 2.*a share"),
        ("random30", "nowhere", "nowhere"),
        ("random30", "nowhere,wrong=0.5", "only the scripted expert has a goal to get wrong"),
    ],
)
def test_what_cannot_be_is_one_sentence(rule, expert, message, tmp_path, monkeypatch):
    from robot_rl.exceptions import RunFolderError

    monkeypatch.chdir(tmp_path)
    with pytest.raises((ConfigError, RunFolderError), match=message):
        make_intervener(RunConfig("reach", intervener=rule, expert=expert))


def test_nobody_takes_over_unless_somebody_is_named():
    assert make_intervener(RunConfig("reach")) is None
