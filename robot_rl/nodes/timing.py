"""How well a loop keeps its period: what every driver says of itself on `/diagnostics`."""

from __future__ import annotations

import time

import numpy as np


class Pace:
    """Times of a loop that should come round every `period` s; None where it goes as fast as it can.

    One thread calls `beat`, another `report`.
    """

    def __init__(self, period: float | None) -> None:
        self._period = period
        self._last: float | None = None
        self._gaps: list[float] = []
        self._missed = 0

    def beat(self) -> None:
        """Once a cycle."""
        now = time.monotonic()
        if self._last is not None:
            gap = now - self._last
            self._gaps.append(gap)
            if self._period is not None:
                self._missed += max(0, round(gap / self._period) - 1)
        self._last = now

    @property
    def age(self) -> float:
        """Seconds since the last cycle; infinite before the first."""
        return float("inf") if self._last is None else time.monotonic() - self._last

    def report(self) -> dict[str, object]:
        """`rate` (Hz) since the last report; of a paced loop also `jitter` (ms, p99), and `missed` since the start."""
        gaps, self._gaps = self._gaps, []
        if not gaps:
            return {"rate": 0.0, "age": round(self.age, 3)}
        report: dict[str, object] = {"rate": round(len(gaps) / sum(gaps), 1)}
        if self._period is not None:
            late = np.abs(np.array(gaps) - self._period)
            report |= {"jitter": round(1e3 * float(np.percentile(late, 99)), 3), "missed": self._missed}
        return report
