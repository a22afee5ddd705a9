"""Joint trajectories: between their points, and when they are over."""

import numpy as np
import pytest

from robot_rl.nodes.crisp.trajectory import Point, Trajectory

START, GOAL = np.array([0.0, 1.0]), np.array([1.0, 0.0])
NAMES = ("one", "two")


def trajectory(*points, patience=1.0):
    return Trajectory(START, points or (Point(2.0, GOAL, np.zeros(2)),), np.full(2, 0.01), patience)


def test_it_starts_and_ends_at_rest_and_passes_its_points():
    middle = Point(1.0, np.array([0.2, 0.9]), np.array([0.3, -0.1]))
    path = trajectory(middle, Point(2.0, GOAL, np.zeros(2)))
    for time, where in ((0.0, START), (1.0, middle.position), (2.0, GOAL), (9.0, GOAL)):
        np.testing.assert_allclose(path.at(time), where)
    step = 1e-5
    for time, speed in ((0.0, np.zeros(2)), (1.0, middle.velocity), (2.0 - step, np.zeros(2))):
        np.testing.assert_allclose((path.at(time + step) - path.at(time)) / step, speed, atol=1e-3)


def test_it_is_over_when_the_arm_is_there_and_not_before_its_time():
    path = trajectory()
    path.judge(GOAL, 1.9, NAMES)
    assert not path.done.is_set()
    path.judge(GOAL + 0.02, 2.5, NAMES)
    assert not path.done.is_set()
    path.judge(GOAL + 0.009, 2.6, NAMES)
    assert path.done.is_set() and path.error == ""


def test_an_arm_that_does_not_get_there_is_told_by_its_worst_joint():
    path = trajectory()
    path.judge(GOAL + np.array([0.02, -0.3]), 3.1, NAMES)
    assert path.error == "two is 0.300 rad from its goal"
    path.finish("something else")
    assert path.error == "two is 0.300 rad from its goal"


@pytest.mark.parametrize("times", [(), (0.0,), (1.0, 1.0), (2.0, 1.0)])
def test_times_that_do_not_rise_are_refused(times):
    with pytest.raises(ValueError, match="give at least one point, each after the last"):
        Trajectory(START, [Point(time, GOAL, np.zeros(2)) for time in times], np.ones(2), 1.0)
