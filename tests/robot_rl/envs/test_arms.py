import numpy as np
import pytest

import tasks
from controllers.twin import TwinCell
from robot_rl.envs import RobotEnv, make
from robot_rl.envs.arms import arms_of


@pytest.fixture(scope="module")
def env():
    env = make("dual_arm_handover")
    yield env
    env.close()


def test_what_both_measure_is_observed_and_named_apart(env):
    observation, _ = env.reset(seed=0)
    assert env.observation_space.contains(observation)
    assert {name.removeprefix("partner/") for name in observation} == set(observation) - {
        name for name in observation if name.startswith("partner/")
    }
    schema = env.schema()
    assert schema.actions == ("x", "y", "z", "gripper", "partner/x", "partner/y", "partner/z", "partner/gripper")
    notes = {item.name: item.note for item in schema.observation}
    assert notes["partner/gripper"] == notes["gripper"]


@pytest.mark.parametrize("first", [0, 4])
def test_each_part_of_an_action_moves_its_arm_alone(env, first):
    own, other = "tool_position", "partner/tool_position"
    moved, still = (own, other) if first == 0 else (other, own)
    before, _ = env.reset(seed=0)
    action = np.zeros(8, np.float32)
    action[first] = 1.0
    for _ in range(4):
        after, _, _, _, info = env.step(action)
    assert after[moved][0] - before[moved][0] > 0.3
    assert np.abs(after[still] - before[still]).max() < 0.05
    assert info["clamped"].shape == (2,)


def test_each_gripper_closes_by_its_own_number(env):
    env.reset(seed=0)
    for _ in range(6):
        observation, *_ = env.step(np.array([0, 0, 0, -1, 0, 0, 0, 1], np.float32))
    assert observation["gripper"][0] > 0.95
    assert observation["partner/gripper"][0] < 0.2


def test_a_latch_of_the_partner_ends_the_episode(env):
    env.reset(seed=0)
    env.cell.partner.stop("tried")
    *_, truncated, info = env.step(np.zeros(8, np.float32))
    assert truncated
    assert info["fault"] == "the other arm latched: tried"
    env.cell.recover()


def test_two_arms_need_a_cell_with_two():
    with pytest.raises(TypeError, match="has one arm, and two are to move"):
        arms_of(tasks.load("dual_arm_handover"), TwinCell(tasks.load("reach")))
    assert len(arms_of(tasks.load("reach"), TwinCell(tasks.load("reach")))) == 1
    assert RobotEnv(tasks.load("reach"), TwinCell(tasks.load("reach"))).action_space.shape == (3,)
