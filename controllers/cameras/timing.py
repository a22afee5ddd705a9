"""How regularly a camera delivers."""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from controllers.cameras.base import Frame

WINDOW = 60
"""Pictures that the figures are of."""


class Timing:
    """Rate, jitter and latency of the last pictures. One that was skipped counts as a longer interval."""

    def __init__(self) -> None:
        self._seen: deque[tuple[int, float, float]] = deque(maxlen=WINDOW)

    def add(self, count: int, frame: Frame) -> None:
        """Note picture number `count` of this process of the camera."""
        if self._seen and count <= self._seen[-1][0]:
            self._seen.clear()
        self._seen.append((count, frame.arrival, frame.arrival - frame.stamp))

    def values(self) -> dict[str, float]:
        """rate, 1/s; jitter: standard deviation of the interval between arrivals, s; latency: exposure to arrival, s.

        NaN while there are fewer than three pictures.
        """
        if len(self._seen) < 3:
            return {"rate": math.nan, "jitter": math.nan, "latency": math.nan}
        counts, arrivals, latencies = np.array(self._seen).T
        intervals = np.diff(arrivals) / np.diff(counts)
        return {
            "rate": float((counts[-1] - counts[0]) / max(arrivals[-1] - arrivals[0], 1e-9)),
            "jitter": float(intervals.std()),
            "latency": float(latencies.mean()),
        }
