"""The learnt reward of a run, where it has one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from robot_rl.config import LEARNT, OFFLINE, RunConfig
from robot_rl.data.demos import Demonstrations
from robot_rl.data.schema import Schema
from robot_rl.experience import Records
from robot_rl.nets.observation import ObservationSpec
from robot_rl.rewards.goals import goals_of
from robot_rl.rewards.learnt import LearntReward
from robot_rl.runs import RunFolder


def make_learnt(
    config: RunConfig,
    run: RunFolder,
    schema: Schema,
    demonstrations: Callable[[], Records],
    tell: Callable[[str], None],
    stop: Callable[[], bool] = lambda: False,
) -> LearntReward | None:
    """What judges the steps of such a run; None where their reward comes with them.

    schema: of what is learnt from. tell: gets sentences for a person. stop: whether the run is to end.
    Raises `ConfigError`, `DataError` where there is nothing to learn it from.
    """
    if config.reward not in LEARNT or config.agent in OFFLINE:
        return None
    spec = ObservationSpec.of({item.name: np.zeros(item.shape, item.dtype) for item in schema.observation})
    if config.reward == "vice":
        from robot_rl.rewards.vice.reward import ViceReward

        goals = _goals(config, schema, spec, demonstrations)
        return ViceReward(config.vice, spec, goals, config.seed)
    if config.reward == "likeness":
        from robot_rl.rewards.likeness.reward import LikenessReward

        return LikenessReward(tuple(name for name, _ in spec.features), _goals(config, schema, spec, demonstrations))
    return _feedback(config, run, schema, tell, stop)


def _goals(
    config: RunConfig, schema: Schema, spec: ObservationSpec, demonstrations: Callable[[], Records]
) -> dict[str, NDArray]:
    shown = Demonstrations(Path(config.goals), schema, "goals") if config.goals else demonstrations()
    return goals_of(shown, spec, config.goal_frames, config.goals or "the demonstrations")


def _feedback(
    config: RunConfig, run: RunFolder, schema: Schema, tell: Callable[[str], None], stop: Callable[[], bool]
) -> LearntReward:
    from robot_rl.rewards.classifier.data import SUFFIX
    from robot_rl.rewards.preference.configuration import check_shown
    from robot_rl.rewards.preference.online import FeedbackReward

    cameras = [item.name.removesuffix(SUFFIX) for item in schema.observation if item.name.endswith(SUFFIX)]
    check_shown(config.feedback, cameras)
    return FeedbackReward(
        config.feedback, run.feedback, tuple(cameras), task=config.task, backbone_id=config.backbone_id,
        seed=config.seed, wait=config.clock == "lockstep", tell=tell, stop=stop,
    )  # fmt: skip
