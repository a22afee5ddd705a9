"""Every reflex at 99 and at 101 % of the maker's limit."""

import pytest

from benchmarks.reflexes import CASES, outcome, resting_robot


@pytest.fixture(scope="module")
def robot():
    return resting_robot()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_reflex_comes_beyond_its_limit_and_not_before(case, robot):
    assert outcome(case, robot, 0.99) == []
    assert outcome(case, robot, 1.01) == [case.error]
