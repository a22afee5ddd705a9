"""A chat service that speaks OpenAI's protocol and sees pictures: vLLM, Ollama, llama.cpp's server, or a hosted one."""

from __future__ import annotations

import base64
import http.client
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from robot_rl.disk import write_durably
from robot_rl.exceptions import ConfigError, DataError
from robot_rl.rewards.preference.configuration import ServiceConfig
from robot_rl.rewards.preference.prompts import SYSTEM

BUSY = (408, 409, 425, 429, 500, 502, 503, 504)
"""Statuses after which it is worth asking again."""
LONGEST_WAIT = 60.0
TOKENS = 300
"""Of an answer, at most."""
LARGEST_ANSWER = 1 << 20
ACCOUNT = "spent.json"


class Refused(DataError):
    """The service gave no answer to this question; the next one may fare better."""


class BudgetSpent(DataError):
    """What may be spent is spent."""


@dataclass
class Spent:
    """So far. tokens_in, tokens_out: as the service counts, else estimated."""

    requests: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    retries: int = 0

    def cost(self, config: ServiceConfig) -> float:
        """By the prices of a million tokens."""
        return (self.tokens_in * config.price_in + self.tokens_out * config.price_out) / 1e6


class ChatModel:
    """Asks one question at a time, with pictures. One who is busy is asked again, later and later."""

    def __init__(
        self, config: ServiceConfig, sleep: Callable[[float], None] = time.sleep, folder: Path | None = None
    ) -> None:
        """folder: keeps what was spent, so that a budget holds for all that is asked there, whatever is restarted."""
        self.config, self._account = config, None if folder is None else folder / ACCOUNT
        self.spent = _spent_so_far(self._account)
        self.name = f"{config.model}@{config.endpoint}"
        self._sleep = sleep
        self._url = config.endpoint.rstrip("/") + "/chat/completions"
        self._key = os.environ.get(config.key_variable, "")
        self._next = 0.0

    def ask(self, text: str, pictures: Sequence[bytes] = ()) -> str:
        """Its answer. pictures: PNG files.

        ConfigError: nobody is there, or the key, the model or the address is wrong: no question would fare better.
        Refused: this question got no answer. BudgetSpent: nothing may be asked any more.
        """
        self._check_budget()
        body = json.dumps(self._question(text, pictures)).encode()
        for attempt in range(self.config.retries + 1):
            self._keep_rate()
            answer = self._send(body, last=attempt == self.config.retries)
            if isinstance(answer, str):
                return answer
            self.spent.retries += 1
            self._sleep(min(LONGEST_WAIT, answer if answer > 0 else 2.0**attempt))
        raise AssertionError("the last attempt raises")

    def _send(self, body: bytes, *, last: bool) -> str | float:
        """The answer, or the seconds to wait before asking again (0: as one likes); raises on the `last` attempt."""
        request = urllib.request.Request(self._url, body, {"Content-Type": "application/json", **self._authorised()})
        self.spent.requests += 1
        try:
            with urllib.request.urlopen(request, timeout=self.config.timeout) as reply:
                return self._read(reply.read(LARGEST_ANSWER))
        except urllib.error.HTTPError as error:
            if error.code in BUSY and not last:
                return _seconds(error.headers.get("Retry-After"))
            raise self._mend(error.code, error.read(2000).decode(errors="replace")) from error
        except (TimeoutError, urllib.error.URLError, http.client.HTTPException, ConnectionError) as error:
            reason = getattr(error, "reason", error)
            if not last:
                return 0.0
            if isinstance(reason, TimeoutError):
                raise Refused(
                    f"no answer from {self._url} within {self.config.timeout:g} s; raise {self.config.prefix}timeout"
                ) from error
            raise ConfigError(
                f"nobody answers at {self._url} ({reason}); start the service, or name another with "
                f"{self.config.prefix}endpoint"
            ) from error

    def _mend(self, status: int, said: str) -> ConfigError | Refused:
        short = " ".join(said.split())[:200]
        if status in (401, 403):
            return ConfigError(
                f"{self._url} refuses the key in ${self.config.key_variable} ({status}: {short}); "
                "put the right one there"
            )
        if status == 404:
            return ConfigError(
                f"{self._url} knows no model {self.config.model!r} or no such path ({short}); "
                f"check {self.config.prefix}model and {self.config.prefix}endpoint"
            )
        if status == 413:
            return ConfigError(
                f"{self._url} finds the pictures too large; "
                f"give a smaller {self.config.prefix}largest than {self.config.largest}"
            )
        return Refused(f"{self._url} answered with status {status}: {short}")

    def _question(self, text: str, pictures: Sequence[bytes]) -> dict[str, Any]:
        parts: list[dict[str, Any]] = []
        for number, picture in enumerate(pictures, 1):
            if len(pictures) > 1:
                parts.append({"type": "text", "text": f"Image {number}:"})
            data = "data:image/png;base64," + base64.b64encode(picture).decode()
            parts.append({"type": "image_url", "image_url": {"url": data}})
        parts.append({"type": "text", "text": text})
        messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": parts if pictures else text}]
        return {"model": self.config.model, "messages": messages, "temperature": 0, "max_tokens": TOKENS}

    def _read(self, data: bytes) -> str:
        """Refused: that is no answer of a chat service."""
        try:
            found = json.loads(data)
            text = found["choices"][0]["message"]["content"]
            usage = found.get("usage") or {}
            counts = int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or len(text) // 4)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise Refused(f"what {self._url} sent is no answer ({type(error).__name__}: {data[:80]!r})") from error
        self.spent.tokens_in += max(0, counts[0])
        self.spent.tokens_out += max(0, counts[1])
        if self._account is not None and self.config.budget:
            self._account.parent.mkdir(parents=True, exist_ok=True)
            write_durably(self._account, json.dumps(asdict(self.spent)))
        if not isinstance(text, str) or not text.strip():
            raise Refused(f"{self._url} answered with nothing")
        return text

    def _authorised(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._key}"} if self._key else {}

    def _keep_rate(self) -> None:
        if not self.config.per_minute:
            return
        now = time.monotonic()
        if now < self._next:
            self._sleep(self._next - now)
        self._next = max(now, self._next) + 60 / self.config.per_minute

    def _check_budget(self) -> None:
        if self.config.budget and self.spent.cost(self.config) >= self.config.budget:
            raise BudgetSpent(
                f"{self.spent.cost(self.config):.4g} of the budget of {self.config.budget:g} is spent; "
                f"raise {self.config.prefix}budget to go on"
            )


def _spent_so_far(account: Path | None) -> Spent:
    """Raises `DataError` where the account cannot be read: nobody knows then what may still be spent."""
    if account is None or not account.is_file():
        return Spent()
    try:
        return Spent(**{name: int(value) for name, value in json.loads(account.read_text()).items()})
    except (ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{account} does not say what was spent ({error}); mend it, or remove it") from error


def _seconds(text: str | None) -> float:
    """What a busy service asks for; 0 where it says nothing that can be read."""
    try:
        return max(0.0, float(text or 0))
    except ValueError:
        return 0.0
