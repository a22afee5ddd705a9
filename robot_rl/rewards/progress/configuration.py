"""How a vision-language model is asked how far a task is done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from controllers.settings import option
from robot_rl.exceptions import ConfigError
from robot_rl.rewards.preference.configuration import ServiceConfig, validate_service


@dataclass(frozen=True)
class ProgressConfig(ServiceConfig):
    """Part of a run's configuration."""

    prefix: ClassVar[str] = "--progress."

    judge: Literal["openai", "local"] = option("openai", "who looks")
    success: float = option(0.95, "progress, of 1, from which a picture shows success")


@dataclass(frozen=True)
class ScoreConfig(ProgressConfig):
    """What `robot-rl preferences score` may be told."""

    prefix: ClassVar[str] = "--"


def validate_progress(config: ProgressConfig) -> None:
    """Raise `ConfigError` for what cannot work."""
    validate_service(config)
    if not 0 < config.success <= 1:
        raise ConfigError(f"{config.prefix}success is {config.success}, but must be above 0 and at most 1.")
