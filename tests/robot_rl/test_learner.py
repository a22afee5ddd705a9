import dataclasses
import threading

import numpy as np
import pytest
import safetensors.numpy

from robot_rl.agents import policy_from_bytes
from robot_rl.data.label import Label
from robot_rl.exceptions import ConfigError, DataError
from robot_rl.learner import QUEUE, Learner
from robot_rl.refused import Refusals
from tests.robot_rl.learning import SMALL, run_config, transition

DEMOS = [transition(i, actor="expert", reward=1.0) for i in range(12)]
EXAMPLE = transition().observation


def learner(agent="rlpd", seed=0, demos=DEMOS, example=EXAMPLE, replay=None, clock="lockstep", **changes):
    config = run_config(agent, seed, dataclasses.replace(SMALL, **changes))
    return Learner(dataclasses.replace(config, clock=clock), example, 2, demos, replay=replay)


def label(sequence, step, value, kind="reward", actor="actor0"):
    return Label(actor, sequence, sequence / 10, "episode", step, "human", sequence, kind, value)


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
        "refused",
        "utd",
        "blocks_due",
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


def contents(target):
    """Everything that may be drawn of the online replay, oldest first."""
    online = target.experience.online
    return online.gather(np.arange(len(online)))._asdict()


@pytest.mark.parametrize(
    "name, value",
    [
        ("start", 0),
        ("stack", 0),
        ("n_step", 0),
        ("block", 0),
        ("utd", 0),
        ("batch", 0),
        ("demo_share", 1.5),
        ("noiseless_share", -0.1),
        ("initial_temperature", -1.0),
    ],
)
def test_values_that_cannot_work_are_named(name, value):
    with pytest.raises(ConfigError, match=f"learner.{name} is {value}"):
        learner(**{name: value})


def test_demonstrations_never_shrink():
    """Episodes of one step have two frames each."""
    example = transition(image=(2, 2, 1)).observation
    demos = [transition(i, actor="expert", image=(2, 2, 1)) for i in range(400)]
    target = learner(demos=demos, example=example)
    assert len(target.experience.demonstrations) == 400


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


def test_labels_are_taken_in_order_and_change_what_is_learnt_from():
    """Numbered with the steps, but no step themselves: blocks are due as without."""
    records = [transition(0), transition(1), label(2, 1, 7.5), transition(3, step=2), label(4, 3, -2.5)]
    records += [transition(i, step=i - 2) for i in range(5, 9)]
    target = learner("sac", demos=(), start=6)
    assert target.receive(records[3:]) == 0
    assert target.receive(records[:8]) == 8
    assert (target.received, target.next_sequence("actor0")) == (6, 8)
    rewards = contents(target)["reward"]
    assert rewards[1] == 7.5 and rewards[3] == -2.5 and rewards[2] == np.float32(records[3].reward)


def test_a_discarded_step_is_not_learnt_from():
    target = learner("sac", demos=())
    target.receive([*experience(5), label(5, 2, 1.0, kind="discard")])
    assert target.received == 5
    assert len(target.experience.online) == 4


def test_a_block_with_nothing_left_to_draw_from_passes():
    target = learner("sac", clock="realtime")
    steps = experience(target._due())
    target.receive([*steps, *(label(len(steps) + i, i, 1.0, "discard") for i in range(len(steps)))])
    assert work(target)["replay"] == 0 and target.version == 1
    target.receive(experience(20, first=2 * len(steps), episode="another"))
    assert "critic_loss" in work(target)


def test_in_lockstep_a_label_behind_a_block_waits_with_the_step_behind_it():
    """Else it would depend on when it came whether the block knows it."""
    target = learner("sac", demos=())
    target.receive([*experience(6), label(6, 0, 50.0)])
    assert contents(target)["reward"].max() < 50
    work(target)
    target.receive([])
    assert contents(target)["reward"].max() == 50


def test_in_real_time_a_block_sees_all_that_came():
    target = learner(clock="realtime")
    target.receive(experience(20))
    assert target.update_block()["replay"] == 20
    assert target.ready()  # the blocks that it owes are still done
    work(target)
    assert target.version == 5


def test_what_it_has_no_room_for_is_not_taken_and_can_be_offered_again():
    target, steps = learner(capacity=2000), experience(QUEUE + 50)
    assert target.receive(steps) == QUEUE + 6
    assert target.full and target.next_sequence("actor0") == QUEUE + 6
    assert target.receive(steps) == 0
    target.update_block()
    assert not target.full
    assert target.receive(steps) == SMALL.block
    while target.next_sequence("actor0") < len(steps):
        target.update_block()
        target.receive(steps)
    calm = learner(capacity=2000)
    calm.receive(steps)
    while calm.version < target.version:
        calm.update_block()
    assert calm.policy_bytes() == target.policy_bytes()


def test_before_the_first_block_there_is_room_for_all_that_it_needs():
    target = learner(start=QUEUE + 200, capacity=2000)
    assert target.receive(experience(QUEUE + 200)) == QUEUE + 200
    assert target.ready() and not target.full


def test_in_real_time_steps_that_come_during_a_block_wait_up_to_the_bound():
    target, steps = learner(clock="realtime", capacity=2000), experience(QUEUE + 50)
    target.receive(steps[:6])
    with target.block():
        assert target.receive(steps) == QUEUE
        assert target.full
    assert target.receive(steps) == len(steps) - QUEUE - 6
    assert not target.full


class Spoilt:
    """A sampler whose batches hold a NaN where `when` says so of their number."""

    def __init__(self, sampler, when):
        self.sampler, self.when, self.count, self.rng = sampler, when, 0, sampler.rng

    def sample(self, slices, batch):
        drawn = self.sampler.sample(slices, batch)
        if self.when(self.count):
            drawn.reward[0, 0] = np.nan
        self.count += 1
        return drawn


def test_a_bad_batch_is_refused_kept_and_told_and_training_goes_on(tmp_path):
    config = run_config()
    target = Learner(config, EXAMPLE, 2, DEMOS, refused=tmp_path)
    target.receive(experience(9))
    target.experience.sampler = Spoilt(target.experience.sampler, lambda number: number in (1, 4))
    metrics = target.update_block()
    assert metrics["refused"] == 1 and np.isfinite([*metrics.values()]).all()
    kept = safetensors.numpy.load_file(tmp_path / "000000.safetensors")
    assert np.isnan(kept["reward"][0, 0]) and kept["observation/pose"].shape == (SMALL.utd, SMALL.batch, 3)
    for part in ("block 0", "reward is not finite in 1 of 16 numbers", str(tmp_path / "000000.safetensors")):
        assert part in target.refusals.notice
    assert target.update_block()["refused"] == 2 and (tmp_path / "000001.safetensors").exists()
    straight = learner()
    straight.receive(experience(9))
    assert (
        target.policy_bytes() != straight.policy_bytes() and np.isfinite(target.agent.policy().act(EXAMPLE, None)).all()
    )


def test_few_batches_are_kept_and_too_many_refusals_end_the_run(tmp_path):
    target = Learner(run_config(), EXAMPLE, 2, DEMOS, refused=tmp_path)
    target.experience.sampler = Spoilt(target.experience.sampler, lambda number: number % 2 or number > 40)
    target.receive(experience(300))
    with pytest.raises(DataError, match="100 updates .* the last because reward is not finite .*go on with --resume"):
        work(target)
    assert target.refusals.total == 20 + 100
    assert len(list(tmp_path.iterdir())) == 3


def test_an_update_that_overflows_on_finite_data_is_told_as_such():
    refusals, batch = Refusals(), learner().experience.sampler.sample(2, 3)
    assert not refusals.look(7, batch, {"refused": 1.0})
    assert "block 7" in refusals.notice and "overflowed on a batch that is finite" in refusals.notice


def test_the_achieved_ratio_and_what_is_due():
    """start 6, block 3, utd 2: at 12 steps three blocks are due, for the 3 of start and 6 more."""
    target = learner()
    assert target.pacing == {"utd": 0, "blocks_due": 0}
    target.receive(experience(12))
    assert target.pacing == {"utd": 0, "blocks_due": 3}
    metrics = target.update_block()
    assert (metrics["utd"], metrics["blocks_due"]) == (pytest.approx(2 / 3, abs=1e-3), 2)
    work(target)
    assert target.pacing == {"utd": 2, "blocks_due": 0}
    target.receive(experience(2, first=12))
    assert target.pacing["utd"] == pytest.approx(2 * 9 / 11, abs=1e-3)
    assert learner("bc").pacing == {}
