import dataclasses
import uuid
from itertools import pairwise
from typing import ClassVar

import jax
import numpy as np
import pytest

from controllers.exceptions import ResetFailed
from robot_rl.actor import Actor, ArmFault, ends_block, is_noiseless, version_due
from robot_rl.agents import make_agent, policy_from_bytes
from robot_rl.config import LearnerConfig
from robot_rl.envs import make
from robot_rl.exceptions import DiskError
from robot_rl.resets.configuration import ResetConfig
from robot_rl.resets.help import Help
from robot_rl.seeds import derive, episode_id

RUN = "11111111-2222-4333-8444-555555555555"
CONFIG = LearnerConfig(start=20, block=5, hidden=(8,), random_steps=3)


class Sink:
    """labels: how many records behind each step are somebody's judgement of it, in the same journal."""

    def __init__(self, labels=0):
        self.sent, self.labels = [], labels

    @property
    def steps(self):
        return len(self.sent)

    @property
    def next_sequence(self):
        return len(self.sent) * (1 + self.labels)

    def send(self, transition):
        self.sent.append(transition)


class Weights:
    def __init__(self, env):
        observation = env.observation_space.sample()
        self.policy = make_agent("rlpd", CONFIG, observation, env.action_space.shape[0], 0).policy()
        self.asked = []

    def get(self, version):
        self.asked.append(version)
        return self.policy, version


@pytest.fixture(scope="module")
def env():
    env = make("reach")
    yield env
    env.close()


def act(env, steps, run=RUN, labels=0, **options):
    sink, weights = Sink(labels), Weights(env)
    episodes = []
    Actor(env, weights, sink, CONFIG, seed=7, run=run, **options).run(steps, on_episode=episodes.append)
    return sink.sent, weights.asked, episodes


def test_labels_in_its_journal_are_no_steps(env):
    alone, asked, _ = act(env, 30)
    among, asked_among, _ = act(env, 30, labels=2)
    assert len(among) == 30 and asked == asked_among
    assert [step.sequence for step in among] == list(range(0, 90, 3))
    assert all((left.action == right.action).all() for left, right in zip(alone, among, strict=True))


def test_weights_are_due_one_block_behind_the_data():
    due = [version_due(step, CONFIG) for step in range(40)]
    assert due == [0] * 25 + [1] * 5 + [2] * 5 + [3] * 5
    assert [step for step in range(40) if ends_block(step, CONFIG)] == [20, 25, 30, 35]


def test_every_step_is_sent_in_order_and_joins_its_neighbours(env):
    sent, asked, episodes = act(env, 130)
    assert [t.sequence for t in sent] == list(range(130))
    assert asked == [0, *(version_due(step, CONFIG) for step in range(130))]  # the first to compile
    assert sum(e.steps for e in episodes) == 130
    for before, after in pairwise(sent):
        if before.episode == after.episode:
            assert after.step == before.step + 1
            assert after.stamp == before.next_stamp
            for name, value in before.next_observation.items():
                np.testing.assert_array_equal(value, after.observation[name])
        else:
            assert before.terminated or before.truncated
            assert after.step == 0
    assert all(t.next_stamp - t.stamp == pytest.approx(0.1) for t in sent)


def test_the_same_seed_acts_the_same_and_another_does_not(env):
    first, again = act(env, 30)[0], act(env, 30)[0]
    np.testing.assert_array_equal([t.action for t in first], [t.action for t in again])
    assert [t.episode for t in first] == [t.episode for t in again]
    sink = Sink()
    Actor(env, Weights(env), sink, CONFIG, seed=8).run(30)
    assert not np.array_equal([t.action for t in first], [t.action for t in sink.sent])


def test_a_resumed_actor_begins_another_episode(env):
    fresh, resumed = act(env, 60)[0], act(env, 1, first_episode=1)[0]
    assert resumed[0].episode != fresh[0].episode
    assert resumed[0].episode in {t.episode for t in fresh}


def test_a_latched_arm_ends_the_run_with_the_reason_and_keeps_the_step(env):
    sink = Sink()
    actor = Actor(env, Weights(env), sink, CONFIG, seed=1)

    def press(step):
        if step == 4:
            env.cell.stop("somebody pressed stop")

    with pytest.raises(ArmFault, match=r"somebody pressed stop.*recover"):
        actor.run(50, on_step=press)
    env.cell.recover()
    assert len(sink.sent) == 5
    assert sink.sent[-1].truncated
    assert not sink.sent[-1].terminated


def test_seeds_of_different_purposes_differ():
    assert len({derive(0, purpose, index) for purpose in ("train", "eval") for index in range(100)}) == 200


def test_episodes_are_named_by_run_actor_and_number():
    runs = [str(uuid.UUID(int=number)) for number in range(3)]
    names = [(run, actor, index) for run in runs for actor in ("actor0", "actor1") for index in range(20)]
    assert len({episode_id(*name) for name in names}) == 120
    assert [episode_id(*name) for name in names] == [episode_id(*name) for name in names]


def test_two_runs_with_one_seed_differ_in_nothing_but_the_names_of_their_episodes(env):
    first, again = (act(env, 60, run=str(uuid.UUID(int=number)))[0] for number in (1, 2))
    assert {t.episode for t in first}.isdisjoint(t.episode for t in again)
    assert all(t.clamped.dtype == np.float32 and t.clamped.shape == (2,) for t in first)
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.action, other.action)


def test_a_full_disk_ends_the_episode_before_the_step_that_it_has_no_room_for(env):
    class Full(Sink):
        def send(self, transition):
            if len(self.sent) == 12:
                raise DiskError("the journal cannot be written; free space")
            super().send(transition)

    sink, episodes = Full(), []

    def on_episode(episode):
        episodes.append(episode)
        raise OSError("the metrics cannot be written either")

    with pytest.raises(DiskError, match="the journal cannot"):
        Actor(env, Weights(env), sink, CONFIG, seed=7).run(100, on_episode=on_episode)
    assert [(episode.steps, episode.complete) for episode in episodes] == [(12, False)]
    assert len(sink.sent) == 12


def test_the_policy_sees_the_last_observations_of_the_episode(env):
    class Seeing(Weights):
        seen: ClassVar[list] = []
        spec = Weights(env).policy.spec

        def get(self, version):
            return self, version

        def act(self, observation, key):
            self.seen.append(observation)
            return np.zeros(env.action_space.shape, np.float32)

    sink = Sink()
    Actor(env, Seeing(env), sink, dataclasses.replace(CONFIG, stack=2), seed=7).run(12)
    for transition, seen in zip(sink.sent[3:], Seeing.seen[1:], strict=True):  # one to compile; three are random
        before = sink.sent[transition.sequence - 1] if transition.step else transition
        for name, value in transition.observation.items():
            np.testing.assert_array_equal(seen[name], np.concatenate([before.observation[name], value]))


def test_nothing_compiles_once_the_actor_is_warm(env, caplog):
    """Of the networks of this test alone, new weights and a second episode included."""
    config = dataclasses.replace(CONFIG, hidden=(7,), random_steps=0)
    example = env.observation_space.sample()
    agents = [make_agent("rlpd", config, example, env.action_space.shape[0], seed) for seed in (0, 1)]
    policies = [policy_from_bytes(agent.policy().to_bytes(0))[0] for agent in agents]

    class Changing:
        def get(self, version):
            return policies[version % 2], version

    sink = Sink()
    actor = Actor(env, Changing(), sink, config, seed=7)
    with jax.log_compiles(), caplog.at_level("WARNING", logger="jax"):
        actor.warm_up()
        assert "_act" in caplog.text  # it is seen when something compiles
        caplog.clear()
        actor.run(env.task.horizon + 10)
    assert len(sink.sent) == env.task.horizon + 10 and "ompil" not in caplog.text


def test_an_episode_tells_how_the_actor_kept_up(env):
    """Weights that are never learnt lag behind ever more, and no budget is as small as the time that acting takes."""
    told = []

    class Old(Weights):
        def get(self, version):
            return self.policy, 0

    config = dataclasses.replace(CONFIG, act_budget_ms=0.1, random_steps=0)
    actor = Actor(env, Old(env), Sink(), config, seed=7, tell=told.append)
    episodes = []
    actor.run(60, on_episode=episodes.append)
    assert all(episode.timing["weights_age_s"] > 0 for episode in episodes)
    assert episodes[-1].timing["weights_lag_p99_steps"] == 40  # 8 blocks of 5 are due at step 59
    assert sum(episode.timing["act_overruns"] for episode in episodes) > 50
    assert len(told) == 1 and "acting took" in told[0]


def test_a_share_of_the_episodes_is_without_noise():
    assert [is_noiseless(episode, 0.25) for episode in range(8)] == [False, False, False, True] * 2
    assert sum(is_noiseless(episode, 0.33) for episode in range(100)) == 33
    assert not any(is_noiseless(episode, 0.0) for episode in range(100))
    assert all(is_noiseless(episode, 1.0) for episode in range(100))


def test_an_episode_without_noise_acts_as_an_evaluation_does(env):
    config = dataclasses.replace(CONFIG, random_steps=0, noiseless_share=0.5)
    sink, weights = Sink(), Weights(env)
    Actor(env, weights, sink, config, seed=7, run=RUN).run(2 * env.task.horizon)
    episodes = [episode_id(RUN, "actor0", index) for index in (0, 1)]
    gaps = [
        max(np.abs(t.action - weights.policy.act(t.observation, None)).max() for t in sink.sent if t.episode == episode)
        for episode in episodes
    ]
    assert gaps[0] > 0.1 and gaps[1] == 0


class Turns:
    """Takes over at the steps given, counted within each episode."""

    def __init__(self, *steps):
        self.steps, self.begun, self.asked = steps, [], 0

    def begin(self, episode):
        self.begun.append(episode)
        self.asked = 0

    def __call__(self, env, observation, proposed):
        step, self.asked = self.asked, self.asked + 1
        return np.full_like(proposed, 0.25) if step in self.steps else None


def test_what_a_person_did_is_recorded_as_executed_beside_what_the_policy_proposed(env):
    person = Turns(3, 4, 5)
    sent, _, episodes = act(env, 120, intervener=person)
    alone, _, _ = act(env, 120)
    assert [t.intervened for t in sent] == [t.step in person.steps for t in sent]
    for t in sent:
        assert (t.action == (0.25 if t.intervened else t.policy_action)).all()
        assert not (t.intervened and (t.policy_action == 0.25).any())
    assert all((a.policy_action == b.action).all() for a, b in zip(sent[:4], alone[:4], strict=True))
    assert any((sent[4].observation[name] != alone[4].observation[name]).any() for name in sent[4].observation)
    assert person.begun == [episode.index for episode in episodes]
    counts = [sum(t.intervened for t in sent if t.episode == name) for name in dict.fromkeys(t.episode for t in sent)]
    assert [episode.interventions for episode in episodes] == counts and 3 in counts


class Helper:
    """An operator who resumes the third time that they are asked."""

    def __init__(self):
        self.asked, self.states = 0, []

    def take(self):
        self.asked += 1
        paused = self.states and self.states[-1].paused
        return ["resume"] if paused and self.asked % 3 == 0 else []

    def answer(self, answer):
        pass

    def show(self, state):
        self.states.append(state)


@pytest.fixture
def blocked(env, monkeypatch):
    """The first two resets fail."""
    reset, seeds = env.reset, []

    def fail(*, seed):
        seeds.append(seed)
        if len(seeds) <= 2:
            raise ResetFailed("something is in the way: clear it, then go on with --resume")
        return reset(seed=seed)

    monkeypatch.setattr(env, "reset", fail)
    return seeds


def test_a_failed_reset_ends_the_run_where_nobody_is_asked(env, blocked):
    with pytest.raises(ResetFailed, match="in the way"):
        act(env, 10)


def test_a_person_puts_things_right_and_the_same_episode_begins(env, blocked):
    told, rests = [], []
    asked = Help(ResetConfig(person="failure"), "reach", told.append)
    sent, _, episodes = act(env, 60, operator=Helper(), rest=rests.append, help=asked)
    assert blocked[:3] == [derive(7, "train", 0)] * 3
    assert len(told) == 2 and "in the way: clear it; then resume" in told[0]
    assert rests, "the run waited"
    assert [episode.index for episode in episodes] == list(range(len(episodes)))
    assert episodes[0].reset is not None and len(sent) == 60


def test_a_person_who_does_not_come_is_given_up(env, blocked):
    clock = iter(range(0, 10_000, 50))
    asked = Help(ResetConfig(person="failure", patience=200), "reach", lambda text: None, lambda: next(clock))
    with pytest.raises(ResetFailed, match="nobody did within 200 s"):
        act(env, 10, rest=lambda seconds: None, help=asked)
