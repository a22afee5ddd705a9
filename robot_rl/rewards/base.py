"""What every reward model offers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from controllers.interface import Reading


@dataclass(frozen=True)
class RewardResult:
    """The judgement of one reading: `value` of the step that led to it, and whether the task succeeded.

    probability: of success, where the model has one. late: what it now says of earlier readings.
    """

    value: float
    success: bool
    probability: float | None = None
    late: tuple[Late, ...] = ()


@dataclass(frozen=True)
class Late:
    """The judgement of a reading of before, of the tick `tick`."""

    tick: int
    result: RewardResult


class RewardModel(Protocol):
    """A reward model. `source` names it in the records."""

    source: str

    def __call__(self, reading: Reading) -> RewardResult: ...
