"""How a discriminator between the goal and what the policy reaches is trained."""

from __future__ import annotations

from dataclasses import dataclass

from controllers.settings import option
from robot_rl.exceptions import ConfigError


@dataclass(frozen=True)
class ViceConfig:
    """Part of a run's configuration. Smoothing, mixup, penalty, and what a step is worth, are SERL's by default."""

    updates: int = option(10, "gradient steps before each block of the learner's")
    batch: int = option(128, "moments in a step, half of them of the goal")
    hidden: int = option(256, "width of the hidden layer")
    learning_rate: float = option(3e-4, "step size of Adam")
    smoothing: float = option(0.2, "how far labels are moved towards one half")
    mixup: float = option(1.0, "of the Beta distribution that moments are mixed by; 0: none are")
    penalty: float = option(10.0, "weight of the gradient penalty")
    binary: bool = option(True, "a step is worth 1 from a probability of one half on, else 0; false: its probability")


def validate_vice(config: ViceConfig) -> None:
    """Raise `ConfigError` for what cannot work."""
    for name, least in (("updates", 1), ("batch", 2), ("hidden", 1)):
        if getattr(config, name) < least:
            raise ConfigError(f"vice.{name} is {getattr(config, name)}, but must be at least {least}.")
    for name in ("learning_rate", "mixup", "penalty"):
        if getattr(config, name) < 0:
            raise ConfigError(f"vice.{name} is {getattr(config, name)}, but must be at least 0.")
    if not 0 <= config.smoothing < 1:
        raise ConfigError(f"vice.smoothing is {config.smoothing}, but must be at least 0 and below 1.")
