"""`robot-rl data audit` and `relabel`: what experience is worth, and to whom."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

from robot_rl.exceptions import ConfigError
from robot_rl.options import Parser


def add_judging(command: Callable[[str, str, Callable[[argparse.Namespace], int], str], Parser]) -> None:
    """Give `robot-rl data` these commands."""
    part = command("audit", "PATH", audit, "say what experience is good for: cloning, offline learning, or neither yet")
    part.add_argument("path", type=Path, metavar="PATH", help="run, journal or demonstrations")
    part.add_argument("--reward", default="dataset", metavar="dataset|SOURCE", help="whose rewards count (dataset)")
    part.add_argument("--returns", type=_bounds, metavar="LOW,HIGH", help="worst and best return of the task, if known")
    part.add_argument("--json", action="store_true", help="print one JSON object and nothing else")


def _bounds(text: str) -> tuple[float, float]:
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        low = high = 0.0
    if not low < high:
        raise ConfigError(f"--returns is {text!r}, but must be the worst return and the best, as in 0,1.")
    return low, high


def audit(options: argparse.Namespace) -> int:
    """`robot-rl data audit PATH`."""
    from robot_rl.config import LearnerConfig
    from robot_rl.data.audit import audit as look_at
    from robot_rl.data.audit import lines
    from robot_rl.data.formats.experience import open_experience
    from robot_rl.data.progress import bar
    from robot_rl.data.worth import RECORDED, Worth

    experience = open_experience(options.path)
    worth = Worth(experience, RECORDED if options.reward == "dataset" else options.reward, LearnerConfig())
    with bar("reading", experience.records) as tell:
        found = look_at(experience, worth, options.returns, tell)
    if options.json:
        print(json.dumps(found.summary()))
    else:
        for name, text in lines(found):
            print(f"{name:<21} {text}")
    return 0
