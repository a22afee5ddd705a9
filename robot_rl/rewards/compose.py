"""Rewards out of rewards: sums, gates, thresholds with hysteresis, and majorities of successive frames."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from controllers.interface import Reading
from robot_rl.exceptions import ConfigError
from robot_rl.rewards.base import RewardModel, RewardResult


class Majority:
    """Whether at least `needed` of the last `frames` moments held. What was not seen, did not.

    Moments are one tick apart: a gap, such as a reset, is forgotten before it.
    """

    def __init__(self, needed: int, frames: int) -> None:
        """Raises `ConfigError` where that can never be, or always is."""
        if not 1 <= needed <= frames:
            raise ConfigError(f"a majority of {needed} of {frames} frames cannot be; give 1 to {frames} of them")
        self._needed = needed
        self._seen: deque[bool] = deque(maxlen=frames)
        self._tick: int | None = None

    def __call__(self, holds: bool, tick: int) -> bool:
        if tick == self._tick:
            return self._held()  # the same moment, asked for again
        if self._tick is not None and tick != self._tick + 1:
            self._seen.clear()
        self._tick = tick
        self._seen.append(holds)
        return self._held()

    def _held(self) -> bool:
        return sum(self._seen) >= self._needed


class InARow:
    """A model's success counts once it was said of so many successive moments; until then they are worth nothing."""

    def __init__(self, model: RewardModel, frames: int) -> None:
        self.source = model.source
        self._model, self._enough = model, Majority(frames, frames)

    def __call__(self, reading: Reading) -> RewardResult:
        result = self._model(reading)
        success = self._enough(result.success, reading.tick)
        return RewardResult(result.value if success else 0.0, success, result.probability)


class Hysteresis:
    """Success from where the model's probability reaches `on`, until it falls below `off`."""

    def __init__(self, model: RewardModel, on: float, off: float) -> None:
        """Raises `ConfigError` for thresholds in the wrong order."""
        if not 0 <= off <= on <= 1:
            raise ConfigError(f"hysteresis is on from {on} and off below {off}; give 0 <= off <= on <= 1")
        self.source = model.source
        self._model, self._on, self._off = model, on, off
        self._success, self._tick = False, -2

    def __call__(self, reading: Reading) -> RewardResult:
        """ConfigError: the model gives no probability."""
        result = self._model(reading)
        if result.probability is None:
            raise ConfigError(f"reward '{self.source}' gives no probability, so there is none to compare")
        if reading.tick not in (self._tick, self._tick + 1):
            self._success = False
        self._tick = reading.tick
        self._success = result.probability >= (self._off if self._success else self._on)
        return RewardResult(float(self._success), self._success, result.probability)


class Sum:
    """A weighted sum of values; the first model alone says when the task is done."""

    def __init__(self, models: Sequence[tuple[RewardModel, float]]) -> None:
        """Raises `ConfigError` where there is nothing to add."""
        if not models:
            raise ConfigError("a sum of rewards needs at least one of them")
        self.source = "+".join(model.source for model, _ in models)
        self._models = tuple(models)

    def __call__(self, reading: Reading) -> RewardResult:
        results = [(model(reading), weight) for model, weight in self._models]
        first = results[0][0]
        return RewardResult(sum(weight * result.value for result, weight in results), first.success, first.probability)


class Gate:
    """`model` where `gate` succeeds too, else nothing: a success needs both."""

    def __init__(self, model: RewardModel, gate: RewardModel) -> None:
        self.source = f"{model.source}&{gate.source}"
        self._model, self._gate = model, gate

    def __call__(self, reading: Reading) -> RewardResult:
        result, opened = self._model(reading), self._gate(reading).success
        return result if opened else RewardResult(0.0, False, result.probability)
