import dataclasses

import numpy as np
import pytest

import tasks
from controllers.interface import GripperState
from robot_rl.envs import make
from tasks.dual_arm_handover.task import APART, BASE, HIDDEN, HIGH, MEETING, REST, from_partner, holds_bar

HOLDS, OPEN = GripperState(0.0159, True), GripperState(0.05, False)
SPEC = tasks.load("dual_arm_handover")


@pytest.fixture(scope="module")
def env():
    env = make("dual_arm_handover")
    yield env
    env.close()


def run(env, seed, change=lambda step, action, reading: action):
    """The expert's episode with its actions changed; the readings, and whether the reward called it a success."""
    env.reset(seed=seed)
    expert = SPEC.expert(SPEC)
    expert.reset(np.random.default_rng(seed))
    readings, over, info = [], False, {}
    while not over:
        action = change(len(readings), expert.act(env.reading), env.reading)
        *_, terminated, truncated, info = env.step(np.asarray(action, np.float32))
        readings.append(env.reading)
        over = terminated or truncated
    return readings, info["success"]


def judged(reading, own, partner):
    """The reward's and the simulator's word on `reading` with the grippers as told."""
    told = dataclasses.replace(reading, gripper=own, partner=dataclasses.replace(reading.partner, gripper=partner))
    return SPEC.reward(told)[1], SPEC.verify(told)


def test_a_place_is_seen_from_where_the_partner_stands():
    np.testing.assert_allclose(from_partner(np.array(BASE)), 0, atol=1e-12)
    np.testing.assert_allclose(from_partner(np.array([1.0, 0.2, 0.3])), [0.1, -0.2, 0.3], atol=1e-12)


def test_the_bar_lies_within_a_centimetre_and_at_rest(env):
    places = []
    for seed in range(50):
        env.cell.reset_scene(seed)
        places.append(env.cell.read().sim["bar_position"] - REST)
    assert np.abs(places).max() <= HIDDEN + 1e-9
    assert np.abs(places).max(axis=0)[:2].min() > 0.8 * HIDDEN


def test_a_bar_that_is_handed_over_is_a_true_success(env):
    readings, success = run(env, 3)
    last = readings[-1]
    assert success
    assert SPEC.verify(last)
    assert last.sim["bar_position"][2] > HIGH
    assert not any(SPEC.reward(reading)[1] for reading in readings[:-1])


def test_a_bar_that_the_first_arm_holds_out_alone_is_none(env):
    def partner_idles(step, action, reading):
        return np.concatenate([action[:4], [0.0, 0.0, 0.0, -1.0]])

    readings, success = run(env, 4, partner_idles)
    assert not success
    assert any(holds_bar(reading.gripper) and reading.sim["bar_position"][2] > HIGH for reading in readings)


def test_a_bar_that_both_hold_is_none_yet_and_one_that_is_let_go_too_early_falls(env):
    def never_opens(step, action, reading):
        held = holds_bar(reading.gripper)
        return np.concatenate([action[:3], [1.0 if held else action[3]], action[4:]])

    readings, success = run(env, 5, never_opens)
    assert not success
    assert holds_bar(readings[-1].gripper)
    assert holds_bar(readings[-1].partner.gripper)

    def opens_in_the_air(step, action, reading):
        up = reading.sim["bar_position"][2] > HIGH
        return np.concatenate([action[:3], [-1.0 if up else action[3]], [0.0, 0.0, 0.0, -1.0]])

    readings, success = run(env, 5, opens_in_the_air)
    assert not success
    assert readings[-1].sim["bar_position"][2] < HIGH


def test_the_partner_s_fingers_that_close_on_nothing_earn_nothing(env):
    def closes_at_once(step, action, reading):
        return np.array([0, 0, 0, -1, 0, 0, 0, 1.0])

    readings, success = run(env, 6, closes_at_once)
    assert not success
    assert not readings[-1].partner.gripper.grasped


def test_verify_refuses_a_bar_that_lies_on_its_rest_whatever_the_grippers_say(env):
    env.reset(seed=7)
    assert judged(env.reading, OPEN, HOLDS) == (True, False)
    assert judged(env.reading, HOLDS, HOLDS) == (False, False)
    assert judged(env.reading, OPEN, OPEN) == (False, False)


def test_the_partner_reaches_where_it_takes_the_bar_and_not_the_rest():
    box = SPEC.partner.task.workspace
    taken = from_partner(MEETING + np.array([APART, 0.0, 0.0]))
    assert (box.low < taken).all()
    assert (taken < box.high).all()
    assert box.low[2] > REST[2] + 0.1


def test_the_hands_cannot_meet_within_the_two_workspaces():
    """The hands' flanges and cameras measure up to 9 cm along the bar."""
    nearest = BASE[0] - SPEC.partner.task.workspace.high[0] - SPEC.workspace.high[0]
    assert nearest > 0.15
