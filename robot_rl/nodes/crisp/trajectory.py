"""A joint trajectory as `FollowJointTrajectory` gives it, followed in real time."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from controllers.interface import Array


@dataclass(frozen=True)
class Point:
    """Angles (n,) rad and velocities (n,) rad/s at `time` s after the start."""

    time: float
    position: Array
    velocity: Array


class Trajectory:
    """Cubic between its points, from where the arm stands at rest. Raises ValueError for times that do not rise.

    tolerance: (n,) rad at which a joint has arrived. patience: s that the arm may take after the last point.
    """

    def __init__(self, start: Array, points: Sequence[Point], tolerance: Array, patience: float) -> None:
        self._points = [Point(0.0, start, np.zeros_like(start)), *points]
        times = [point.time for point in self._points]
        if len(points) == 0 or any(later <= earlier for earlier, later in pairwise(times)):
            raise ValueError(f"the trajectory's times are {times[1:]} s: give at least one point, each after the last.")
        self._tolerance, self._patience = tolerance, patience
        self.done = threading.Event()
        self.error = ""

    @property
    def goal(self) -> Array:
        """Where it ends (n,), rad."""
        return self._points[-1].position

    def at(self, time: float) -> Array:
        """Angles (n,) at `time` s after the start; the goal after the end."""
        if time >= self._points[-1].time:
            return self.goal
        index = next(i for i, point in enumerate(self._points) if time < point.time)
        before, after = self._points[index - 1], self._points[index]
        span = after.time - before.time
        s = (time - before.time) / span
        return (
            (2 * s**3 - 3 * s**2 + 1) * before.position
            + (s**3 - 2 * s**2 + s) * span * before.velocity
            + (3 * s**2 - 2 * s**3) * after.position
            + (s**3 - s**2) * span * after.velocity
        )

    def judge(self, q: Array, time: float, names: Sequence[str]) -> None:
        """Finish where the arm at `q` (n,) has arrived, or has had its time."""
        if time < self._points[-1].time:
            return
        off = np.abs(q - self.goal) - self._tolerance
        if (off <= 0.0).all():
            self.finish()
        elif time > self._points[-1].time + self._patience:
            worst = int(np.argmax(off))
            self.finish(f"{names[worst]} is {abs(q[worst] - self.goal[worst]):.3f} rad from its goal")

    def finish(self, error: str = "") -> None:
        """End it, once; `error` says what went wrong."""
        if not self.done.is_set():
            self.error = error
            self.done.set()
