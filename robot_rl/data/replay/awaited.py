"""Labels whose steps are not there: they may come before them, and some come for episodes that never will."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from robot_rl.data.label import Label, Labels

ROOM = 10_000
"""Labels that are kept."""


class Awaited:
    """Labels by episode, those first that were judged longest ago; beyond `room` of them, the first are forgotten."""

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self._labels: OrderedDict[str, Labels] = OrderedDict()
        self._counts: dict[str, int] = {}
        self._total = 0

    def __len__(self) -> int:
        """How many labels are kept."""
        return self._total

    def __iter__(self) -> Iterator[Labels]:
        return iter(self._labels.values())

    def add(self, label: Label) -> int:
        """Keep a label; returns how many were forgotten for it."""
        labels = self._labels.setdefault(label.episode, Labels())
        if not labels.add(label):
            return 0
        self._labels.move_to_end(label.episode)
        self._count(label.episode, sum(1 for _ in labels))
        before = self._total
        while self._total > self._room:
            self.pop(next(iter(self._labels)))
        return before - self._total

    def pop(self, episode: str) -> Labels | None:
        """The labels of an episode, which is kept no longer here; None where there are none."""
        self._count(episode, 0)
        return self._labels.pop(episode, None)

    def _count(self, episode: str, count: int) -> None:
        self._total += count - self._counts.pop(episode, 0)
        if count:
            self._counts[episode] = count
