import shutil

import numpy as np
import pytest

from robot_rl.checkpoint import AGENT_FILE, MANIFEST, checkpoint_names
from robot_rl.exceptions import ConfigError
from robot_rl.learner import Learner
from robot_rl.resume import resume
from tests.robot_rl.learning import run_config, transition
from tests.robot_rl.test_learner import contents, work

IMAGE = (6, 5, 3)
STEPS = [transition(i, image=IMAGE, terminated=i % 7 == 6, step=i % 7, episode=str(i // 7)) for i in range(40)]
DEMOS = [transition(i, actor="expert", image=IMAGE) for i in range(12)]


class Run:
    """A run's checkpoints and replay, and what is said when it goes on."""

    def __init__(self, folder, agent="rlpd"):
        self.folder, self.checkpoints, self.replay = folder, folder / "checkpoints", folder / "replay"
        self.config = run_config(agent)
        self.told = []

    def make(self, demos):
        return Learner(self.config, STEPS[0].observation, 2, demos, replay=self.replay)

    def resume(self):
        return resume(self.checkpoints, self.make, lambda: DEMOS, self.told.append)

    def train(self, *ends):
        """Learn from the first `end` steps, save, go on; the process then dies a little later."""
        learner = self.resume()
        for end in ends:
            learner.receive(STEPS[:end])
            work(learner)
            learner.save(self.checkpoints)
        learner.receive(STEPS[: ends[-1] + 4])
        work(learner)
        learner.close()
        return learner

    def path(self, number, file=""):
        return self.checkpoints / checkpoint_names(self.checkpoints)[number] / file


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path)


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """A learner of the same run that never stopped."""
    learner = Run(tmp_path_factory.mktemp("straight")).resume()
    learner.receive(STEPS)
    work(learner)
    return learner


def goes_on_as(learner, straight):
    """Sent its journal again, the learner ends with the same replay and the same weights."""
    learner.receive(STEPS)
    work(learner)
    ours, theirs = contents(learner), contents(straight)
    for name in ("action", "reward", "terminated"):
        np.testing.assert_array_equal(ours[name], theirs[name])
    for side in ("observation", "next_observation"):
        for name in theirs[side]:
            np.testing.assert_array_equal(ours[side][name], theirs[side][name])
    assert (learner.version, learner.received) == (straight.version, straight.received)
    return learner.policy_bytes() == straight.policy_bytes()


def test_a_new_run_says_nothing(run):
    learner = run.resume()
    assert (learner.version, run.told) == (0, [])
    assert len(learner.experience.demonstrations) == len(DEMOS)


def test_the_newest_is_gone_on_from_in_silence(run, straight):
    run.train(12, 20)
    learner = run.resume()
    assert (learner.received, run.told) == (20, [])
    assert goes_on_as(learner, straight)


@pytest.mark.parametrize("file", [AGENT_FILE, "online.safetensors", "demonstrations.safetensors", MANIFEST])
def test_a_damaged_newest_is_named_and_set_aside_and_the_one_before_used(run, straight, file):
    run.train(12, 20)
    damaged = run.path(-1, file)
    damaged.write_bytes(damaged.read_bytes()[:-3])
    learner = run.resume()
    assert learner.received == 12
    (sentence,) = run.told
    assert str(damaged.parent) in sentence and sentence.endswith("set aside; going on from 000001-step-12")
    assert checkpoint_names(run.checkpoints) == ["000001-step-12"]
    assert (run.checkpoints / "damaged-000002-step-20").is_dir()
    assert goes_on_as(learner, straight)


def test_the_oldest_of_those_kept_still_has_its_images(run, straight):
    """The replay's files went on since; what a kept checkpoint counts on is still in them."""
    run.train(8, 14, 22, 28)
    for number in (-1, -2):
        run.path(number, AGENT_FILE).unlink()
    learner = run.resume()
    assert learner.received == 14 and len(run.told) == 1
    assert goes_on_as(learner, straight)


def test_without_its_replay_the_journal_fills_it_again(run, straight):
    run.train(12, 20)
    shutil.rmtree(run.replay)
    learner = run.resume()
    assert (learner.received, learner.version) == (0, 5)
    (sentence,) = run.told
    assert "going on with the agent of 000002-step-20, and the journals fill its replay again" in sentence
    assert len(checkpoint_names(run.checkpoints)) == 2
    goes_on_as(learner, straight)  # but for the random numbers that were drawn until then


def test_a_replay_that_went_on_under_another_checkpoint_is_not_taken_for_its_own(run, straight):
    """The agent alone was used, its replay was begun again, and it was killed before the next checkpoint."""
    run.train(12, 20)
    shutil.rmtree(run.replay)
    learner = run.resume()
    learner.receive(STEPS[:9])
    learner.close()
    learner = run.resume()
    assert (learner.received, learner.version) == (0, 5)
    goes_on_as(learner, straight)


def test_the_newest_agent_that_is_sound_is_kept_where_nothing_is_whole(run, straight):
    run.train(12, 20)
    run.path(-1, AGENT_FILE).write_bytes(b"")
    run.path(-2, "online.safetensors").write_bytes(b"")
    learner = run.resume()
    assert learner.version == 3
    assert "agent of 000001-step-12" in run.told[0]
    assert (run.checkpoints / "damaged-000002-step-20").is_dir()
    goes_on_as(learner, straight)


def test_without_any_checkpoint_it_learns_again_from_the_journal_to_the_bit(run, straight):
    run.train(12, 20)
    for number in (0, 1):
        run.path(number, MANIFEST).write_bytes(b"{}")
    learner = run.resume()
    assert (learner.received, learner.version) == (0, 0)
    assert "no checkpoint" in run.told[0] and "learning again from the journals" in run.told[0]
    assert checkpoint_names(run.checkpoints) == []
    assert goes_on_as(learner, straight)
    assert learner.save(run.checkpoints).name == "000003-step-40"


def test_the_checkpoints_of_another_agent_are_refused_and_left_alone(run):
    run.train(12)
    other = Run(run.folder, "sac")
    with pytest.raises(ConfigError, match="of agent 'rlpd'"):
        other.resume()
    assert checkpoint_names(run.checkpoints) == ["000001-step-12"]
