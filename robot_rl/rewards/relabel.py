"""What a reward model says of experience that was recorded before it was there."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from robot_rl.data.beside import Judgement
from robot_rl.data.formats.experience import Experience
from robot_rl.exceptions import ConfigError

MODELS = ("classifier", "preference")


def judge(experience: Experience, reward: str, model: Path) -> tuple[list[Judgement], str]:
    """A reward for every step, and a sentence on them. Raises `ConfigError`, `DataError`."""
    if reward not in MODELS:
        raise ConfigError(f"--reward is {reward!r}, but only {', '.join(MODELS)} can judge what is recorded.")
    return _by_classifier(experience, model) if reward == "classifier" else _by_preference(experience, model)


def _by_preference(experience: Experience, model: Path) -> tuple[list[Judgement], str]:
    """What a reward learnt from comparisons says of every frame."""
    from robot_rl.rewards.preference.command import read
    from robot_rl.rewards.preference.ensemble import load_reward

    reward = load_reward(model)
    if reward.task != experience.schema.task:
        raise ConfigError(
            f"the reward {model} is of task {reward.task}, {experience.path} of {experience.schema.task}; "
            "fit one for that task"
        )
    frames = read(experience.path)
    if reward.backbone_id != frames.backbone_id:
        raise ConfigError(
            f"the reward {model} reads features of backbone {reward.backbone_id}, {experience.path} was seen by "
            f"{frames.backbone_id}; fit one on features of that backbone"
        )
    values = reward.reward({name: maps[:, 0] for name, maps in frames.maps.items()})
    judged = [
        Judgement(episode, step, float(value)) for (episode, step), value in zip(frames.place, values, strict=True)
    ]
    return judged, f"rewards from {values.min():.3f} to {values.max():.3f}, {values.mean():.3f} on average"


def _by_classifier(experience: Experience, model: Path) -> tuple[list[Judgement], str]:
    """1 where a frame shows success, else 0."""
    from robot_rl.rewards.classifier.command import all_frames
    from robot_rl.rewards.classifier.model import load_classifier

    classifier = load_classifier(model)
    frames = all_frames(experience, classifier)
    probability = classifier.probability({name: maps[:, 0] for name, maps in frames.maps.items()})
    called = probability >= classifier.threshold
    judged = [
        Judgement(episode, step, float(success)) for (episode, step), success in zip(frames.place, called, strict=True)
    ]
    return judged, f"{int(np.sum(called)):,} of {len(judged):,} frames show success"
