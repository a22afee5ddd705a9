"""Rewards that take longer than a step: their answers come late, and belong to the moment that they are about."""

from __future__ import annotations

import dataclasses
from concurrent.futures import Future, ThreadPoolExecutor

from controllers.interface import Reading
from robot_rl.rewards.base import Late, RewardModel, RewardResult


class Beside:
    """Asks a slow model about the newest reading, one at a time, in a thread; the step itself is worth nothing yet.

    What was answered comes with a later reading's result, as `late`. Readings that come meanwhile are not asked about.
    """

    def __init__(self, model: RewardModel) -> None:
        self.source = model.source
        self._model = model
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="reward")
        self._asked: tuple[int, Future[RewardResult]] | None = None

    def __call__(self, reading: Reading) -> RewardResult:
        """Raises what the model did."""
        late: tuple[Late, ...] = ()
        if self._asked is not None and self._asked[1].done():
            tick, answer = self._asked
            self._asked = None
            late = (Late(tick, answer.result()),)
        if self._asked is None:
            self._asked = reading.tick, self._thread.submit(self._model, reading)
        return dataclasses.replace(NOTHING, late=late)


NOTHING = RewardResult(0.0, False)
