"""From frames to a classifier: parts of them held out, calibrated, reported on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot_rl.evaluate import wilson
from robot_rl.exceptions import DataError
from robot_rl.rewards.classifier.configuration import ClassifierConfig
from robot_rl.rewards.classifier.data import SUCCESS, Frames
from robot_rl.rewards.classifier.model import Classifier, calibrate, choose_threshold, fit

LEAST = 2
"""Frames of each class that a held-out half needs."""


@dataclass(frozen=True)
class Trained:
    """The classifier, what it says of the frames it is reported on, and these."""

    classifier: Classifier
    reported: Frames
    probability: NDArray[np.float32]


def train(
    frames: Frames, classes: Sequence[str], config: ClassifierConfig, task: str, tell: Callable[[int], None]
) -> Trained:
    """Train on a part of the episodes; choose temperature and threshold on another, report on a third.

    DataError: a part lacks a class.
    """
    rng = np.random.default_rng(config.seed)
    training, choosing, reported = split(frames, config.held_out, rng)
    head = fit(training, classes, config, tell)
    shapes = {name: maps.shape[2:] for name, maps in frames.maps.items()}
    raw = Classifier(head, tuple(classes), shapes, config.backbone, frames.backbone_id, task, 1.0, 0.5, {})
    for part, name in ((choosing, "calibrate with"), (reported, "report on")):
        counts = np.bincount(part.label, minlength=len(classes))
        if counts.min() < LEAST:
            raise DataError(
                f"of '{classes[int(counts.argmin())]}' there are {counts.min()} held-out frames to {name}, and "
                f"{LEAST} are needed; record more episodes of it, or hold out more with --held-out"
            )
    temperature = calibrate(raw.logits(plain(choosing)), choosing.label)
    warm = Classifier(head, raw.classes, shapes, raw.backbone, raw.backbone_id, task, temperature, 0.5, {})
    said = warm.probability(plain(choosing))
    threshold = choose_threshold(said, choosing.label == SUCCESS, config.false_positives)
    found = warm.probability(plain(reported))
    about = measures(found, reported.label == SUCCESS, threshold) | {
        "temperature": temperature,
        "frames": {name: int((frames.label == number).sum()) for number, name in enumerate(classes)},
        "trained_on": len(training),
        "classes_right": float((warm.logits(plain(reported)).argmax(-1) == reported.label).mean()),
    }
    classifier = Classifier(
        head, raw.classes, shapes, raw.backbone, raw.backbone_id, task, temperature, threshold, about
    )
    return Trained(classifier, reported, found)


def split(frames: Frames, held_out: float, rng: np.random.Generator) -> tuple[Frames, Frames, Frames]:
    """Parts by episode: to train on, to choose with, to report on.

    Frames of one episode are alike: one that is trained on says nothing of how well others are known. Episodes that
    hold a success are spread as evenly as the others.
    """
    episodes: dict[str, list[int]] = {}
    for index, (episode, _) in enumerate(frames.place):
        episodes.setdefault(episode, []).append(index)
    parts: tuple[list[int], list[int], list[int]] = ([], [], [])
    kinds: dict[tuple[int, ...], list[list[int]]] = {}
    for members in episodes.values():
        kinds.setdefault(tuple(sorted(set(frames.label[members].tolist()))), []).append(members)
    for alike in kinds.values():
        order = rng.permutation(len(alike))
        half = int(np.ceil(held_out * len(alike) / 2)) if len(alike) > 2 else 0
        bounds = (0, half, 2 * half, len(alike))
        for part, (start, stop) in zip((1, 2, 0), pairwise(bounds), strict=True):
            for number in order[start:stop]:
                parts[part].extend(alike[number])
    training, choosing, reported = (frames.take(np.array(sorted(part), np.int64)) for part in parts)
    return training, choosing, reported


def plain(frames: Frames) -> dict[str, Any]:
    """The maps of the frames as they are, without crops."""
    return {name: maps[:, 0] for name, maps in frames.maps.items()}


def measures(probability: NDArray[np.float32], success: NDArray[np.bool_], threshold: float) -> dict[str, Any]:
    """How well success is told: with `threshold`, and over all of them."""
    called = probability >= threshold
    right, wrong = int((called & success).sum()), int((called & ~success).sum())
    positives, negatives = int(success.sum()), int((~success).sum())
    return {
        "threshold": threshold,
        "reported_on": len(success),
        "accuracy": float((called == success).mean()),
        "precision": right / (right + wrong) if right + wrong else None,
        "recall": right / positives if positives else None,
        "false_positives": wrong,
        "negatives": negatives,
        "false_positive_rate": wrong / negatives if negatives else None,
        "false_positive_ci95": [round(bound, 5) for bound in wilson(wrong, negatives)] if negatives else None,
        "auc": area(probability, success),
        "calibration_error": calibration_error(probability, success),
    }


def area(probability: NDArray[np.float32], success: NDArray[np.bool_]) -> float | None:
    """Under the ROC curve: how often a success is more probable than what is none."""
    if success.all() or not success.any():
        return None
    both = np.concatenate([probability[success], probability[~success]])
    _, place, counts = np.unique(both, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    positives, negatives = int(success.sum()), int((~success).sum())
    return float((ranks[:positives].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def calibration_error(probability: NDArray[np.float32], success: NDArray[np.bool_], bins: int = 10) -> float:
    """Expected calibration error: how far probabilities are from how often they came true."""
    number = np.minimum((probability * bins).astype(int), bins - 1)
    gaps = [
        abs(probability[number == b].mean() - success[number == b].mean()) * (number == b).mean()
        for b in range(bins)
        if (number == b).any()
    ]
    return float(sum(gaps))


def roc(probability: NDArray[np.float32], success: NDArray[np.bool_]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Rates of false and of true positives, as the threshold falls from 1 to 0."""
    order = np.argsort(-probability, kind="stable")
    true, false = np.cumsum(success[order]), np.cumsum(~success[order])
    start = np.zeros(1)
    return np.append(start, false / max(1, false[-1])), np.append(start, true / max(1, true[-1]))
