import dataclasses

import numpy as np
import pytest

from robot_rl.agents import FrameStack, make_agent, policy_from_bytes
from robot_rl.config import LearnerConfig
from robot_rl.data.replay import Replay
from robot_rl.data.transition import Transition
from tests.robot_rl.data.replay.truth import ACTIONS, SPEC, World, moment

CONFIG = LearnerConfig(critics=2, hidden=(16,), stack=3)


def test_the_first_observation_is_repeated_until_there_are_enough():
    frames = FrameStack(3)
    for episode in (0, 10):
        frames.begin()
        for number, expected in enumerate(([0, 0, 0], [0, 0, 1], [0, 1, 2], [1, 2, 3])):
            seen = frames(moment(episode + number))
            for name, value in seen.items():
                true = [moment(episode + one)[name] for one in expected]
                np.testing.assert_array_equal(value, np.concatenate(true, axis=-1))


def test_one_observation_is_shown_as_it_is():
    observation = moment(0)
    assert FrameStack(1)(observation) is observation


@pytest.mark.parametrize("stack", [2, 3])
def test_a_policy_sees_what_it_learns_from(stack):
    """Step by step the very arrays that a replay gathers of the same episodes."""
    world, rng = World(), np.random.default_rng(0)
    replay, frames = Replay(SPEC, ACTIONS, 100, stack=stack), FrameStack(stack)
    seen = []
    for _ in range(60):
        transition: Transition = world.step("actor0", str(rng.choice(["go on", "intervene", "truncate"])))
        if transition.step == 0:
            frames.begin()
        seen.append(frames(transition.observation))
        replay.add(transition)
    batch = replay.gather(np.arange(60))
    for number, observation in enumerate(seen):
        for name, value in observation.items():
            np.testing.assert_array_equal(batch.observation[name][number], value)


@pytest.mark.long
def test_an_agent_is_made_for_what_a_replay_gathers():
    example = moment(0) | {"front": np.zeros((16, 16, 1), np.uint8), "wrist": np.zeros((16, 16, 3), np.uint8)}
    agent = make_agent("rlpd", CONFIG, example, ACTIONS, 0)
    policy, _ = policy_from_bytes(agent.policy().to_bytes(0))
    frames = FrameStack(CONFIG.stack)
    assert policy.act(frames(example), None).shape == (ACTIONS,)
    assert dict(policy.spec.images) == {"front": (16, 16, 3), "wrist": (16, 16, 9)}
    plain = make_agent("rlpd", dataclasses.replace(CONFIG, stack=1), example, ACTIONS, 0).policy()
    assert dict(plain.spec.vectors) == {"pose": 2, "sim/goal": 1} and dict(policy.spec.vectors)["pose"] == 6
