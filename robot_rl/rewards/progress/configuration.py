"""How a vision-language model is asked how far a task is done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from controllers.settings import option
from robot_rl.exceptions import ConfigError
from robot_rl.rewards.preference.configuration import ServiceConfig, validate_service


@dataclass(frozen=True)
class ProgressConfig(ServiceConfig):
    """Part of a run's configuration, and what `robot-rl preferences score` may be told."""

    judge: Literal["openai", "local"] = option("openai", "who looks")
    success: float = option(0.95, "progress, of 1, from which a picture shows success")


def validate_progress(config: ProgressConfig, prefix: str = "--progress.") -> None:
    """Raise `ConfigError` for what cannot work. prefix: of the options' names."""
    validate_service(config, prefix)
    if not 0 < config.success <= 1:
        raise ConfigError(f"{prefix}success is {config.success}, but must be above 0 and at most 1.")
