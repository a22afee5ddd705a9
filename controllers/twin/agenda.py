"""What happens between two control periods, some periods from now: targets under way, and what disturbs the arm."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator

Event = Callable[[], None]


class Agenda:
    """Events by the control period before which they happen; of one period, in the order in which they were added."""

    def __init__(self) -> None:
        self._now, self._order = 0, itertools.count()
        self._events: list[tuple[int, int, str, Event]] = []

    def add(self, periods: int, kind: str, event: Event) -> None:
        """`event` happens when `periods` control periods (1 ms) have passed. kind: by which it can be forgotten."""
        heapq.heappush(self._events, (self._now + periods, next(self._order), kind, event))

    def forget(self, kind: str) -> None:
        """Events of that kind do not happen."""
        self._events = [entry for entry in self._events if entry[2] != kind]
        heapq.heapify(self._events)

    def stretches(self, periods: int) -> Iterator[int]:
        """`periods` in parts between which nothing happens: whoever asks lets each of them pass before the next."""
        end = self._now + periods
        while self._events and self._events[0][0] <= end:
            due, _, _, event = heapq.heappop(self._events)
            if due > self._now:
                yield due - self._now
                self._now = due
            event()
        if end > self._now:
            yield end - self._now
            self._now = end
