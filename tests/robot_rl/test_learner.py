import dataclasses
import threading

import numpy as np
import pytest

from robot_rl.agents import policy_from_bytes
from robot_rl.checkpoint import MANIFEST
from robot_rl.exceptions import ConfigError, DataError
from robot_rl.learner import Learner
from tests.robot_rl.learning import SMALL, run_config, transition

DEMOS = [transition(i, actor="expert", reward=1.0) for i in range(12)]
EXAMPLE = transition().observation


def learner(agent="rlpd", seed=0, demos=DEMOS, example=EXAMPLE, **changes):
    return Learner(run_config(agent, seed, dataclasses.replace(SMALL, **changes)), example, 2, demos)


def experience(count, first=0, **fields):
    return [transition(i, **fields) for i in range(first, first + count)]


def work(target):
    """Do all blocks that are due."""
    metrics = {}
    while target.ready():
        metrics = target.update_block()
    return metrics


def test_blocks_are_due_at_start_and_then_every_block():
    """start 6, block 3: at 6, 9, 12, ... transitions, one each."""
    target, versions = learner(), []
    for t in experience(13):
        target.receive([t])
        work(target)
        versions.append(target.version)
    assert versions == [0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3]
    assert target.updates == 3 * SMALL.block * SMALL.utd
    with pytest.raises(RuntimeError, match="due at 15"):
        target.update_block()


def test_a_block_sees_only_its_own_prefix():
    target = learner()
    target.receive(experience(20))
    metrics = target.update_block()
    assert metrics["replay"] == 6 and target.received == 20
    assert target.update_block()["replay"] == 9


def test_when_transitions_come_makes_no_difference_to_the_weights():
    early, late = learner(), learner()
    early.receive(experience(20))
    work(early)
    for t in experience(20):
        late.receive([t])
        work(late)
    assert early.version == late.version == 5
    assert early.policy_bytes() == late.policy_bytes()
    assert learner(seed=1).policy_bytes() != learner().policy_bytes()


def test_warming_up_changes_nothing():
    warm, cold = learner(), learner()
    warm.warm_up()
    for target in (warm, cold):
        target.receive(experience(10))
        work(target)
    assert warm.policy_bytes() == cold.policy_bytes()


def test_metrics_and_policy_of_a_block():
    target = learner()
    target.receive(experience(6))
    metrics = target.update_block()
    names = {
        "critic_loss",
        "actor_loss",
        "q",
        "entropy",
        "temperature",
        "version",
        "updates",
        "updates_per_s",
        "replay",
    }
    assert set(metrics) == names and np.isfinite(list(metrics.values())).all()
    policy, version = policy_from_bytes(target.policy_bytes())
    assert version == 1 and policy.act(EXAMPLE, None).shape == (2,)


def test_each_transition_is_taken_once_and_in_order():
    target, steps = learner(), experience(6)
    assert target.receive(steps[:2]) == 2
    assert target.receive(steps[:2]) == 0
    assert target.receive([steps[4]]) == 0
    assert target.next_sequence("actor0") == 2
    assert target.receive([steps[1], steps[2], steps[2], steps[3]]) == 2
    assert target.receive(experience(2, actor="actor1")) == 2
    assert (target.next_sequence("actor0"), target.next_sequence("actor1"), target.received) == (4, 2, 6)
    assert target.next_sequence("stranger") == 0


@pytest.mark.parametrize(
    "fields, words",
    [
        ({"observation": {"pose": EXAMPLE["pose"]}}, "lacks 'twist'"),
        ({"following": EXAMPLE | {"pose": np.full(3, np.nan, np.float32)}}, "not finite"),
        ({"action": np.zeros(3, np.float32)}, "transition 1 of actor 'actor0'"),
        ({"action": np.array([0, np.inf], np.float32)}, "must be finite"),
        ({"reward": float("nan")}, "must be finite"),
    ],
)
def test_a_malformed_transition_is_named_and_changes_nothing(fields, words):
    target = learner()
    with pytest.raises(DataError, match=words):
        target.receive([transition(0), transition(1, **fields), transition(2)])
    assert target.next_sequence("actor0") == target.received == 1
    assert target.receive([transition(1)]) == 1


def test_sac_leaves_demonstrations_aside():
    with_demos, without = learner("sac"), learner("sac", demos=())
    for target in (with_demos, without):
        target.receive(experience(9))
        work(target)
    assert with_demos.policy_bytes() == without.policy_bytes()


@pytest.mark.parametrize("agent", ["rlpd", "sac"])
def test_a_loaded_learner_goes_on_bit_for_bit(tmp_path, agent):
    steps = experience(30)
    straight = learner(agent)
    straight.receive(steps[:11])
    straight.update_block()  # leaves a queue
    straight.save(tmp_path)
    resumed = Learner.load(straight.config, EXAMPLE, 2, tmp_path)
    assert (resumed.version, resumed.received, resumed.next_sequence("actor0")) == (1, 11, 11)
    for target in (straight, resumed):
        target.receive(steps)
        work(target)
    assert straight.version == resumed.version == 9
    assert straight.policy_bytes() == resumed.policy_bytes()
    last = [t.save(tmp_path / name) for t, name in ((straight, "a"), (resumed, "b"))]
    for file in sorted(p.name for p in last[0].iterdir()):
        assert (last[0] / file).read_bytes() == (last[1] / file).read_bytes(), file


def test_loading_uses_the_checkpoint_before_a_damaged_one(tmp_path):
    target = learner()
    target.receive(experience(6))
    work(target)
    target.save(tmp_path)
    target.receive(experience(6, first=6))
    work(target)
    (target.save(tmp_path) / MANIFEST).write_bytes(b"")
    resumed = Learner.load(target.config, EXAMPLE, 2, tmp_path)
    assert resumed.version == 1
    resumed.receive(experience(12))
    work(resumed)
    assert resumed.policy_bytes() == target.policy_bytes()


def test_a_checkpoint_of_something_else_is_refused(tmp_path):
    with pytest.raises(DataError, match="no checkpoint"):
        Learner.load(run_config(), EXAMPLE, 2, tmp_path)
    learner().save(tmp_path)
    with pytest.raises(DataError, match="of agent 'rlpd'"):
        Learner.load(run_config("sac"), EXAMPLE, 2, tmp_path)
    with pytest.raises(DataError, match="belongs"):
        Learner.load(run_config(), EXAMPLE, 3, tmp_path)


@pytest.mark.parametrize(
    "name, value",
    [("start", 0), ("block", 0), ("utd", 0), ("batch", 0), ("demo_share", 1.5), ("initial_temperature", -1.0)],
)
def test_values_that_cannot_work_are_named(name, value):
    with pytest.raises(ConfigError, match=f"learner.{name} is {value}"):
        learner(**{name: value})


def test_demonstrations_never_shrink():
    """Episodes of one step have two frames each."""
    example = transition(image=(2, 2, 1)).observation
    demos = [transition(i, actor="expert", image=(2, 2, 1)) for i in range(400)]
    target = learner(demos=demos, example=example)
    assert len(target.demonstrations) == 400


def test_receiving_while_learning_loses_nothing():
    target, steps = learner(), experience(120)
    thread = threading.Thread(target=lambda: [target.receive([t]) for t in steps])
    thread.start()
    while thread.is_alive() or target.ready():
        work(target)
    thread.join()
    calm = learner()
    calm.receive(steps)
    work(calm)
    assert target.received == 120
    assert target.policy_bytes() == calm.policy_bytes()
