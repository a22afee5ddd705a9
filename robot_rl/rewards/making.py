"""The learnt reward of a run, where it has one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from robot_rl.config import OFFLINE, RunConfig
from robot_rl.data.demos import Demonstrations
from robot_rl.data.schema import Schema
from robot_rl.experience import Records
from robot_rl.nets.observation import ObservationSpec
from robot_rl.rewards.learnt import LearntReward
from robot_rl.runs import RunFolder


def make_learnt(
    config: RunConfig,
    run: RunFolder,
    schema: Schema,
    demonstrations: Callable[[], Records],
    tell: Callable[[str], None],
) -> LearntReward | None:
    """What judges the steps of such a run; None where their reward comes with them.

    schema: of what is learnt from. tell: gets sentences for a person. Raises `ConfigError`, `DataError` where there is
    nothing to learn it from.
    """
    if config.reward == "vice":
        return _vice(config, schema, demonstrations)
    if config.reward == "preference" and config.agent not in OFFLINE:
        return _feedback(config, run, schema, tell)
    return None


def _vice(config: RunConfig, schema: Schema, demonstrations: Callable[[], Records]) -> LearntReward:
    from robot_rl.rewards.vice.goals import goals_of
    from robot_rl.rewards.vice.reward import ViceReward

    settings = config.vice
    spec = ObservationSpec.of({item.name: np.zeros(item.shape, item.dtype) for item in schema.observation})
    shown = Demonstrations(Path(settings.goals), schema, "goals") if settings.goals else demonstrations()
    goals = goals_of(shown, spec, settings.hold, settings.goals or "the demonstrations")
    return ViceReward(settings, spec.stacked(config.learner.stack), goals, config.seed)


def _feedback(config: RunConfig, run: RunFolder, schema: Schema, tell: Callable[[str], None]) -> LearntReward:
    from robot_rl.rewards.classifier.data import SUFFIX
    from robot_rl.rewards.preference.online import FeedbackReward

    cameras = [item.name.removesuffix(SUFFIX) for item in schema.observation if item.name.endswith(SUFFIX)]
    return FeedbackReward(
        config.feedback, run.feedback, tuple(cameras), task=config.task, backbone_id=config.backbone_id,
        seed=config.seed, wait=config.clock == "lockstep", tell=tell,
    )  # fmt: skip
