"""Single pictures, and how far the task is done in each (as RoboReward and Robometer are asked)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from robot_rl.rewards.preference.chat import ChatModel
from robot_rl.rewards.preference.judges import Asks, Questions
from robot_rl.rewards.preference.store import Cache
from robot_rl.rewards.progress.configuration import ProgressConfig


def question(task: str) -> str:
    """Shown with one picture."""
    return (
        f"The goal is: {task}\nHow much of it is achieved in the picture? Reply with a single line that holds a whole "
        "number from 0, nothing of it, to 100, all of it."
    )


def parse_progress(text: str) -> float | None:
    """The last line's number over 100; None where it is no number from 0 to 100: prose, a refusal."""
    lines = text.strip().splitlines() or [""]
    found = re.fullmatch(r"(?i)\W*(?:(?:answer|progress)\W*[:=]\W*)?(\d{1,3}(?:\.\d+)?)\W*", lines[-1])
    value = float(found[1]) / 100 if found else -1.0
    return value if 0 <= value <= 1 else None


@dataclass
class ProgressModel:
    """Asks; nothing is asked twice. failed: how many pictures got no number."""

    questions: Questions
    task: str
    failed: int = 0

    def progress(self, picture: bytes) -> float | None:
        """From 0 to 1 of a PNG; None where the model gave no number. Raises as `Questions.ask` does."""
        said = self.questions.ask([(question(self.task), (picture,))])
        found = None if said is None else parse_progress(said)
        self.failed += found is None
        return found


def open_progress(config: ProgressConfig, folder: Path) -> ProgressModel:
    """The model that the configuration names. folder: of its answers. Raises `ConfigError`."""
    model: Asks
    if config.judge == "local":
        from robot_rl.rewards.preference.local import LocalModel

        model = LocalModel(config)
    else:
        model = ChatModel(config, folder=folder)
    return ProgressModel(Questions(model, Cache(folder)), config.task)
