import dataclasses
import math

import pytest

from robot_rl.exceptions import ConfigError
from robot_rl.learner_config import LearnerConfig, validate_learner
from robot_rl.pacing import Pacing, blocks_due

CONFIG = LearnerConfig(start=20, block=5)


class Clock:
    def __init__(self):
        self.time = 0.0

    def __call__(self):
        return self.time


def made(period=0.1, config=CONFIG, **options):
    clock, told = Clock(), []
    return Pacing(config, period, told.append, now=clock, **options), clock, told


def step(pacing, clock, version, number, took):
    pacing.weights(version, number)
    with pacing.acting():
        clock.time += took
    clock.time += 0.1 - took


def test_blocks_are_due_from_the_start_on():
    assert [blocks_due(n, CONFIG) for n in (0, 19, 20, 24, 25, 30)] == [0, 0, 1, 1, 2, 3]


def test_age_counts_from_the_first_step_that_weights_acted_at():
    pacing, clock, _ = made()
    assert pacing.numbers() == {}
    for number, version in enumerate([0, 0, 0, 1, 1]):
        step(pacing, clock, version, number, took=0.01)
    numbers = pacing.numbers()
    assert numbers["weights_age_s"] == pytest.approx((0 + 0.1 + 0.2 + 0 + 0.1) / 5)
    assert numbers["weights_age_p99_s"] == pytest.approx(0.2, abs=0.01)
    pacing.begin()
    step(pacing, clock, 1, 5, took=0.01)
    assert pacing.numbers()["weights_age_s"] == pytest.approx(0.2)  # weights outlive an episode


def test_lag_is_in_steps_behind_the_newest_version_that_could_be():
    pacing, clock, _ = made()
    for number, version in ((10, 0), (20, 0), (24, 0), (25, 1), (40, 1)):
        step(pacing, clock, version, number, took=0.01)
    assert pacing.numbers()["weights_lag_steps"] == pytest.approx((0 + 5 + 5 + 5 + 20) / 5)
    of_all, clock, _ = made(steps=lambda: 40)
    step(of_all, clock, 1, 10, took=0.01)
    assert of_all.numbers()["weights_lag_steps"] == 20


def test_acting_above_half_the_period_is_counted_and_told_once():
    pacing, clock, told = made()
    for number, took in enumerate([0.01, 0.06, 0.02, 0.08]):
        step(pacing, clock, 0, number, took)
    numbers = pacing.numbers()
    assert numbers["act_overruns"] == 2 and numbers["act_ms"] == pytest.approx(42.5)
    assert len(told) == 1 and "acting took 60 ms, above its budget of 50 ms" in told[0]


def test_the_budget_can_be_set_and_without_a_period_there_is_none():
    pacing, clock, _ = made(config=dataclasses.replace(CONFIG, act_budget_ms=5.0))
    step(pacing, clock, 0, 0, took=0.01)
    assert pacing.numbers()["act_overruns"] == 1
    assert made(period=math.inf)[0].budget == math.inf
    with pytest.raises(ConfigError, match="act_budget_ms is 0"):
        validate_learner(dataclasses.replace(CONFIG, act_budget_ms=0))
