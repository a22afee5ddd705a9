"""When a picture was taken, on this machine's monotonic clock, from what the device and its arrival say."""

from __future__ import annotations

import math
import time
from collections import deque

from controllers.cameras.base import Clock

WINDOW = 10.0
"""s over which the quickest arrival is sought: long against the jitter of a transport, short against clock drift
(50 parts in a million make 0.5 ms of it)."""


def next_number(number: int, gap: float, rate: float) -> int:
    """Number of the picture that comes `gap` s (of the device's time, NaN unknown) after picture `number`.

    For devices that do not count: what is missing at `rate` was lost.
    """
    return number + (1 if math.isnan(gap) else max(round(gap * rate), 1))


class ExposureClock:
    """Puts a device's stamps on this machine's monotonic clock.

    A device with a clock of its own is told by its quickest arrivals: the lag (arrival minus device stamp) is the
    clocks' offset plus a delay that is never below that of an idle transport, so the least lag of the last seconds
    follows the offset and leaves the jitter out. A stamp that goes back means that the device's clock was set anew.
    latency: s taken off every stamp.
    """

    def __init__(self, latency: float = 0.0) -> None:
        self._latency = latency
        self._lags: deque[tuple[float, float]] = deque()
        self._last = -math.inf

    @property
    def offset(self) -> float:
        """Of a device's own clock, s: what is added to its stamps; NaN before the first."""
        return self._lags[0][1] if self._lags else math.nan

    def stamp(self, device: float, arrival: float, clock: Clock) -> float:
        """The middle of the exposure as well as it is known, s, never after `arrival`."""
        if clock == "none" or math.isnan(device):
            known = arrival
        elif clock == "monotonic":
            known = device
        elif clock == "system":
            known = device - (time.time() - time.monotonic())
        else:
            known = device + self._follow(device, arrival)
        return min(known, arrival) - self._latency

    def _follow(self, device: float, arrival: float) -> float:
        """The least lag of the window: the first of a queue of (arrival, lag) in which both rise."""
        if device < self._last:
            self._lags.clear()
        self._last, lag = device, arrival - device
        while self._lags and self._lags[-1][1] >= lag:
            self._lags.pop()
        self._lags.append((arrival, lag))
        while self._lags[0][0] < arrival - WINDOW:
            self._lags.popleft()
        return self.offset
