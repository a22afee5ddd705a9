import dataclasses
import shutil

import jax
import numpy as np
import pytest

import tasks
from robot_rl.agents import make_agent
from robot_rl.checkpoint import POLICY_FILE, save_checkpoint
from robot_rl.config import effective
from robot_rl.data.journal import read_journal
from robot_rl.exceptions import DataError
from robot_rl.metrics import MetricsWriter, read_metrics
from robot_rl.runs import RunFolder
from robot_rl.training import (
    best_policy,
    make_learner,
    newest_policy,
    prepare_demos,
    read_demos,
    relearn,
    train_inprocess,
)
from tests.robot_rl.test_learner import Spoilt

SMALL = {"start": 60, "batch": 32, "hidden": [32, 32], "utd": 2, "block": 10, "checkpoint_every": 40}


def begin(path, **overrides):
    layer = {"transport": "inprocess", "demos": "4", "steps": 120, "learner": SMALL, "run": path}
    config = effective(tasks.load("reach"), layer | overrides)
    return config, RunFolder.create(config)


def train(config, run, stop=lambda: False):
    with MetricsWriter(run.metrics) as metrics:
        prepare_demos(config, run, metrics)
        train_inprocess(config, run, metrics, stop=stop)
    return list(read_journal(run.journal)), newest_policy(run)


def weights(policy):
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(policy)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    config, run = begin(tmp_path_factory.mktemp("runs") / "whole")
    return config, run, *train(config, run)


def test_a_run_leaves_every_step_and_what_it_learnt(whole):
    config, run, steps, _ = whole
    assert [step.sequence for step in steps] == list(range(120))
    assert len({step.policy_version for step in steps}) == 6
    kinds = [record["kind"] for record in read_metrics(run.metrics)]
    assert {"phase", "episode", "update"} <= set(kinds)
    assert kinds.count("update") == 7
    ends = [
        step.terminated or step.truncated
        for step in steps
        if step.sequence == 119 or steps[step.sequence + 1].step == 0
    ]
    outcomes = [record["success"] for record in read_metrics(run.metrics) if record["kind"] == "episode"]
    assert [outcome is not None for outcome in outcomes] == ends  # None: cut by the end of the run
    assert all(demo.success for demo in read_demos(config, run) if demo.terminated)


def test_two_runs_with_one_seed_are_the_same_bit_for_bit(whole, tmp_path):
    _, _, steps, policy = whole
    again, other_policy = train(*begin(tmp_path / "again"))
    for one, two in zip(steps, again, strict=True):
        np.testing.assert_array_equal(one.action, two.action)
        for name, value in one.next_observation.items():
            np.testing.assert_array_equal(value, two.next_observation[name])
    assert weights(policy) == weights(other_policy)


def test_a_stopped_run_resumes_with_every_step_once(tmp_path):
    config, run = begin(tmp_path / "stopped")
    calls = iter(range(10_000))
    steps, _ = train(config, run, stop=lambda: next(calls) > 90)
    assert 60 < len(steps) < 120
    steps, _ = train(dataclasses.replace(config, resume=True), run)
    assert [step.sequence for step in steps] == list(range(120))
    updates = [record for record in read_metrics(run.metrics) if record["kind"] == "update"]
    assert [record["version"] for record in updates] == list(range(1, 8))


def test_without_checkpoints_a_run_is_learnt_again_from_its_journal_to_the_same_weights(whole, tmp_path):
    config, run, _, policy = whole
    copy = RunFolder(tmp_path / "copy")
    shutil.copytree(run.path, copy.path)
    for manifest in copy.checkpoints.glob("*/manifest.json"):
        manifest.write_bytes(b"damaged")
    with MetricsWriter(copy.metrics) as metrics:
        relearn(config, copy, metrics)
    assert weights(newest_policy(copy)) == weights(policy)
    notices = [record["text"] for record in read_metrics(copy.metrics) if record["kind"] == "notice"]
    assert len(notices) == 2
    assert "no checkpoint" in notices[0] and notices[1].startswith("learning again from the 120 steps")
    with MetricsWriter(copy.metrics) as metrics:
        relearn(config, copy, metrics)  # there is nothing to do any more
    assert len([record for record in read_metrics(copy.metrics) if record["kind"] == "notice"]) == 2
    again, _ = train(dataclasses.replace(config, resume=True, steps=130), copy)
    assert [step.sequence for step in again] == list(range(130))


def test_learning_again_can_be_stopped_and_goes_on(whole, tmp_path):
    config, run, _, policy = whole
    copy = RunFolder(tmp_path / "copy")
    shutil.copytree(run.path, copy.path)
    shutil.rmtree(copy.checkpoints)
    calls = iter(range(100))
    with MetricsWriter(copy.metrics) as metrics:
        relearn(config, copy, metrics, stop=lambda: next(calls) >= 3)
    part = weights(newest_policy(copy))
    assert part != weights(policy)
    _, policy_after = train(dataclasses.replace(config, resume=True), copy)
    assert weights(policy_after) == weights(policy)


def test_a_run_draws_from_what_it_imports_and_goes_on_with_it(whole, tmp_path):
    _, before, steps, _ = whole
    share = {"learner": SMALL | {"imported_share": 0.25}}
    config, run = begin(tmp_path / "run", imported=(str(before.journal),), steps=90, **share)
    train(config, run)
    with MetricsWriter(run.metrics) as metrics:
        learner = make_learner(config, run, metrics)
    imported, weight = learner.experience.sampler.sources["imported"]
    learner.close()
    assert weight == 0.25
    assert np.array_equal(imported.gather(np.arange(len(steps))).action, [step.action for step in steps])


def test_a_bad_batch_ends_no_run_and_is_told(tmp_path, monkeypatch):
    """The fifth batch holds a NaN: its update is refused, the others count, and the whole run is done."""

    def spoilt(*arguments):
        learner = make_learner(*arguments)
        learner.experience.sampler = Spoilt(learner.experience.sampler, lambda number: number == 4)
        return learner

    monkeypatch.setattr("robot_rl.training.make_learner", spoilt)
    config, run = begin(tmp_path / "run", steps=90)
    steps, policy = train(config, run)
    records = read_metrics(run.metrics)
    (notice,) = [record["text"] for record in records if record["kind"] == "notice"]
    (kept,) = run.refused.iterdir()
    assert "reward is not finite in 1 of 64 numbers" in notice and str(kept) in notice
    updates = [record for record in records if record["kind"] == "update"]
    assert len(steps) == 90 and updates[-1]["refused"] == 1 and updates[-1]["utd"] == 2
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(policy))
    timing = next(record for record in records if record["kind"] == "episode")
    assert timing["act_p99_ms"] > 0 and timing["weights_lag_p99_steps"] in (0, 10)


def test_the_best_policy_is_that_of_the_best_checkpoint(tmp_path):
    _, run = begin(tmp_path / "scored")
    policies = []
    for seed, score in enumerate((1.0, 3.0, 2.0)):
        agent = make_agent("sac", effective(tasks.load("reach")).learner, {"pose": np.zeros(3, np.float32)}, 2, seed)
        policies.append(agent.policy())
        save_checkpoint(run.checkpoints, "step-1", {POLICY_FILE: policies[-1].to_bytes(seed)}, {}, score=score)
    assert weights(newest_policy(run)) == weights(policies[2])
    assert weights(best_policy(run)) == weights(policies[1])


def test_real_time_never_waits_for_the_learner(tmp_path):
    config, run = begin(tmp_path / "realtime", clock="realtime")
    steps, _ = train(config, run)
    assert len(steps) == 120


def test_behaviour_cloning_learns_from_the_demonstrations_alone(tmp_path):
    config, run = begin(tmp_path / "bc", agent="bc", steps=0, learner=SMALL | {"bc_steps": 1000})
    steps, policy = train(config, run)
    assert steps == []
    demos = read_demos(config, run)
    wanted = np.array([demo.action for demo in demos])
    errors = np.array([policy.act(demo.observation, None) for demo in demos]) - wanted
    assert np.square(errors).mean() < 0.1 * wanted.var(0).mean()  # the best constant action has all of the variance


def test_a_run_without_a_checkpoint_has_no_policy(tmp_path):
    _, run = begin(tmp_path / "fresh")
    with pytest.raises(DataError, match="no checkpoint yet; train it first"):
        newest_policy(run)


def test_a_policy_can_look_back_and_sum_rewards(tmp_path):
    layer = {"steps": 90, "demos": "2", "learner": SMALL | {"stack": 3, "n_step": 3}}
    (config, one), (_, two) = begin(tmp_path / "one", **layer), begin(tmp_path / "two", **layer)
    policies = [train(config, run)[1] for run in (one, two)]
    assert weights(policies[0]) == weights(policies[1])
    assert dict(policies[0].spec.vectors)["tool_position"] == 9
    steps, _ = train(dataclasses.replace(config, steps=110), two)
    assert [step.sequence for step in steps] == list(range(110))
