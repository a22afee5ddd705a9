"""Who compares two pictures: a vision-language model, or a person."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from robot_rl.exceptions import DataError
from robot_rl.rewards.preference import prompts
from robot_rl.rewards.preference.chat import Refused
from robot_rl.rewards.preference.configuration import LabelConfig
from robot_rl.rewards.preference.store import Cache, key_of

Question = tuple[str, tuple[bytes, ...]]
"""A text, and the pictures that it is shown with."""
Stage = Question | Callable[[str], Question]
"""A question; or one that depends on the answer to the one before."""
GIVEN_UP = 5
"""Questions in a row without any answer, after which the service is not asked on."""


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


class Questions:
    """Asks a model; what it said is kept, and not asked again."""

    def __init__(self, model: Asks, cache: Cache) -> None:
        self.name, self.model, self._cache = model.name, model, cache
        self.refusal = ""
        self._unanswered = 0

    def ask(self, stages: Sequence[Stage]) -> str | None:
        """The answer to the last stage; None where there was none, for which `refusal` says why.

        Raises what the model's `ask` does. DataError: several in a row got none.
        """
        said = ""
        try:
            for stage in stages:
                text, pictures = stage(said) if callable(stage) else stage
                said = self._ask(text, pictures)
        except Refused as error:
            self._unanswered += 1
            self.refusal = str(error)
            if self._unanswered >= GIVEN_UP:
                raise DataError(
                    f"{GIVEN_UP} questions in a row got no answer ({error}); see to the service, "
                    "then the same command goes on"
                ) from error
            return None
        self._unanswered = 0
        return said

    def _ask(self, text: str, pictures: tuple[bytes, ...]) -> str:
        key = key_of(self.name, text, pictures)
        known = self._cache.get(key)
        if known is None:
            known = self.model.ask(text, pictures)
            self._cache.put(key, known)
        return known


class VlmJudge:
    """A vision-language model, asked in one stage or two."""

    def __init__(self, questions: Questions, config: LabelConfig) -> None:
        self.name, self._questions, self._config = questions.name, questions, config

    def compare(self, first: bytes, second: bytes) -> Verdict:
        """Raises what `Questions.ask` does; a comparison that got no answer failed."""
        if first == second:
            return Verdict(None, "identical")
        text = self._questions.ask(self._stages(first, second))
        if text is None:
            return Verdict(None, "failed", self._questions.refusal)
        answer = prompts.parse_choice(text)
        if answer is None:
            return Verdict(None, "failed", text[:500])
        return Verdict(None, "unsure", text[:500]) if answer == prompts.UNSURE else Verdict(answer, "ok", text[:500])

    def _stages(self, first: bytes, second: bytes) -> list[Stage]:
        task = self._config.task
        if self._config.stages == 1:
            return [(prompts.decide_at_once(task), (first, second))]
        return [(prompts.describe(task), (first, second)), lambda described: (prompts.decide(task, described), ())]
