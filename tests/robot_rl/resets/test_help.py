import pytest

from controllers.exceptions import ResetFailed
from robot_rl.resets.configuration import ResetConfig
from robot_rl.resets.help import Help


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def helper(person: str) -> tuple[Help, list[str], Clock]:
    told, clock = [], Clock()
    return Help(ResetConfig(person=person, patience=60), "reach", told.append, clock), told, clock


def test_nobody_is_asked_unless_wanted():
    asked, told, _ = helper("none")
    assert not asked.wanted()
    with pytest.raises(ResetFailed, match="blocked"):
        asked.failed(ResetFailed("blocked"))
    assert told == []


def test_somebody_is_asked_once_before_each_episode():
    asked, told, _ = helper("always")
    assert asked.wanted() and not asked.wanted()
    asked.resumed()
    assert not asked.wanted()
    asked.began()
    assert asked.wanted()
    assert told == ["put the scene of reach as an episode needs it; then resume (waiting 60 s)"] * 2


def test_a_failure_is_told_and_the_wait_ends():
    asked, told, clock = helper("failure")
    assert not asked.wanted()
    asked.failed(ResetFailed("the arm is blocked: clear it, then go on with --resume"))
    assert asked.wanted()
    assert told == ["the arm is blocked: clear it; then resume (waiting 60 s)"]
    clock.now = 59.0
    asked.check()
    clock.now = 61.0
    with pytest.raises(ResetFailed, match="the arm is blocked: clear it; nobody did within 60 s: .* --resume"):
        asked.check()


def test_after_help_the_clock_starts_anew():
    asked, _, clock = helper("failure")
    asked.failed(ResetFailed("blocked"))
    assert asked.wanted()
    asked.resumed()
    clock.now = 1000.0
    asked.check()
    asked.began()
    assert not asked.wanted()
