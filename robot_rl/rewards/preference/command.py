"""`robot-rl preferences label` and `fit`."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

from robot_rl.exceptions import ConfigError, DataError, RobotRLError
from robot_rl.options import Parser, add_commands, add_fields, values_of
from robot_rl.rewards.preference.configuration import LabelConfig, RewardConfig, validate_label, validate_reward
from robot_rl.rewards.progress.configuration import ScoreConfig, validate_progress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from robot_rl.rewards.classifier.data import Frames

INTERRUPTED = 130
BACKBONE = "compact"


def add_preferences(preferences: Parser) -> None:
    """Give `robot-rl preferences` its commands."""
    command = add_commands(preferences, "preferences")
    what = "ask a vision-language model, or a person, which of two moments is nearer the goal"
    part = command("label", "SET --out DIR --task SENTENCE", label, what)
    _add_set(part)
    part.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="for the answers; goes on with what is there"
    )
    part.add_argument("--reward", type=Path, metavar="DIR", help="for --pick disagreement: a fitted reward")
    part.add_argument(
        "--port", type=int, default=0, metavar="N", help="human: of the page on this machine (any free one)"
    )
    part.add_argument("--dry-run", action="store_true", help="say what would be asked and what it would cost, and stop")
    add_fields(part, LabelConfig, [item.name for item in dataclasses.fields(LabelConfig)])

    what = "ask a vision-language model how far the task is done in single pictures; labels beside the set"
    part = command("score", "SET --out DIR --task SENTENCE", score, what)
    _add_set(part)
    part.add_argument("--out", type=Path, required=True, metavar="DIR", help="for the answers; none is paid for twice")
    part.add_argument("--every", type=int, default=5, metavar="N", help="steps of an episode between two questions (5)")
    part.add_argument("--name", default="progress", metavar="NAME", help="what the labels' source is called (progress)")
    add_fields(part, ScoreConfig, [item.name for item in dataclasses.fields(ScoreConfig)])

    part = command("fit", "SET --labels DIR --out DIR", fit, "learn a reward from comparisons")
    _add_set(part)
    part.add_argument("--labels", type=Path, required=True, metavar="DIR", help="what `label` wrote")
    part.add_argument("--out", type=Path, required=True, metavar="DIR", help="new folder for the reward")
    add_fields(part, RewardConfig, [item.name for item in dataclasses.fields(RewardConfig)])


def _add_set(part: Parser) -> None:
    part.add_argument("set", type=Path, metavar="SET", help="a run, journal or set that holds pictures")


def label(options: argparse.Namespace) -> int:
    """`robot-rl preferences label SET`."""
    from robot_rl.commands import interruptible
    from robot_rl.data.progress import bar
    from robot_rl.rewards.preference import clips
    from robot_rl.rewards.preference.labelling import label as compare
    from robot_rl.rewards.preference.labelling import left_to_ask
    from robot_rl.rewards.preference.opening import open_judge
    from robot_rl.rewards.preference.store import counts, read_preferences

    config = LabelConfig(**values_of(options, LabelConfig))
    validate_label(config)
    _same_question(options.out, config)
    frames = read(options.set)
    clips.check_camera(frames, config.camera)
    pairs = left_to_ask(frames, config, read_preferences(options.out), _values(options.reward, frames, config))
    _announce(frames, config, len(pairs))
    if options.dry_run:
        print("nothing was asked or written: this is a dry run")
        return 0
    _write_about(options.out, config)
    with (
        interruptible() as stopped,
        open_judge(
            config, options.out, len(pairs), stopped.is_set, lambda text: print(text, flush=True), options.port
        ) as judge,
    ):
        try:
            with bar("comparing", len(pairs)) as tell:
                compare(frames, config, judge, options.out, pairs, tell, stopped.is_set)
        except RobotRLError as error:
            print(f"{len(read_preferences(options.out)):,} comparisons are kept in {options.out}")
            raise error
    by_status = counts(read_preferences(options.out))
    print(", ".join(f"{count:,} {status}" for status, count in by_status.items()) + f": {options.out}")
    if stopped.is_set():
        print("stopped; the same command goes on")
        return INTERRUPTED
    print(f"learn a reward from them: robot-rl preferences fit {options.set} --labels {options.out} --out DIR")
    return 0


def _announce(frames: Frames, config: LabelConfig, left: int) -> None:
    from robot_rl.rewards.preference.labelling import estimate

    requests, cost = estimate(frames, config, left)
    if config.judge == "human":
        print(f"{left:,} comparisons to make")
        return
    price = f", some {cost:.3g} by the prices given" if config.price_in or config.price_out else ""
    print(f"{left:,} comparisons to ask for, {requests:,} requests{price}")


def fit(options: argparse.Namespace) -> int:
    """`robot-rl preferences fit SET --labels DIR --out DIR`."""
    config = RewardConfig(**values_of(options, RewardConfig))
    validate_reward(config)
    from robot_rl.rewards.classifier.configuration import check_target

    check_target(options.out)
    from robot_rl.data.formats.experience import open_experience
    from robot_rl.data.formats.whole import whole
    from robot_rl.data.progress import bar
    from robot_rl.rewards.preference.ensemble import fit as learn
    from robot_rl.rewards.preference.store import ABOUT, read_preferences

    file = options.labels / ABOUT
    if not file.is_file():
        raise DataError(f"{options.labels} holds no comparisons; make some with `robot-rl preferences label`")
    length = int(json.loads(file.read_text())["length"])
    frames, task = read(options.set), open_experience(options.set).schema.task
    with bar("learning", config.members * config.steps) as tell:
        reward = learn(frames, read_preferences(options.labels), length, config, task, tell)
    with whole(options.out) as folder:
        reward.save(folder)
        (folder / "report.json").write_text(json.dumps(reward.about, indent=1) + "\n")
    about = reward.about
    print(f"{about['comparisons']:,} comparisons; right on {100 * about['right']:.1f} % of those learnt from, ", end="")
    print(f"{100 * about['right_held_out']:.1f} % of {about['held_out']} others")
    print(f"written: {options.out}")
    print(f"judge the set by it: robot-rl data relabel {options.set} --reward preference --model {options.out}")
    return 0


def score(options: argparse.Namespace) -> int:
    """`robot-rl preferences score SET`."""
    config = ScoreConfig(**values_of(options, ScoreConfig))
    validate_progress(config)
    if options.every < 1:
        raise ConfigError(f"--every is {options.every}, but must be at least 1.")
    from robot_rl.commands import interruptible
    from robot_rl.data.beside import write_labels
    from robot_rl.data.formats.experience import open_experience
    from robot_rl.data.progress import bar
    from robot_rl.rewards.progress.model import open_progress
    from robot_rl.rewards.progress.scoring import score as ask

    experience = open_experience(options.set)
    model = open_progress(config, options.out)
    with interruptible() as stopped, bar("looking", sum(reader.steps for reader in experience.readers)) as tell:
        judged = ask(experience, config, model, options.every, tell, stopped.is_set)
    if judged is None:
        print(f"stopped; the same command goes on with the answers in {options.out}")
        return INTERRUPTED
    folder = write_labels(experience, options.name, judged)
    print(f"{len(judged):,} labels, {model.failed:,} pictures without an answer: {folder}")
    print(f"learn from them: robot-rl offline {options.set} --reward {options.name}")
    return 0


def read(path: Path) -> Frames:
    """Every frame of a set, seen by our backbone where it holds pictures."""
    from robot_rl.data.formats.experience import open_experience
    from robot_rl.rewards.classifier.command import backbone
    from robot_rl.rewards.classifier.configuration import ClassifierConfig
    from robot_rl.rewards.classifier.data import cameras_are_pictures, cameras_of, read_frames

    experience = open_experience(path)
    looks = backbone(BACKBONE) if cameras_are_pictures(cameras_of(experience)) else None
    return read_frames(experience, ClassifierConfig(), looks, every=True)


def _values(reward: Path | None, frames: Frames, config: LabelConfig) -> NDArray[np.float32] | None:
    if config.pick == "uniform":
        return None
    if reward is None:
        raise ConfigError("--pick is disagreement, but whose? Name a fitted reward with --reward DIR.")
    from robot_rl.rewards.preference.ensemble import load_reward

    return load_reward(reward).values({name: maps[:, 0] for name, maps in frames.maps.items()})


def _same_question(folder: Path, config: LabelConfig) -> None:
    """Raise `ConfigError` where the folder holds answers to another question."""
    from robot_rl.rewards.preference.store import ABOUT

    file = folder / ABOUT
    if not file.is_file():
        return
    before = json.loads(file.read_text())
    for name in ("task", "length"):
        if before.get(name) != getattr(config, name):
            raise ConfigError(
                f"{folder} holds answers with --{name} {before.get(name)!r}, not {getattr(config, name)!r}; "
                "give the same, or another --out"
            )


def _write_about(folder: Path, config: LabelConfig) -> None:
    from robot_rl.disk import disk_errors
    from robot_rl.rewards.preference.store import ABOUT

    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ABOUT).write_text(json.dumps(dataclasses.asdict(config), indent=1) + "\n")
