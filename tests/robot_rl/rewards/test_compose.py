import dataclasses

import numpy as np
import pytest

from controllers.interface import ArmState, Pose, Reading
from robot_rl.exceptions import ConfigError
from robot_rl.rewards import RewardResult
from robot_rl.rewards.compose import Gate, Hysteresis, InARow, Majority, Sum

ZEROS = np.zeros(6)
POSE = Pose(np.zeros(3), np.array([0.0, 0, 0, 1]))
READING = Reading(0, 0.0, ArmState(ZEROS, ZEROS, ZEROS, POSE, ZEROS, ZEROS, POSE, 0.0))


def at(tick):
    return dataclasses.replace(READING, tick=tick)


class Says:
    """Judges ticks by a list of probabilities."""

    def __init__(self, *probabilities, source="says"):
        self.source, self._said = source, probabilities

    def __call__(self, reading):
        p = self._said[reading.tick]
        return RewardResult(2 * p, p >= 0.5, p)


def test_a_majority_counts_the_last_frames():
    enough = Majority(2, 3)
    assert [enough(holds, tick) for tick, holds in enumerate([1, 0, 1, 0, 0, 1, 1])] == [
        False, False, True, False, False, False, True,
    ]  # fmt: skip


def test_a_gap_is_forgotten_before_and_a_moment_counts_once():
    enough = Majority(2, 2)
    assert not enough(True, 5)
    assert not enough(True, 5)
    assert enough(True, 6)
    assert not enough(True, 20)
    assert enough(True, 21)


def test_a_success_counts_once_it_was_said_often_enough_and_a_reset_is_a_gap():
    model = InARow(Says(0.9, 0.9, 0.9, 0.1, 0.9, 0, 0, 0.9, 0.9), 2)
    results = [model(at(tick)) for tick in (0, 1, 2, 3, 4, 7, 8)]
    assert [result.success for result in results] == [False, True, True, False, False, False, True]
    assert [result.value for result in results] == pytest.approx([0, 1.8, 1.8, 0, 0, 0, 1.8])


@pytest.mark.parametrize(("needed", "frames"), [(0, 1), (3, 2)])
def test_a_majority_that_cannot_be_is_refused(needed, frames):
    with pytest.raises(ConfigError, match=f"a majority of {needed} of {frames}"):
        Majority(needed, frames)


def test_hysteresis_holds_on_until_it_falls_far_enough():
    model = Hysteresis(Says(0.6, 0.9, 0.6, 0.3, 0.6), on=0.8, off=0.5)
    assert [model(at(tick)).success for tick in range(5)] == [False, True, True, False, False]
    model = Hysteresis(Says(0.9, 0, 0, 0.6), on=0.8, off=0.5)
    assert [model(at(tick)).success for tick in (0, 3)] == [True, False]  # what was before a gap is forgotten
    with pytest.raises(ConfigError, match="on from 0.2 and off below 0.5"):
        Hysteresis(Says(), on=0.2, off=0.5)


def test_hysteresis_needs_a_probability():
    class Silent:
        source = "task"

        def __call__(self, reading):
            return RewardResult(1.0, True)

    with pytest.raises(ConfigError, match="reward 'task' gives no probability"):
        Hysteresis(Silent(), 0.5, 0.5)(READING)


def test_a_sum_weighs_values_and_asks_the_first_for_success():
    model = Sum([(Says(0.2, source="a"), 1.0), (Says(1.0, source="b"), 0.5)])
    result = model(READING)
    assert (model.source, result.value, result.success) == ("a+b", pytest.approx(1.4), False)
    with pytest.raises(ConfigError, match="at least one"):
        Sum([])


def test_a_gate_needs_both():
    model = Gate(Says(0.9, 0.9, 0.1, source="a"), Says(0.9, 0.1, 0.9, source="b"))
    assert [model(at(tick)).success for tick in range(3)] == [True, False, False]
    assert [model(at(tick)).value for tick in range(3)] == pytest.approx([1.8, 0.0, 0.2])
