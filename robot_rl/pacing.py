"""How an actor keeps up: how old the weights are that act, and how long acting takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from robot_rl.config import LearnerConfig

BUDGET = 0.5
"""Share of the control period that acting may take, unless configured: the rest is for reading, judging, keeping."""


class Pacing:
    """What one actor measures of itself, episode by episode.

    period: of control, s. tell: hears once, in a sentence, of acting above its budget.
    steps: environment steps of all actors of the run so far, where there are others.
    """

    def __init__(
        self,
        config: LearnerConfig,
        period: float,
        tell: Callable[[str], None] = lambda text: None,
        steps: Callable[[], int] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config, self._tell, self._steps, self._now = config, tell, steps, now
        self.budget = config.act_budget_ms or 1e3 * BUDGET * period
        self._told = False
        self._version, self._came = -1, 0.0
        self.begin()

    def begin(self) -> None:
        """An episode begins."""
        self._ages: list[float] = []
        self._lags: list[int] = []
        self._acts: list[float] = []

    def weights(self, version: int, step: int) -> None:
        """Weights of `version` act at the actor's step `step`."""
        now = self._now()
        if version != self._version:
            self._version, self._came = version, now
        self._ages.append(now - self._came)
        self._lags.append(max(0, blocks_due(step if self._steps is None else self._steps(), self._config) - version))

    @contextmanager
    def acting(self) -> Iterator[None]:
        """Around what leads from an observation to an action."""
        began = self._now()
        yield
        self._acts.append(1e3 * (self._now() - began))
        if self._acts[-1] > self.budget and not self._told:
            self._told = True
            self._tell(
                f"acting took {self._acts[-1]:.0f} ms, above its budget of {self.budget:.0f} ms "
                "(learner.act_budget_ms); from here on such steps are counted as act_overruns"
            )

    def numbers(self) -> dict[str, float]:
        """Of the episode so far; empty before its first step.

        weights_age_s: since the weights that acted first did so; weights_lag_steps: environment steps from those
        that their version is due at to the step that they acted at; act_ms: from an observation to an action.
        act_overruns: steps of which that took longer than the budget.
        """
        if not self._acts:
            return {}
        lags = [lag * self._config.block for lag in self._lags]
        return {
            **_spread("weights_age", self._ages, "s"),
            **_spread("weights_lag", lags, "steps"),
            **_spread("act", self._acts, "ms"),
            "act_overruns": sum(act > self.budget for act in self._acts),
        }


def blocks_due(step: int, config: LearnerConfig) -> int:
    """Blocks of updates that are due at `step` environment steps: the newest version that there could be."""
    return max(0, (step - config.start) // config.block + 1)


def _spread(name: str, values: list[float] | list[int], unit: str) -> dict[str, float]:
    """Mean and 99th percentile."""
    return {
        f"{name}_{unit}": round(float(np.mean(values)), 4),
        f"{name}_p99_{unit}": round(float(np.percentile(values, 99)), 4),
    }
