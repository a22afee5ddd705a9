import dataclasses

import numpy as np
import pytest

from robot_rl.checkpoint import Checkpoint, read_checkpoint, save_checkpoint
from robot_rl.data.label import Label
from robot_rl.exceptions import DataError
from robot_rl.experience import Experience
from robot_rl.nets.observation import ObservationSpec
from tests.robot_rl.data.replay.truth import ACTIONS, DISCOUNT, SPEC, Truth, World, assert_rows
from tests.robot_rl.learning import SMALL, run_config, transition

IMAGE = (4, 4, 3)


def experience(folder=None, agent="rlpd", image=IMAGE):
    return Experience(run_config(agent), ObservationSpec.of(transition(image=image).observation), 2, folder)


def steps(count, image=IMAGE, **fields):
    return [transition(i, image=image, **fields) for i in range(count)]


def saved(folder, target):
    files, state = target.save()
    return read_checkpoint(save_checkpoint(folder, "a", files, {"experience": state}))


@pytest.mark.parametrize("agent, share", [("rlpd", 0.5), ("sac", 0.0), ("bc", 1.0)])
def test_each_agent_draws_its_share_of_demonstrations(agent, share):
    target = experience(agent=agent, image=None)
    target.begin(steps(5, None, actor="expert", reward=1.0))
    for step in steps(7, None, reward=0.0):
        target.add(step)
    assert target.sampler.sample(3, 8).reward.mean() == share


def test_what_was_imported_is_drawn_by_its_share_and_comes_back(tmp_path):
    def make():
        config = dataclasses.replace(run_config(), learner=dataclasses.replace(SMALL, imported_share=0.25))
        return Experience(config, ObservationSpec.of(transition().observation), 2)

    target = make()
    target.begin(steps(5, None, actor="expert", reward=1.0), steps(6, None, actor="lent", reward=10.0))
    assert sorted(target.sampler.sample(1, 9).reward[0]) == [1.0] * 6 + [10.0] * 3  # no step of its own yet
    for step in steps(7, None, reward=100.0):
        target.add(step)
    drawn = sorted(target.sampler.sample(1, 8).reward[0])
    assert drawn == [1.0] * 4 + [10.0] * 2 + [100.0] * 2
    again = make()
    again.restore(saved(tmp_path, target))
    assert np.array_equal(again.sampler.sample(2, 8).action, target.sampler.sample(2, 8).action)
    assert sorted(again.sampler.sample(1, 8).reward[0]) == drawn


def test_labels_of_demonstrations_count():
    target = experience(image=None)
    records = [*steps(3, None, actor="expert"), Label("expert", 3, 0.0, "episode", 1, "human", 1, "reward", 9.0)]
    target.begin(records)
    assert target.demonstrations.gather(np.arange(3)).reward[1] == 9.0
    assert len(target.online) == 0


def test_images_lie_in_a_folder_of_each_beginning(tmp_path):
    target = experience(tmp_path / "replay")
    target.begin(steps(3))
    (place,) = (tmp_path / "replay").iterdir()
    checkpoint = saved(tmp_path / "checkpoints", target)
    target.close()
    again = experience(tmp_path / "replay")
    again.restore(checkpoint)
    assert len(again.demonstrations) == 3
    again.close()
    anew = experience(tmp_path / "replay")
    anew.begin(steps(3))
    assert [path.name for path in (tmp_path / "replay").iterdir()] != [place.name]
    anew.close()
    with pytest.raises(DataError, match="does not open|holds no replay"):
        experience(tmp_path / "replay").restore(checkpoint)


def test_a_checkpoint_of_a_replay_in_memory_is_refused_where_it_lies_on_disk_and_the_other_way_round(tmp_path):
    in_memory, on_disk = experience(), experience(tmp_path / "replay")
    for target in (in_memory, on_disk):
        target.begin(steps(2))
    with pytest.raises(DataError, match="lies in None"):
        experience(tmp_path / "replay").restore(saved(tmp_path / "a", in_memory))
    with pytest.raises(DataError, match="not where this run's does"):
        experience().restore(saved(tmp_path / "b", on_disk))
    on_disk.close()


@pytest.mark.parametrize("place", ["../../elsewhere", "/etc", "", "a" * 31, "A" * 32, "a" * 32 + "/.."])
def test_a_place_outside_the_folder_is_refused(tmp_path, place):
    state = {"experience": {"place": place, "room": 1, "replays": {}, "random": {}}}
    with pytest.raises(DataError, match="not where this run's does"):
        experience(tmp_path).restore(Checkpoint(tmp_path, {}, state))


@pytest.mark.parametrize("stack, n_step, capacity", [(1, 1, 1000), (3, 1, 1000), (2, 3, 1000), (3, 2, 17)])
@pytest.mark.parametrize("seed", range(4))
def test_with_both_a_takeover_is_among_the_demonstrations_exactly_as_it_was(tmp_path, stack, n_step, capacity, seed):
    learner = dataclasses.replace(SMALL, stack=stack, n_step=n_step, capacity=capacity, discount=DISCOUNT)
    config = dataclasses.replace(run_config(learner=learner), intervener="random50")
    assert config.interventions == "both"
    target = Experience(config, SPEC, ACTIONS)
    world, rng = World(), np.random.default_rng(seed)
    shown, everything = [world.step("shown", "go on") for _ in range(5)], []
    target.begin(shown)
    for number in range(200):
        record = world.any_label(rng, number) if rng.random() < 0.1 else world.any_step(rng)
        everything.append(record)
        target.add(record)
    taken = [record for record in everything if not isinstance(record, Label) and record.intervened]
    held = {id(step) for step in [*shown, *taken][-capacity - len(shown) :]}
    truth = Truth(10**6, stack, n_step, [*shown, *everything])
    wanted = truth.expected(lambda step: id(step) in held)
    assert_rows(target.demonstrations, wanted)
    again = Experience(config, SPEC, ACTIONS)
    again.restore(saved(tmp_path, target))
    assert_rows(again.demonstrations, wanted)


def test_with_online_a_takeover_stays_among_the_runs_own_steps():
    config = dataclasses.replace(run_config(), intervener="random50", interventions="online")
    target = Experience(config, ObservationSpec.of(transition().observation), 2)
    target.begin(steps(2, None, actor="expert"))
    for step in steps(4, None, intervened=True):
        target.add(step)
    assert (len(target.demonstrations), len(target.online)) == (2, 4)


@pytest.mark.parametrize("before, after", [("keyboard", "none"), ("none", "keyboard")])
def test_a_run_goes_on_without_the_person_it_began_with_and_the_other_way_round(tmp_path, before, after):
    def make(teleop):
        config = dataclasses.replace(run_config(), teleop=teleop)
        return Experience(config, ObservationSpec.of(transition().observation), 2)

    target = make(before)
    target.begin(steps(2, None, actor="expert"))
    for step in steps(6, None, intervened=before == "keyboard"):
        target.add(step)
    again = make(after)
    again.restore(saved(tmp_path, target))
    held = len(target.demonstrations)
    assert len(again.demonstrations) == held == (8 if before == "keyboard" else 2)
    third = make("none")
    for step in [transition(i, intervened=True) for i in range(6, 9)]:
        again.add(step)
    third.restore(saved(tmp_path / "b", again))
    assert len(third.demonstrations) == held + 3


class Taught:
    """A learnt reward: as many as it learnt times, and the first number that was reached."""

    source = "taught"

    def __init__(self):
        self.times, self.seen = 0, []

    def saw(self, step, shown):
        self.seen.append((step.sequence, shown))

    def learn(self, reached):
        self.times += len(reached) > 0
        return len(reached) > 0, {"times": float(self.times)}

    def reward(self, observations):
        return 100.0 * self.times + observations["pose"][:, 0]

    def save(self):
        return {"times": np.array([self.times])}, {"seen": self.seen}

    def restore(self, arrays, state):
        self.times, self.seen = int(arrays["times"][0]), state["seen"]

    def close(self):
        self.closed = True


def test_a_learnt_reward_judges_every_step_anew_and_comes_back(tmp_path):
    def make(judge):
        config = dataclasses.replace(run_config(), reward="vice")
        return Experience(config, ObservationSpec.of(transition().observation), 2, judge=judge)

    shown = steps(3, None, actor="expert", episode="shown", reward=9.0)
    shown[-1] = dataclasses.replace(shown[-1], terminated=True)
    target = make(Taught())
    target.begin([*shown, Label("expert", 3, 0.0, "shown", 2, "human", 1, "success", 1.0)])
    assert target.judge_anew() == {"times": 0.0}
    first = target.demonstrations.gather(np.arange(3))
    assert np.array_equal(first.reward, [step.next_observation["pose"][0] for step in shown])
    assert not first.terminated.any()  # nobody knows when the task is done, so its value goes on
    own = steps(4, None, reward=9.0)
    for step in own:
        target.add(step)
    target.add(Label("actor0", 4, 0.0, "episode", 2, "human", 1, "reward", -7.0))
    assert target.judge_anew() == {"times": 1.0}
    wanted = [100 + step.next_observation["pose"][0] for step in own]
    wanted[2] = -7.0  # a person's word stands
    assert np.allclose(target.online.gather(np.arange(4)).reward, wanted)
    assert (target.demonstrations.gather(np.arange(3)).reward > 50).all()

    again = make(Taught())
    again.restore(saved(tmp_path, target))
    assert np.array_equal(again.sampler.sample(2, 8).reward, target.sampler.sample(2, 8).reward)
    assert again.judge_anew() == {"times": 2.0}
    again.close()
