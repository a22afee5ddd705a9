import dataclasses

import pytest

from robot_rl.returns import EPISODES, Returns
from tests.robot_rl.learning import transition


def episode(name, rewards, actor="actor0", end="terminated", first=0):
    for step in range(first, len(rewards)):
        last = {end: True} if step == len(rewards) - 1 and end else {}
        yield transition(step, actor=actor, episode=name, reward=rewards[step], **last)


def feed(returns, *streams):
    for stream in streams:
        for step in stream:
            returns.add(step)


def test_the_mean_is_over_the_last_whole_episodes():
    returns = Returns()
    for index in range(EPISODES - 1):
        feed(returns, episode(str(index), [0.0, 1.0]))
    assert returns.mean is None
    feed(returns, episode("last", [1.0, 1.0], end="truncated"))
    assert returns.mean == pytest.approx((EPISODES + 1) / EPISODES)
    for index in range(EPISODES):
        feed(returns, episode(f"better {index}", [5.0]))
    assert returns.mean == 5.0


def test_what_was_cut_off_counts_for_nothing():
    returns = Returns()
    feed(returns, episode("cut", [9.0, 9.0], end=""), episode("unseen", [9.0, 9.0], first=1))
    for index in range(EPISODES):
        feed(returns, episode(str(index), [1.0]))
    assert returns.mean == 1.0


def test_several_actors_do_not_mix():
    returns = Returns()
    for index in range(EPISODES // 2):
        one = episode(f"a{index}", [1.0, 1.0], actor="actor0")
        other = episode(f"b{index}", [3.0, 3.0], actor="actor1")
        for pair in zip(one, other, strict=True):
            feed(returns, pair)
    assert returns.mean == 4.0


def test_what_was_saved_goes_on():
    returns, again = Returns(), Returns()
    steps = [s for i in range(EPISODES + 1) for s in episode(str(i), [float(i), 1.0])]
    feed(returns, steps[:-1])
    again.restore(returns.save())
    assert again.mean == returns.mean
    feed(returns, steps[-1:])
    feed(again, [dataclasses.replace(steps[-1])])
    assert again.mean == returns.mean
