import numpy as np
import pytest

from robot_rl.aggregate import band, estimate, interquartile_mean, on_grid, probability_of_improvement


def test_the_interquartile_mean_leaves_out_a_quarter_at_each_end():
    assert interquartile_mean(np.array([[-100.0, 2], [3, 4], [5, 6], [7, 900]])) == 4.5
    assert interquartile_mean(np.array([1.0, 2, 6])) == 3  # as scipy.stats.trim_mean: a quarter of three is none
    assert interquartile_mean(np.arange(5.0)) == 2


def test_an_interval_holds_the_statistic_and_narrows_with_runs():
    rng = np.random.default_rng(1)
    few, many = rng.normal(3, 1, (5, 1)), rng.normal(3, 1, (80, 1))
    a, b = estimate(few), estimate(many)
    assert a.low < a.value < a.high and b.low < b.value < b.high
    assert (b.high - b.low) < 0.5 * (a.high - a.low)
    assert estimate(few) == a


def test_the_bootstrap_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for trial in range(60):
        found = estimate(rng.uniform(0, 1, (20, 1)), lambda scores: float(scores.mean()), seed=trial)
        hits += found.low <= 0.5 <= found.high
    assert hits >= 50  # of 60 at 95 %, the percentile bootstrap of 20 runs covers somewhat less


def test_tasks_are_strata_whose_runs_are_drawn_apart():
    scores = np.array([[0.0, 100.0], [0.0, 100.0], [0.0, 100.0]])  # no spread within a task: no width
    found = estimate(scores, lambda drawn: float(drawn.mean()))
    assert (found.low, found.value, found.high) == (50, 50, 50)


def test_the_probability_of_improvement_counts_pairs_and_halves_ties():
    ours, theirs = np.array([[2.0], [3.0]]), np.array([[1.0], [2.0], [4.0]])
    assert probability_of_improvement(ours, theirs).value == pytest.approx((1 + 0.5 + 0 + 1 + 1 + 0) / 6)
    sure = probability_of_improvement(np.full((3, 2), 5.0), np.zeros((4, 2)))
    assert (sure.value, sure.low, sure.high) == (1, 1, 1)


def test_curves_meet_on_common_steps_and_are_straight_between_theirs():
    grid, rows = on_grid(
        [(np.array([0.0, 10, 20]), np.array([1.0, 2, 3])), (np.array([5.0, 15]), np.array([7.0, 9]))], 3
    )
    assert grid.tolist() == [5, 10, 15]
    assert rows.tolist() == [[1.5, 2, 2.5], [7, 8, 9]]


def test_a_band_draws_whole_curves():
    curves = np.array([[0.0, 1, 2], [1.0, 2, 3], [2.0, 3, 4]])
    middle, low, high = band(curves)
    np.testing.assert_allclose(middle, [1, 2, 3])
    np.testing.assert_allclose(high - low, (high - low)[0])  # the curves are apart by a constant
    assert low[0] < 1 < high[0]
