"""What a learner keeps in a checkpoint, and how another goes on from it."""

import dataclasses

import numpy as np
import pytest

from robot_rl.checkpoint import checkpoint_names, read_checkpoint
from robot_rl.exceptions import ConfigError, DataError
from robot_rl.learner import Learner
from tests.robot_rl.learning import run_config, transition
from tests.robot_rl.test_learner import EXAMPLE, contents, experience, learner, work


def restored(target, folder, example=EXAMPLE, replay=None):
    """A learner as `target`, from the newest checkpoint in `folder`."""
    other = Learner(target.config, example, 2, None, replay=replay)
    other.restore(read_checkpoint(folder / checkpoint_names(folder)[-1]))
    return other


@pytest.mark.parametrize("image", [None, (4, 4, 3)])
@pytest.mark.parametrize("agent", ["rlpd", "sac"])
def test_a_restored_learner_goes_on_bit_for_bit(tmp_path, agent, image):
    """It is sent again what was queued; images lie in the replay's folder, which the two have one after the other."""
    steps = experience(30, image=image)
    demos = [transition(i, actor="expert", reward=1.0, image=image) for i in range(12)]
    example, replay = steps[0].observation, tmp_path / "replay"
    straight = learner(agent, demos=demos, example=example, replay=tmp_path / "other")
    stopped = learner(agent, demos=demos, example=example, replay=replay)
    for target in (straight, stopped):
        target.receive(steps[:11])
        target.update_block()
    assert (stopped.version, stopped.received, stopped.next_sequence("actor0")) == (1, 11, 11)
    stopped.save(tmp_path / "checkpoints")
    stopped.close()
    resumed = restored(stopped, tmp_path / "checkpoints", example, replay)
    assert (resumed.version, resumed.received, resumed.next_sequence("actor0")) == (1, 9, 9)
    for target in (straight, resumed):
        target.receive(steps)
        work(target)
    assert straight.version == resumed.version == 9
    assert straight.policy_bytes() == resumed.policy_bytes()
    np.testing.assert_array_equal(contents(straight)["action"], contents(resumed)["action"])
    if image is None:
        last = [t.save(tmp_path / name) for t, name in ((straight, "a"), (resumed, "b"))]
        for file in sorted(p.name for p in last[0].iterdir()):
            assert (last[0] / file).read_bytes() == (last[1] / file).read_bytes(), file


def test_what_a_checkpoint_has_is_told_and_what_is_in_memory_alone_is_not(tmp_path):
    target = learner(start=10)
    target.receive(experience(5))
    assert (target.next_sequence("actor0"), target.durable("actor0")) == (5, 0)
    target.save(tmp_path)
    target.receive(experience(3, first=5))
    assert (target.next_sequence("actor0"), target.durable("actor0")) == (8, 5)
    assert restored(target, tmp_path).durable("actor0") == 5


def test_a_checkpoint_holds_no_images(tmp_path):
    image = (64, 64, 3)
    steps = experience(30, image=image)
    target = learner("sac", demos=(), example=steps[0].observation, replay=tmp_path / "replay", start=100)
    sizes = []
    for part in (steps[:5], steps[5:]):
        target.receive(part)
        path = target.save(tmp_path / "checkpoints")
        sizes.append(sum(file.stat().st_size for file in path.iterdir()))
    assert sizes[1] - sizes[0] < 25 * 1024


def test_a_checkpoint_of_something_else_is_refused(tmp_path):
    learner().save(tmp_path)
    (name,) = checkpoint_names(tmp_path)
    checkpoint = read_checkpoint(tmp_path / name)
    with pytest.raises(ConfigError, match="of agent 'rlpd'"):
        Learner(run_config("sac"), EXAMPLE, 2, None).restore(checkpoint)
    with pytest.raises(ConfigError, match="the action has 3 numbers here, 2 numbers in the checkpoint"):
        Learner(run_config(), EXAMPLE, 3, None).restore(checkpoint)
    swapped = {"pose": EXAMPLE["twist"], "twist": EXAMPLE["pose"]}  # the networks have the same shapes
    with pytest.raises(ConfigError, match="pose has 2 .* here, 3 .*; twist has 3 .* here, 2 .* in the checkpoint"):
        Learner(run_config(), swapped, 2, None).restore_agent(checkpoint)
    state = {key: value for key, value in checkpoint.state.items() if key != "spaces"}  # of an earlier release
    with pytest.raises(DataError, match=f"{name} .*belongs"):
        Learner(run_config(), EXAMPLE, 3, None).restore(dataclasses.replace(checkpoint, state=state))


def test_the_agent_alone_waits_until_it_has_seen_again_what_it_learnt_from(tmp_path):
    target = learner()
    target.receive(experience(12))
    work(target)
    target.save(tmp_path)
    checkpoint = read_checkpoint(tmp_path / checkpoint_names(tmp_path)[-1])
    other = learner()
    other.restore_agent(checkpoint)
    assert (other.version, other.received, other.next_sequence("actor0")) == (3, 0, 0)
    assert other.policy_bytes() == target.policy_bytes()
    other.receive(experience(14))
    assert not other.ready()
    np.testing.assert_array_equal(contents(other)["action"][:12], contents(target)["action"])
    other.receive(experience(15))
    assert other.update_block()["replay"] == 15


def test_an_agent_that_is_not_finite_is_refused(tmp_path):
    target = learner()
    target.agent = dataclasses.replace(target.agent, log_temperature=target.agent.log_temperature + np.nan)
    path = target.save(tmp_path)
    with pytest.raises(DataError, match="not finite in log_temperature"):
        learner().restore_agent(read_checkpoint(path))


def test_the_score_of_a_checkpoint_is_the_mean_return(tmp_path):
    target = learner()
    for i in range(10):
        target.receive([transition(i, step=0, episode=str(i), reward=float(i), terminated=True)])
        while target.ready():
            target.update_block()
    path = target.save(tmp_path)
    assert target.returns.mean == 4.5
    assert read_checkpoint(path).state["best"] == path.name


def test_what_the_replay_cannot_store_is_not_counted_as_learnt_from(tmp_path, monkeypatch):
    """Else a checkpoint would promise a step that no journal brings again."""
    target, steps = learner(), experience(8)
    add, room = target.experience.add, [3]

    def full(record):
        if room[0] == 0:
            raise DataError("the disk is full")
        room[0] -= 1
        add(record)

    monkeypatch.setattr(target.experience, "add", full)
    with pytest.raises(DataError, match="full"):
        target.receive(steps)
    room[0] = 100
    checkpoint = read_checkpoint(target.save(tmp_path))
    assert checkpoint.state["used"] == len(target.experience.online) == checkpoint.state["next_sequence"]["actor0"]
    target.receive(steps)
    np.testing.assert_array_equal(contents(target)["action"], [step.action for step in steps[:6]])
