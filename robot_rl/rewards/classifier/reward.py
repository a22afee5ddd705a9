"""The classifier as a reward: 1 where a frame shows success."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from controllers.interface import Reading
from robot_rl.exceptions import ConfigError, DataError
from robot_rl.rewards.base import RewardResult
from robot_rl.rewards.classifier.model import Classifier, load_classifier


class ClassifierReward:
    """Judges a reading by its features. Whoever acts asks for several frames in a row (`compose.InARow`)."""

    source = "classifier"

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier

    def __call__(self, reading: Reading) -> RewardResult:
        """DataError: the reading lacks the features of a camera that the classifier looks at."""
        if not reading.features:
            raise DataError("the reading holds no features; a classifier judges runs with --obs features")
        maps = {name: np.asarray(maps)[:1] for name, maps in reading.features.items()}
        probability = float(self.classifier.probability(maps)[0])
        success = probability >= self.classifier.threshold
        return RewardResult(float(success), success, probability)


def open_classifier(folder: Path, task: str, backbone_id: str) -> ClassifierReward:
    """The reward of a run of `task` whose pictures the backbone `backbone_id` sees.

    Raises `ConfigError` where it was made for another task or backbone.
    """
    classifier = load_classifier(folder)
    if classifier.task != task:
        raise ConfigError(
            f"the classifier {folder} was trained on task {classifier.task}, not {task}; train one for this task"
        )
    if classifier.backbone_id != backbone_id:
        raise ConfigError(
            f"the classifier {folder} reads features of backbone {classifier.backbone_id}, this run's are of "
            f"{backbone_id}; give --backbone {classifier.backbone}, or train the classifier on this one's"
        )
    return ClassifierReward(classifier)
