"""Who compares two pictures: a vision-language model, or a person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from robot_rl.exceptions import DataError
from robot_rl.rewards.preference import prompts
from robot_rl.rewards.preference.chat import Refused
from robot_rl.rewards.preference.configuration import LabelConfig
from robot_rl.rewards.preference.store import Cache, key_of

GIVEN_UP = 5
"""Comparisons in a row without any answer, after which the service is not asked on."""


@dataclass(frozen=True)
class Verdict:
    """answer: 0 the first, 1 the second, None: neither. status: as a `Preference` has it. text: what was said."""

    answer: int | None
    status: str
    text: str = ""


class Judge(Protocol):
    """Compares two clips, shown as PNG files."""

    name: str

    def compare(self, first: bytes, second: bytes) -> Verdict: ...


class Asks(Protocol):
    """A vision-language model."""

    name: str

    def ask(self, text: str, pictures: Sequence[bytes] = ()) -> str: ...


class VlmJudge:
    """A vision-language model, asked in one stage or two; what it said is kept, and not asked again."""

    def __init__(self, model: Asks, config: LabelConfig, cache: Cache) -> None:
        self.name, self.model = model.name, model
        self._config, self._cache = config, cache
        self._unanswered = 0

    def compare(self, first: bytes, second: bytes) -> Verdict:
        """Raises what `ask` does; a comparison that got no answer failed. DataError: several in a row got none."""
        if first == second:
            return Verdict(None, "identical")
        task = self._config.task
        try:
            if self._config.stages == 1:
                text = self._ask(prompts.decide_at_once(task), (first, second))
            else:
                described = self._ask(prompts.describe(task), (first, second))
                text = self._ask(prompts.decide(task, described))
        except Refused as error:
            self._unanswered += 1
            if self._unanswered >= GIVEN_UP:
                raise DataError(
                    f"{GIVEN_UP} comparisons in a row got no answer ({error}); see to the service, "
                    "then the same command goes on"
                ) from error
            return Verdict(None, "failed", str(error))
        self._unanswered = 0
        answer = prompts.parse_choice(text)
        if answer is None:
            return Verdict(None, "failed", text[:500])
        return Verdict(None, "unsure", text[:500]) if answer == prompts.UNSURE else Verdict(answer, "ok", text[:500])

    def _ask(self, text: str, pictures: tuple[bytes, ...] = ()) -> str:
        key = key_of(self.name, text, pictures)
        known = self._cache.get(key)
        if known is None:
            known = self.model.ask(text, pictures)
            self._cache.put(key, known)
        return known
