import dataclasses
import shutil

import numpy as np
import pytest

import tasks
from robot_rl.checkpoint import checkpoint_names
from robot_rl.config import effective
from robot_rl.data.label import Label
from robot_rl.data.replay import Replay
from robot_rl.exceptions import ConfigError, DataError
from robot_rl.metrics import read_metrics
from robot_rl.nets.observation import ObservationSpec
from robot_rl.rewards.goals import goals_of
from robot_rl.rewards.vice.configuration import ViceConfig
from robot_rl.rewards.vice.reward import ViceReward
from tests.robot_rl.learning import ACTIONS, transition
from tests.robot_rl.test_training import begin, train, weights

SPEC = ObservationSpec.of(transition().observation)
SMALL = ViceConfig(hidden=16, batch=8, updates=3)


def episode(name, success, count=4):
    return [
        transition(
            i,
            episode=name,
            step=i,
            actor=name,
            success=success and i == count - 1,
            terminated=success and i == count - 1,
        )
        for i in range(count)
    ]


def test_the_goal_is_where_successes_end():
    records = [*episode("good", True), *episode("bad", False), *episode("said", False), *episode("gone", True)]
    records += [
        Label("said", 4, 0.0, "said", 3, "human", 1, "success", 1.0),
        Label("gone", 4, 0.0, "gone", -1, "human", 1, "discard", 1.0),
        Label("late", 4, 0.0, "late", 1, "late", 1, "success", 1.0),
        *[Label("late", 5 + step, 0.0, "late", step, "late", 1, "discard", 1.0) for step in (2, 3)],
    ]
    records = [*episode("late", False), *records]
    goals = goals_of(records, SPEC, 2, "the set")
    assert len(goals["pose"]) == 6
    wanted = [records[i].next_observation["pose"] for i in (0, 1, 6, 7, 14, 15)]
    assert np.array_equal(goals["pose"], wanted)


def test_without_a_success_it_says_so():
    with pytest.raises(DataError, match=r"no episode of the set succeeded.*--goals"):
        goals_of(episode("bad", False), SPEC, 1, "the set")


def test_goals_of_another_camera_are_refused():
    other = ObservationSpec.of(transition(image=(4, 4, 3)).observation)
    with pytest.raises(DataError, match="lacks 'wrist'"):
        goals_of(episode("good", True), other, 1, "the set")


@pytest.fixture
def reached():
    replay = Replay(SPEC, ACTIONS, 50)
    for i in range(20):
        replay.add(transition(i))
    return replay


def made(**changes):
    goals = goals_of(episode("good", True), SPEC, 1, "the set")
    return ViceReward(dataclasses.replace(SMALL, **changes), SPEC, goals, 0)


def moments(replay):
    return replay.gather(np.arange(len(replay))).next_observation


def test_before_anything_was_reached_it_learns_nothing():
    assert made().learn(Replay(SPEC, ACTIONS, 5)) == (False, {})


def test_it_goes_on_bit_for_bit(reached):
    first = made()
    first.learn(reached)
    second = made()
    second.restore(*first.save())
    for reward in (first, second):
        reward.learn(reached)
    assert np.array_equal(first.reward(moments(reached)), second.reward(moments(reached)))


def test_it_may_be_binary(reached):
    plain, binary = made(binary=False), made(binary=True)
    for reward in (plain, binary):
        reward.learn(reached)
    values = plain.reward(moments(reached))
    assert 0 < values.min() < values.max() < 1
    assert np.array_equal(binary.reward(moments(reached)), values >= 0.5)


def test_a_run_learns_by_it_and_goes_on_from_a_checkpoint_as_if_nothing_had_been(tmp_path):
    config, run = begin(tmp_path / "run", reward="vice", vice={"updates": 2, "hidden": 16}, steps=100)
    _, policy = train(config, run)
    records = list(read_metrics(run.metrics))
    assert all(record["success"] is None for record in records if record["kind"] == "episode")
    updates = [record for record in records if record["kind"] == "update"]
    assert updates and all(0 < record["vice_reached"] < 1 for record in updates)
    names = checkpoint_names(run.checkpoints)
    assert len(names) > 1
    shutil.rmtree(run.checkpoints / names[-1])  # the journal has what came behind the one before
    _, again = train(dataclasses.replace(config, resume=True), run)
    assert weights(again) == weights(policy)


def test_a_run_that_cannot_have_it_is_refused():
    for layer, text in (
        ({"demos": "0"}, "nothing shows the goal"),
        ({"goals": "nowhere"}, "goals is nowhere, which does not exist"),
        ({"learner": {"stack": 2}}, "judges single moments"),
        ({"agent": "hg_dagger", "intervener": "random,30"}, "looks at no reward"),
    ):
        with pytest.raises(ConfigError, match=text):
            effective(tasks.load("reach"), {"reward": "vice"} | layer)
