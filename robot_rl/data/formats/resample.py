"""From topics that come when they come to ticks at a rate. Pure: no bag, no ROS.

At each tick every value is the newest that was recorded at or before it, never a later one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

Value = TypeVar("Value")


@dataclass(frozen=True)
class Rule:
    """How a name is sampled.

    shift: ns behind the tick at which it is taken. needed: no tick without it, nor with one that is stale. hold: it is
    never stale. event: every one since the tick before counts, not the newest alone. restart: it ends the ticks, and
    they begin anew with what comes after it.
    """

    shift: int = 0
    needed: bool = False
    hold: bool = False
    event: bool = False
    restart: bool = False


@dataclass(frozen=True)
class Tick(Generic[Value]):
    """stamp: ns. values: by name. events: those since the tick before, oldest first.

    begins: empty where a tick joins it before, else why not: `start`, `silence` or `restart`.
    """

    stamp: int
    values: Mapping[str, Value]
    events: Mapping[str, list[Value]]
    begins: str


def resample(
    messages: Iterable[tuple[str, int, Value]], rules: Mapping[str, Rule], rate: float, gap: float
) -> Iterator[Tick[Value]]:
    """Ticks at `rate` Hz of messages (name, stamp in ns, value), which come in order of time.

    The first is when every needed name has come. Where one stays out for more than `gap` s the ticks stop, and begin
    anew when all have come again, however long that takes.
    """
    clock: _Clock[Value] = _Clock(rules, rate, gap)
    end = 0
    for name, stamp, value in messages:
        end = max(end, stamp)
        yield from clock.before(stamp + rules[name].restart)
        clock.take(name, stamp, value)
    yield from clock.before(end + 1)


class _Clock(Generic[Value]):
    """Keeps what has come until every tick that may need it has passed."""

    def __init__(self, rules: Mapping[str, Rule], rate: float, gap: float) -> None:
        self._rules, self._rate, self._gap = rules, rate, int(gap * 1e9)
        self._reach = max(rule.shift for rule in rules.values())
        self._came: dict[str, deque[tuple[int, Value]]] = {name: deque() for name in rules}
        self._events: deque[tuple[str, int, Value]] = deque()
        self._start: int | None = None
        self._index = 0
        self._why = "start"

    def take(self, name: str, stamp: int, value: Value) -> None:
        """A message, not older than those before it."""
        if self._rules[name].restart:
            self._stop("restart", stamp)
        self._came[name].append((stamp, value))
        if self._start is not None:
            if self._rules[name].event:
                self._events.append((name, stamp, value))
            return
        while len(self._came[name]) > 1:
            self._came[name].popleft()
        needed = (key for key, rule in self._rules.items() if rule.needed)
        if not any(self._stale(key, stamp) for key in needed):
            self._start, self._index = stamp, 0

    def before(self, stamp: int) -> Iterator[Tick[Value]]:
        """The ticks that no message of `stamp` or later can change."""
        while self._start is not None:
            tick = self._start + round(self._index * 1e9 / self._rate)
            if tick + self._reach >= stamp:
                return
            if any(self._stale(name, tick) for name, rule in self._rules.items() if rule.needed):
                self._stop("silence", stamp)
                return
            yield self._sample(tick)
            self._index += 1

    def _stop(self, why: str, stamp: int) -> None:
        """Begin anew when all have come again, from `stamp` on."""
        self._start, self._why = None, why
        self._events.clear()
        for name, items in self._came.items():
            while items and items[0][0] < stamp and not self._rules[name].hold:
                items.popleft()

    def _stale(self, name: str, tick: int) -> bool:
        rule = self._rules[name]
        newest = self._newest(name, tick + rule.shift)
        return newest is None or (not rule.hold and tick + rule.shift - newest[0] > self._gap)

    def _newest(self, name: str, stamp: int) -> tuple[int, Value] | None:
        """The newest at or before `stamp`; older ones are forgotten."""
        came = self._came[name]
        while len(came) > 1 and came[1][0] <= stamp:
            came.popleft()
        return came[0] if came and came[0][0] <= stamp else None

    def _sample(self, tick: int) -> Tick[Value]:
        found = {name: self._newest(name, tick + rule.shift) for name, rule in self._rules.items()}
        events: dict[str, list[Value]] = {name: [] for name, rule in self._rules.items() if rule.event}
        while self._events and self._events[0][1] <= tick:
            name, _, value = self._events.popleft()
            events[name].append(value)
        values = {name: newest[1] for name, newest in found.items() if newest is not None}
        return Tick(tick, values, events, self._why if self._index == 0 else "")
