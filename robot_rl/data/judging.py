"""`robot-rl data audit` and `relabel`: what experience is worth, and to whom."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from robot_rl.exceptions import ConfigError
from robot_rl.options import AddCommand


def add_judging(command: AddCommand) -> None:
    """Give `robot-rl data` these commands."""
    part = command("audit", "PATH", audit, "say what experience is good for: cloning, offline learning, or neither yet")
    part.add_argument("path", type=Path, metavar="PATH", help="run, journal or demonstrations")
    part.add_argument("--reward", default="dataset", metavar="dataset|SOURCE", help="whose rewards count (dataset)")
    part.add_argument("--returns", type=_bounds, metavar="LOW,HIGH", help="worst and best return of the task, if known")
    part.add_argument("--json", action="store_true", help="print one JSON object and nothing else")

    part = command("relabel", "PATH", relabel, "let a reward model judge recorded experience; its labels lie beside it")
    part.add_argument("path", type=Path, metavar="PATH", help="run, journal or demonstrations")
    part.add_argument("--reward", required=True, metavar="SOURCE", help="what judges: classifier, preference")
    part.add_argument("--model", type=Path, required=True, metavar="DIR", help="the trained model")
    part.add_argument("--name", metavar="NAME", help="what the labels' source is called (as --reward)")
    part.add_argument("--dry-run", action="store_true", help="judge, say what would be written, and stop")


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


def relabel(options: argparse.Namespace) -> int:
    """`robot-rl data relabel PATH --reward SOURCE`."""
    from robot_rl.data.beside import write_labels
    from robot_rl.data.formats.experience import open_experience
    from robot_rl.data.progress import bar
    from robot_rl.rewards.relabel import judge

    experience = open_experience(options.path)
    judgements, told = judge(experience, options.reward, options.model)
    name = options.name or options.reward
    if options.dry_run:
        print(f"{len(judgements):,} labels of '{name}' beside {options.path}: {told}")
        print("nothing was written: this is a dry run")
        return 0
    with bar("writing", len(judgements)) as tell:
        folder = write_labels(experience, name, judgements, tell)
    print(f"{told}")
    print(f"{len(judgements):,} labels: {folder}")
    print(f"learn from them: robot-rl offline {options.path} --reward {name}")
    return 0
