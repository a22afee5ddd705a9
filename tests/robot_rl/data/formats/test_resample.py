import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robot_rl.data.formats.resample import Rule, resample

SECOND = 10**9
NEEDED = Rule(needed=True)


def ticks(messages, rules, rate=10, gap=1.0):
    return list(resample([(name, round(stamp * 1e9), value) for name, stamp, value in messages], rules, rate, gap))


def test_the_newest_before_the_tick_counts():
    found = ticks([("a", 0.0, 0), ("a", 0.09, 1), ("a", 0.1, 2), ("a", 0.101, 3), ("a", 0.2, 4)], {"a": NEEDED})
    assert [(tick.stamp, tick.values["a"]) for tick in found] == [(0, 0), (SECOND // 10, 2), (SECOND // 5, 4)]


def test_it_begins_when_all_have_come():
    found = ticks([("a", 0.0, 0), ("a", 0.3, 1), ("b", 0.35, 2), ("a", 0.5, 3)], {"a": NEEDED, "b": NEEDED})
    assert [(tick.stamp, dict(tick.values)) for tick in found] == [
        (350_000_000, {"a": 1, "b": 2}),
        (450_000_000, {"a": 1, "b": 2}),
    ]


def test_silence_ends_the_ticks_and_they_begin_anew():
    messages = [("a", t / 10, t) for t in range(5)] + [("a", 1e6 + t / 10, t) for t in range(3)]
    found = ticks(messages, {"a": NEEDED}, gap=0.25)
    firsts = [index for index, tick in enumerate(found) if tick.begins]
    assert [tick.begins for tick in found if tick.begins] == ["start", "silence"]
    assert firsts == [0, 7] and len(found) == 10  # two ticks more while the last was fresh enough
    assert found[7].stamp == 10**6 * SECOND


def test_one_that_holds_may_be_silent():
    messages = [("goal", 0.0, 7)] + [("a", t / 10, t) for t in range(50)]
    found = ticks(messages, {"a": NEEDED, "goal": Rule(needed=True, hold=True)}, gap=0.2)
    assert len(found) == 50 and all(tick.values["goal"] == 7 for tick in found)


def test_a_shift_looks_that_far_and_no_further():
    messages = [("a", t / 10, t) for t in range(4)] + [("late", 0.03 + t / 10, t) for t in range(4)]
    found = ticks(sorted(messages, key=lambda item: item[1]), {"a": NEEDED, "late": Rule(shift=SECOND // 20)})
    assert [tick.values["late"] for tick in found] == [0, 1, 2]
    assert [tick.values["a"] for tick in found] == [0, 1, 2]


def test_a_restart_waits_for_what_comes_after_it():
    messages = [("a", t / 10, t) for t in range(5)] + [("new", 0.4, 0), ("a", 0.4, 10), ("a", 0.53, 11)]
    found = ticks(messages, {"a": NEEDED, "new": Rule(restart=True)})
    assert [(tick.stamp, tick.values["a"], tick.begins) for tick in found[3:]] == [
        (3 * SECOND // 10, 3, ""),
        (4 * SECOND // 10, 4, ""),
        (4 * SECOND // 10, 10, "restart"),
        (5 * SECOND // 10, 10, ""),
    ]


def test_events_between_ticks_are_all_told():
    messages = [("a", 0.0, 0), ("e", 0.01, 1), ("e", 0.1, 2), ("a", 0.1, 1), ("e", 0.15, 3), ("a", 0.2, 2)]
    found = ticks(messages, {"a": NEEDED, "e": Rule(event=True)})
    assert [tick.events["e"] for tick in found] == [[], [1, 2], [3]]


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 50), st.floats(0.01, 0.5))
def test_no_tick_ever_looks_ahead_nor_back_further_than_the_gap(seed, rate, gap):
    rng = np.random.default_rng(seed)
    names = ["a", "b", "c"][: rng.integers(1, 4)]
    times = np.cumsum(rng.exponential(0.05, 200) + (rng.random(200) < 0.02) * rng.exponential(5, 200))
    messages = [(str(rng.choice(names)), int(t * 1e9), int(t * 1e9)) for t in times]
    by_name = {name: [stamp for key, stamp, _ in messages if key == name] for name in names}
    last = None
    for tick in resample(messages, {name: Rule(needed=True) for name in names}, rate, gap):
        for name in names:
            assert tick.values[name] == max(stamp for stamp in by_name[name] if stamp <= tick.stamp)
            assert tick.stamp - tick.values[name] <= int(gap * 1e9)
        if not tick.begins:
            assert tick.stamp - last == pytest.approx(1e9 / rate, abs=1)
        else:
            assert last is None or tick.stamp > last
        last = tick.stamp
