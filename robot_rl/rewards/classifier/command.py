"""`robot-rl classifier train` and `review`."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robot_rl.exceptions import ConfigError, DataError
from robot_rl.options import Parser, add_commands, add_fields, values_of
from robot_rl.rewards.classifier.configuration import ClassifierConfig, check_target, validate

if TYPE_CHECKING:
    from robot_rl.data.formats.experience import Experience
    from robot_rl.rewards.classifier.data import Frames, Looks
    from robot_rl.rewards.classifier.model import Classifier

ANSWERS = {"y": 1.0, "n": 0.0}
"""What a person may say of a frame; anything else leaves it."""


def add_classifier(classifier: Parser) -> None:
    """Give `robot-rl classifier` its commands."""
    command = add_commands(classifier, "classifier")
    part = command("train", "SET... --out DIR", train, "train a success classifier on recorded experience")
    part.add_argument("sets", nargs="+", metavar="SET", help="runs, journals, demonstrations; NAME=SET: of one class")
    part.add_argument("--out", type=Path, required=True, metavar="DIR", help="new folder for it and its report")
    add_fields(part, ClassifierConfig, [item.name for item in dataclasses.fields(ClassifierConfig)])

    part = command(
        "review", "SET --model DIR", review, "say of the frames that a classifier is least sure of what they show"
    )
    part.add_argument("set", type=Path, metavar="SET", help="a run, journal or set that holds pictures")
    part.add_argument("--model", type=Path, required=True, metavar="DIR", help="the classifier")
    part.add_argument("--count", type=int, default=16, metavar="N", help="how many frames (16)")
    part.add_argument("--answers", metavar="YNS", help="y, n or s (skip) for each frame, in place of being asked")


def train(options: argparse.Namespace) -> int:
    """`robot-rl classifier train SET... --out DIR`."""
    config = ClassifierConfig(**values_of(options, ClassifierConfig))
    validate(config)
    check_target(options.out)
    from robot_rl.data.formats.whole import whole
    from robot_rl.data.progress import bar
    from robot_rl.rewards.classifier.report import write_report
    from robot_rl.rewards.classifier.training import train as fit

    frames, classes, task, backbone = _read(options.sets, config)
    config = dataclasses.replace(config, backbone=backbone)
    began = time.monotonic()
    with bar("training", config.steps) as tell:
        trained = fit(frames, classes, config, task, tell)
    with whole(options.out) as folder:
        trained.classifier.save(folder)
        write_report(trained, folder)
    _show(trained.classifier.about, time.monotonic() - began, options.out)
    return 0


def _read(sets: list[str], config: ClassifierConfig) -> tuple[Frames, tuple[str, ...], str, str]:
    """Frames of all sets, the classes, the task and the backbone. DataError: sets of several tasks."""
    from robot_rl.data.formats.experience import open_experience
    from robot_rl.rewards.classifier import data

    named = [
        (name, Path(path)) if equals else ("", Path(name)) for name, equals, path in (s.partition("=") for s in sets)
    ]
    classes = _classes([name for name, _ in named])
    parts, tasks, looks = [], set(), None
    for name, path in named:
        experience = open_experience(path)
        tasks.add(experience.schema.task)
        if data.cameras_are_pictures(data.cameras_of(experience)) and looks is None:
            looks = backbone(config.backbone)
        label = classes.index(name) if name else None
        parts.append(data.read_frames(experience, config, looks, label=label))
    if len(tasks) > 1:
        raise DataError(f"the sets are of the tasks {', '.join(sorted(tasks))}; a classifier is of one")
    frames = data.join(parts)
    return frames, classes, tasks.pop(), config.backbone if looks else _backbone_named(frames.backbone_id, config)


def _classes(names: list[str]) -> tuple[str, ...]:
    """Names of the classes, success second: that is its number. Raises `ConfigError`."""
    if not any(names):
        return ("other", "success")
    if not all(names) or "success" not in names:
        raise ConfigError("give every set a class, as NAME=SET, and call one of them success; or none of them")
    others = sorted(set(names) - {"success"})
    if not others:
        raise ConfigError("every set is called success; a classifier needs frames that are none, as other=SET")
    return (others[0], "success", *others[1:])


def _backbone_named(backbone_id: str, config: ClassifierConfig) -> str:
    """What the backbone of recorded features is called. Raises `ConfigError` where it is not the named one."""
    from robot_rl.perception.backbone import fingerprint, open_backbone

    found = fingerprint(open_backbone(config.backbone))
    if found != backbone_id:
        raise ConfigError(
            f"backbone is {config.backbone} ({found}), but the sets' features are of {backbone_id}; "
            "name the one that they were recorded with"
        )
    return config.backbone


def backbone(name: str) -> Looks:
    """What looks at pictures. Four crops: three are seen in training only."""
    from robot_rl.perception.encoder import Perception

    return Perception(name, 4)


def _show(about: Any, seconds: float, folder: Path) -> None:
    low, high = about["false_positive_ci95"]
    rows = {
        "trained": f"on {about['trained_on']:,} frames in {seconds:.1f} s; reported on {about['reported_on']:,} others",
        "accuracy": f"{100 * about['accuracy']:.2f} %",
        "precision": "-" if about["precision"] is None else f"{100 * about['precision']:.2f} %",
        "recall": f"{100 * about['recall']:.2f} %",
        "false positives": f"{about['false_positives']} of {about['negatives']:,} "
        f"({100 * low:.2f} to {100 * high:.2f} %)",
        "threshold": f"{about['threshold']:.4f} (temperature {about['temperature']:.2f})",
        "area under ROC": f"{about['auc']:.5f}",
    }
    for name, text in rows.items():
        print(f"{name:<16} {text}")
    print(f"written: {folder}")


def review(options: argparse.Namespace) -> int:
    """`robot-rl classifier review SET --model DIR`: what a person says lies beside the set, for the next training."""
    from robot_rl.data.beside import Judgement, write_labels
    from robot_rl.data.formats.experience import open_experience
    from robot_rl.rewards.classifier.data import REVIEW
    from robot_rl.rewards.classifier.model import load_classifier
    from robot_rl.rewards.classifier.report import frames_near, grid

    experience, classifier = open_experience(options.set), load_classifier(options.model)
    frames = all_frames(experience, classifier)
    if not frames.pictures:
        raise DataError(f"{options.set} holds features and no pictures to look at; record with --obs pixels to review")
    probability = classifier.probability({name: maps[:, 0] for name, maps in frames.maps.items()})
    near = frames_near(probability, classifier.threshold, max(1, options.count), frames)
    picture = options.model / "review.png"
    titles = [f"{number}: p {probability[i]:.3f}" for number, i in enumerate(near, 1)]
    grid([frames.pictures[i] for i in near], titles, picture)
    print(f"{len(near)} frames nearest to the threshold: {picture}")
    said = _answers(options.answers, len(near))
    judged = []
    for index, word in zip(near, said, strict=False):
        episode, step = frames.place[index]
        if word in ANSWERS:
            judged.append(Judgement(episode, step, ANSWERS[word], "success"))
    if not judged:
        print("nothing was said, nothing was written")
        return 0
    folder = write_labels(experience, REVIEW, judged)
    print(f"{len(judged)} labels: {folder}")
    print(f"train with them: robot-rl classifier train {options.set} --out NEW_DIR")
    return 0


def all_frames(experience: Experience, classifier: Classifier) -> Frames:
    """Every frame of the experience, as the classifier sees it. ConfigError: it is of another task or backbone."""
    from robot_rl.rewards.classifier.data import cameras_are_pictures, cameras_of, read_frames

    if classifier.task != experience.schema.task:
        raise ConfigError(
            f"the classifier was trained on task {classifier.task}, {experience.path} is of {experience.schema.task}; "
            "train one for that task"
        )
    looks = backbone(classifier.backbone) if cameras_are_pictures(cameras_of(experience)) else None
    frames = read_frames(experience, ClassifierConfig(), looks, every=True)
    if frames.backbone_id != classifier.backbone_id:
        raise ConfigError(
            f"the classifier reads features of backbone {classifier.backbone_id}, {experience.path} was seen by "
            f"{frames.backbone_id}; train one on features of that backbone"
        )
    return frames


def _answers(given: str | None, count: int) -> list[str]:
    """A word for each frame. Raises `ConfigError` where it cannot be asked for."""
    if given is not None:
        words = list(given.replace(",", ""))
        if len(words) != count or set(words) - {*ANSWERS, "s"}:
            raise ConfigError(f"--answers is {given!r}, but must be {count} letters, each y, n or s.")
        return words
    if not sys.stdin.isatty():
        raise ConfigError("nobody can be asked, since this is no terminal; give --answers, such as yynsy.")
    print("y: success, n: none, Enter: skip, q: enough")
    words = []
    for number in range(1, count + 1):
        word = input(f"frame {number}: ").strip().lower()[:1]
        if word == "q":
            break
        words.append(word)
    return words
