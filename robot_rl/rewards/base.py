"""What every reward model offers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from controllers.interface import Reading


@dataclass(frozen=True)
class RewardResult:
    """The judgement of one reading: `value` of the step that led to it, and whether the task succeeded.

    probability: of success, where the model has one.
    """

    value: float
    success: bool
    probability: float | None = None


class RewardModel(Protocol):
    """A reward model. `source` names it in the records."""

    source: str

    def __call__(self, reading: Reading) -> RewardResult: ...
