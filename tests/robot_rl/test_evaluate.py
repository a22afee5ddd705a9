import dataclasses

import numpy as np
import pytest

from robot_rl.actor import Episode
from robot_rl.envs import make
from robot_rl.evaluate import Evaluation, evaluate, wilson


def test_wilsons_interval_has_the_known_values():
    # Newcombe (1998), method 3
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert wilson(29, 29) == pytest.approx((0.8830, 1.0), abs=1e-4)


def test_it_counts_and_averages_the_successes_alone():
    episodes = [Episode(0, 10, 1.0, True, 1.0, 0), Episode(1, 30, 1.0, True, 3.0, 0), Episode(2, 50, 0, False, 5.0, 0)]
    summary = Evaluation("reach", 4, episodes).summary()
    assert summary["successes"] == 2
    assert summary["success_rate"] == pytest.approx(2 / 3)
    assert summary["mean_cycle_s"] == 2.0
    assert list(summary) == [
        "task",
        "episodes",
        "successes",
        "success_rate",
        "ci95",
        "mean_cycle_s",
        "mean_return",
        "return_ci95",
        "seed",
        "false_successes",
    ]
    assert Evaluation("reach", 4, episodes[2:]).summary()["mean_cycle_s"] is None


def test_the_seed_draws_the_episodes():
    env = make("reach")

    def starts(seed):
        found = {}
        evaluate(
            env,
            lambda observation, reading, step: np.zeros(3, np.float32),
            3,
            seed,
            on_reading=lambda index, reading: found.setdefault(index, reading.arm.pose.position),
        )
        return np.array([found[index] for index in range(3)])

    np.testing.assert_array_equal(starts(1), starts(1))
    assert np.abs(starts(1) - starts(2)).max() > 0.01
    env.close()


def test_the_expert_passes_and_idleness_fails():
    env = make("reach")
    expert = env.task.expert(env.task)
    expert.reset(np.random.default_rng(0))
    assert evaluate(env, lambda o, reading, s: expert.act(reading), 5, 0).successes == 5
    assert evaluate(env, lambda o, r, s: np.zeros(3, np.float32), 2, 0).successes == 0
    env.close()


def test_a_success_that_the_simulator_denies_is_a_failure_and_is_told():
    env = make("reach")
    env.task = dataclasses.replace(env.task, verify=lambda reading: False)
    expert = env.task.expert(env.task)
    expert.reset(np.random.default_rng(0))
    result = evaluate(env, lambda o, reading, s: expert.act(reading), 3, 0)
    assert (result.successes, result.false_successes) == (0, 3)
    env.close()
