"""How episodes begin: part of a run's configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from controllers.settings import option
from robot_rl.exceptions import ConfigError

FASTEST = 0.5
"""Speed of the tool, m/s, that no reset goes beyond."""


@dataclass(frozen=True)
class ResetConfig:
    """Part of a run's configuration (`--reset.*`)."""

    speed: float = option(0.25, "of the tool on its way to a start, m/s")
    rehome_every: int = option(0, "episodes between two returns to the home joint angles; 0: only where a reset fails")
    stir_every: int = option(0, "episodes between two sweeps of the closed hand through the workspace; 0: none")
    draw: bool = option(True, "the twin draws its scene anew; false: what was moved stays where it is")
    reverse: bool = option(
        False, "the task that undoes this one is learnt beside it, and is its reset: success hands over"
    )
    reverse_demos: str = option("", "demonstrations of that task, where --demos names a set")
    person: Literal["none", "failure", "always"] = option(
        "none", "when a person is asked to put things right: never, where a reset fails, or before each episode"
    )
    patience: float = option(300.0, "how long that person is waited for, s")


def validate_reset(config: ResetConfig) -> None:
    """Raise `ConfigError` for what cannot work."""
    if not 0 < config.speed <= FASTEST:
        raise ConfigError(f"reset.speed is {config.speed} m/s, but must be above 0 and at most {FASTEST}.")
    for name in ("rehome_every", "stir_every"):
        if getattr(config, name) < 0:
            raise ConfigError(f"reset.{name} is {getattr(config, name)}, but must be at least 0.")
    if config.patience <= 0:
        raise ConfigError(f"reset.patience is {config.patience} s, but must be above 0.")
