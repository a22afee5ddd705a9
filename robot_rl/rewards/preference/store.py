"""Comparisons and answers on the disk: what was paid for once is never asked again."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from robot_rl.disk import disk_errors
from robot_rl.exceptions import DataError

PREFERENCES, ANSWERS, ABOUT = "preferences.jsonl", "answers.jsonl", "about.json"
STATUSES = ("ok", "unsure", "failed", "identical")

Place = tuple[str, int]
"""An episode, and the first of a clip's steps in it."""


@dataclass(frozen=True)
class Preference:
    """Of two clips: 0 the first is better, 1 the second; None where nobody could say (`status`)."""

    first: Place
    second: Place
    answer: int | None
    status: str
    judge: str
    text: str = ""
    session: int = 0

    def __post_init__(self) -> None:
        if self.status not in STATUSES or (self.answer in (0, 1)) != (self.status == "ok"):
            raise DataError(f"a preference's answer is {self.answer} and its status {self.status!r}")


class Lines:
    """JSON objects, a line each, appended and durable; what a crash left half is passed over."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __iter__(self) -> Iterator[dict[str, Any]]:
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            for line in file:
                try:
                    found = json.loads(line)
                except ValueError:
                    continue
                if isinstance(found, dict):
                    yield found

    def append(self, values: dict[str, Any]) -> None:
        """Raises `DiskError`."""
        line = json.dumps(values).encode() + b"\n"
        with disk_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a+b") as file:
                size = file.seek(0, os.SEEK_END)
                if size:
                    file.seek(size - 1)
                    line = line if file.read(1) == b"\n" else b"\n" + line
                file.write(line)
                file.flush()
                os.fsync(file.fileno())


class Cache:
    """Answers by what was asked: the same model, text and pictures are asked once."""

    def __init__(self, folder: Path) -> None:
        self._lines = Lines(folder / ANSWERS)
        self._known = {
            str(line["key"]): str(line["answer"]) for line in self._lines if {"key", "answer"} <= line.keys()
        }

    def __len__(self) -> int:
        return len(self._known)

    def get(self, key: str) -> str | None:
        return self._known.get(key)

    def put(self, key: str, answer: str) -> None:
        """On the disk before it is used."""
        self._lines.append({"key": key, "answer": answer})
        self._known[key] = answer


def key_of(model: str, text: str, pictures: Sequence[bytes]) -> str:
    """Of a question: its content's SHA-256."""
    digest = hashlib.sha256()
    for part in (model.encode(), text.encode(), *pictures):
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()


def read_preferences(folder: Path) -> list[Preference]:
    """What was said so far. DataError: a line is none."""
    found = []
    for line in Lines(folder / PREFERENCES):
        try:
            first, second = ((str(line[name][0]), int(line[name][1])) for name in ("first", "second"))
            found.append(
                Preference(
                    first,
                    second,
                    line["answer"],
                    line["status"],
                    line["judge"],
                    line.get("text", ""),
                    int(line.get("session", 0)),
                )
            )
        except (LookupError, TypeError, ValueError) as error:
            raise DataError(f"{folder / PREFERENCES} holds a line that is no preference: {line}") from error
    return found


def add_preference(folder: Path, preference: Preference) -> None:
    """Append one. Raises `DiskError`."""
    Lines(folder / PREFERENCES).append(asdict(preference))


def counts(preferences: Iterable[Preference]) -> dict[str, int]:
    """By status."""
    found = dict.fromkeys(STATUSES, 0)
    for preference in preferences:
        found[preference.status] += 1
    return found
