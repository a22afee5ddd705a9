"""The learnt reward of a run, where it has one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from robot_rl.config import RunConfig
from robot_rl.data.demos import Demonstrations
from robot_rl.data.schema import Schema
from robot_rl.experience import Records
from robot_rl.nets.observation import ObservationSpec
from robot_rl.rewards.learnt import LearntReward


def make_learnt(
    config: RunConfig, schema: Schema, spec: ObservationSpec, demonstrations: Callable[[], Records]
) -> LearntReward | None:
    """What judges the steps of such a run; None where their reward comes with them.

    Raises `ConfigError`, `DataError` where there is nothing to learn it from.
    """
    if config.reward == "vice":
        from robot_rl.rewards.vice.goals import goals_of
        from robot_rl.rewards.vice.reward import ViceReward

        settings = config.vice
        shown = Demonstrations(Path(settings.goals), schema, "goals") if settings.goals else demonstrations()
        where = settings.goals or "the demonstrations"
        goals = goals_of(shown, spec, settings.hold, where)
        return ViceReward(settings, spec.stacked(config.learner.stack), goals, config.seed)
    return None
