"""How a success classifier is made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from controllers.settings import option
from robot_rl.exceptions import ConfigError


@dataclass(frozen=True)
class ClassifierConfig:
    """What `robot-rl classifier train` may be told."""

    hold: int = option(1, "last steps of an episode that succeeded which show success")
    margin: int = option(0, "steps before these that are not looked at: nobody knows")
    held_out: float = option(0.3, "part of the episodes that is not trained on: half calibrates, half is reported on")
    false_positives: float = option(0.005, "rate of false positives that the threshold is chosen for")
    hidden: int = option(64, "numbers that each camera's features become")
    steps: int = option(1500, "gradient steps")
    batch: int = option(64, "frames in a step")
    learning_rate: float = option(1e-3, "step size of AdamW")
    weight_decay: float = option(0.05, "of AdamW")
    dropout: float = option(0.3, "part of the numbers that is left out at a time")
    backbone: str = option("compact", "for sets of pictures: what looks at them; features have theirs")
    seed: int = option(0, "seed of everything random")


def validate(config: ClassifierConfig) -> None:
    """Raise `ConfigError` for what cannot work."""
    for name in ("hold", "hidden", "steps", "batch"):
        if getattr(config, name) < 1:
            raise ConfigError(f"--{name} is {getattr(config, name)}, but must be at least 1.")
    if config.margin < 0:
        raise ConfigError(f"--margin is {config.margin}, but must be at least 0.")
    if not 0.05 <= config.held_out <= 0.8:
        raise ConfigError(f"--held-out is {config.held_out}, but must be from 0.05 to 0.8.")
    if not 0 <= config.false_positives < 0.5:
        raise ConfigError(f"--false-positives is {config.false_positives}, but must be at least 0 and below 0.5.")


def check_target(folder: Path) -> None:
    """Raise `ConfigError` where a classifier cannot be written to `folder`: nothing is overwritten."""
    if folder.exists():
        raise ConfigError(f"--out {folder} exists already; name another folder, nothing is overwritten.")
