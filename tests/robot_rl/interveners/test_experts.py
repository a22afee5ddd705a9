"""Experts of set quality, and whole runs in which rules and policies of other runs take over."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from robot_rl.config import LearnerConfig, RunConfig
from robot_rl.data.journal import read_journal
from robot_rl.exceptions import ConfigError
from robot_rl.interveners import make_intervener
from robot_rl.interveners.experts import Flawed, Flaws, make_expert
from robot_rl.interveners.value import Value
from robot_rl.metrics import MetricsWriter
from robot_rl.runs import RunFolder
from robot_rl.training import train_inprocess

TINY = LearnerConfig(start=20, block=10, hidden=(8,), batch=8, utd=1, critics=2, keep_every=20)


class Ramp:
    """Says how often it was asked in the episode, a tenth of that."""

    def begin(self, episode):
        self.asked = 0

    def __call__(self, env, observation):
        self.asked += 1
        return np.full(2, self.asked / 10, np.float32)


def said(steps=5, episode=0, **flaws):
    expert = Flawed(Ramp(), Flaws(**flaws), seed=0)
    expert.begin(episode)
    return np.array([expert(None, {}) for _ in range(steps)])


def test_without_flaws_an_expert_is_as_it_was():
    np.testing.assert_allclose(said()[:, 0], [0.1, 0.2, 0.3, 0.4, 0.5], rtol=1e-6)


def test_one_who_is_late_says_what_would_have_been_right_before():
    np.testing.assert_allclose(said(delay=2)[:, 0], [0.1, 0.1, 0.1, 0.2, 0.3], rtol=1e-6)


def test_a_bias_stays_for_an_episode_and_noise_does_not():
    errors = said(bias=0.3) - said()
    np.testing.assert_allclose(errors, np.tile(errors[0], (5, 1)), atol=1e-6)
    assert np.linalg.norm(errors[0]) == pytest.approx(0.3, abs=1e-6)
    assert not np.allclose(errors[0], (said(bias=0.3, episode=1) - said(episode=1))[0])
    noise = said(steps=400, noise=0.05)[:5] - said()
    assert len(np.unique(noise)) == noise.size
    assert np.array_equal(said(noise=0.2), said(noise=0.2))


def test_an_expert_never_asks_for_more_than_all():
    assert np.abs(said(steps=50, noise=3.0)).max() == 1.0


def run(tmp_path, name, **changes):
    """A short run in one process."""
    config = RunConfig("reach", transport="inprocess", demos="2", steps=60, learner=TINY, **changes)
    folder = RunFolder.create(dataclasses.replace(config, run=tmp_path / name))
    with MetricsWriter(folder.metrics) as metrics:
        from robot_rl.training import prepare_demos

        prepare_demos(config, folder, metrics)
        train_inprocess(config, folder, metrics)
    return folder


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    return run(tmp_path_factory.mktemp("teacher"), "teacher")


def test_a_scripted_expert_takes_over_and_its_steps_are_what_was_executed(tmp_path):
    folder = run(tmp_path, "taken", intervener="random50", reward="intervention", interventions="online")
    steps = list(read_journal(folder.journal))
    taken = [step for step in steps if step.intervened]
    assert 20 < len(taken) < 55
    for step in steps:
        assert np.array_equal(step.action, step.policy_action) != step.intervened
    again = run(tmp_path, "again", intervener="random50", reward="intervention", interventions="online")
    for one, other in zip(steps, read_journal(again.journal), strict=True):
        assert np.array_equal(one.action, other.action) and one.intervened == other.intervened


def test_a_wrong_goal_leads_the_scripted_expert_away():
    from robot_rl.envs import make

    env = make("reach")
    env.reset(seed=0)
    right, wrong = (make_expert(RunConfig("reach", expert=text)) for text in ("scripted", "scripted,wrong=1,away=0.1"))
    for expert in (right, wrong):
        expert.begin(0)
    one, other = right(env, {}), wrong(env, {})
    assert one.shape == other.shape and not np.allclose(one, other)
    env.close()


def test_another_runs_policy_and_critic_can_take_over_and_judge(teacher, tmp_path):
    config = RunConfig("reach", intervener="value", expert=str(teacher.path))
    rule = make_intervener(config)
    assert isinstance(rule, Value)
    kept = make_intervener(dataclasses.replace(config, expert=f"{teacher.path}@40"))
    assert isinstance(kept, Value)
    folder = run(tmp_path, "value", intervener="value,delta=0.0,beta=1.0", expert=str(teacher.path))
    taken = [step.intervened for step in read_journal(folder.journal)]
    assert 0 < sum(taken) < 60


def test_a_step_that_no_policy_was_kept_of_is_named(teacher):
    with pytest.raises(ConfigError, match=r"kept policies of steps 20, 40"):
        make_expert(RunConfig("reach", expert=f"{teacher.path}@33"))


def test_a_policy_of_another_task_is_refused(teacher):
    with pytest.raises(ConfigError, match="trained with other observations or actions"):
        make_expert(RunConfig("peg_insert", expert=str(teacher.path)))


def test_an_expert_sees_the_step_it_is_asked_at():
    """The scripted expert reads the environment's present reading."""
    seen = []

    class Task:
        @staticmethod
        def expert(task):
            return SimpleNamespace(reset=lambda rng: None, act=lambda reading: seen.append(reading.tick) or np.zeros(2))

    from robot_rl.envs import make

    env = make("reach")
    env.reset(seed=0)
    stand_in = SimpleNamespace(task=Task(), reading=env.reading)
    expert = make_expert(RunConfig("reach"))
    expert.begin(0)
    expert(stand_in, {})
    assert seen == [env.reading.tick]
    env.close()


def test_dagger_clones_what_the_expert_would_have_done_while_its_policy_acts(teacher, tmp_path):
    from robot_rl.agents import policy_from_bytes
    from robot_rl.training import best_policy, make_learner

    config = RunConfig("reach", transport="inprocess", demos="2", steps=60, learner=TINY, agent="dagger")
    folder = run(tmp_path, "dagger", agent="dagger", expert=str(teacher.path))
    steps = list(read_journal(folder.journal))
    assert not any(step.intervened for step in steps)
    assert all(np.array_equal(step.action, step.policy_action) for step in steps)
    with MetricsWriter(folder.metrics) as metrics:
        learner = make_learner(dataclasses.replace(config, expert=str(teacher.path)), folder, metrics)
    shown = len(learner.experience.demonstrations) - 60
    held = learner.experience.demonstrations.gather(np.arange(shown, shown + 60))
    expert = best_policy(teacher)
    for step, action in zip(steps, held.action, strict=True):
        np.testing.assert_allclose(action, expert.act(step.observation, None), atol=1e-6)
    assert policy_from_bytes(learner.policy_bytes())[1] == learner.version > 1
    learner.close()


def test_hg_dagger_begins_with_a_clone_and_goes_on_with_what_it_is_shown(tmp_path):
    from robot_rl.agents import policy_from_bytes
    from robot_rl.training import make_learner

    folder = run(tmp_path, "hg", agent="hg_dagger", intervener="random50")
    taken = [step for step in read_journal(folder.journal) if step.intervened]
    with MetricsWriter(folder.metrics) as metrics:
        learner = make_learner(folder.config(), folder, metrics)
        shown = len(learner.experience.demonstrations) - len(taken)
        held = learner.experience.demonstrations.gather(np.arange(shown, shown + len(taken)))
        np.testing.assert_array_equal(held.action, [step.action for step in taken])
        learner.close()
        first = policy_from_bytes((folder.policies / "step-20.safetensors").read_bytes())[0]
        config = dataclasses.replace(folder.config(), agent="bc", steps=0)
        blank = RunFolder.create(dataclasses.replace(config, run=tmp_path / "blank", demos=str(folder.path / "demos")))
        cloner = make_learner(blank.config(), blank, metrics)
    observation = taken[0].observation
    assert not np.allclose(first.act(observation, None), cloner.agent.policy().act(observation, None))
    cloner.close()
