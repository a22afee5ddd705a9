"""How comparisons are asked for, and a reward is made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from controllers.settings import option, suggest
from robot_rl.exceptions import ConfigError


@dataclass(frozen=True)
class ServiceConfig:
    """Which vision-language model, what it is asked about, and what that may take. prefix: of the options' names."""

    prefix: ClassVar[str] = "--"

    task: str = option("", "the goal as a sentence: 'put the cube into the box'")
    endpoint: str = option("http://127.0.0.1:8000/v1", "openai: of the chat service, vLLM, Ollama, llama.cpp or hosted")
    model: str = option("", "openai, local: name of the vision-language model; local: a folder too")
    key_variable: str = option("OPENAI_API_KEY", "openai: environment variable that holds the key, if one is needed")
    camera: str = option("", "whose pictures are shown; all of them unless given")
    largest: int = option(1024, "pixels that a picture may be wide or high; larger ones are shrunk")
    timeout: float = option(60.0, "seconds that an answer may take")
    retries: int = option(4, "times that a request is sent again where the service is busy or gone")
    per_minute: float = option(0.0, "requests a minute at most; 0: as many as it takes")
    budget: float = option(0.0, "what may be spent, in the unit of the prices; 0: no bound")
    price_in: float = option(0.0, "of a million tokens sent")
    price_out: float = option(0.0, "of a million tokens answered")


@dataclass(frozen=True)
class LabelConfig(ServiceConfig):
    """What `robot-rl preferences label` may be told."""

    judge: Literal["openai", "local", "human"] = option("openai", "who compares")
    stages: int = option(2, "2: describe, then answer from the description (RL-VLM-F); 1: answer at once")
    pairs: int = option(100, "comparisons in all, those that were made before included")
    pick: Literal["uniform", "disagreement"] = option(
        "uniform", "how pairs are drawn; disagreement: of --reward's members"
    )
    length: int = option(1, "successive frames in each of the two clips")
    seed: int = option(0, "of the pairs that are drawn")


@dataclass(frozen=True)
class FeedbackConfig(LabelConfig):
    """The same while a run goes: part of its configuration."""

    prefix: ClassVar[str] = "--feedback."

    pairs: int = option(500, "comparisons in all")
    every: int = option(500, "environment steps from one session of comparisons to the next")
    session: int = option(50, "comparisons in a session")
    share: float = option(0.2, "part of the steps whose pictures may be compared")


@dataclass(frozen=True)
class RewardConfig:
    """What `robot-rl preferences fit` may be told."""

    members: int = option(5, "rewards in the ensemble")
    hidden: int = option(128, "numbers that each camera's features become")
    steps: int = option(2000, "gradient steps at most")
    batch: int = option(64, "comparisons in a step")
    learning_rate: float = option(3e-4, "step size of Adam")
    weight_decay: float = option(0.02, "of AdamW")
    enough: float = option(0.97, "share of comparisons that a member gets right at which it stops")
    held_out: float = option(0.15, "part of the comparisons that is not learnt from, but reported on")
    seed: int = option(0, "seed of everything random")


def validate_service(config: ServiceConfig) -> None:
    """Raise `ConfigError` for what no model can be asked."""
    prefix = config.prefix
    if not config.endpoint.startswith(("http://", "https://")):
        raise ConfigError(f"{prefix}endpoint is {config.endpoint!r}; give its address, as http://127.0.0.1:8000/v1.")
    if not config.task.strip():
        raise ConfigError(f"{prefix}task is empty; say the goal in a sentence, such as 'the peg is in the hole'.")
    if config.largest < 1:
        raise ConfigError(f"{prefix}largest is {config.largest}, but must be at least 1.")
    if config.timeout <= 0:
        raise ConfigError(f"{prefix}timeout is {config.timeout}, but must be above 0.")
    for name in ("retries", "per_minute", "budget", "price_in", "price_out"):
        if getattr(config, name) < 0:
            raise ConfigError(f"{prefix}{name.replace('_', '-')} is {getattr(config, name)}, but must be at least 0.")
    if config.budget and not (config.price_in or config.price_out):
        raise ConfigError(
            f"{prefix}budget is {config.budget:g}, but no price is known; give {prefix}price-in and {prefix}price-out."
        )
    judge = getattr(config, "judge", "openai")
    if judge != "human" and not config.model:
        raise ConfigError(f"{prefix}judge is {judge}, but {prefix}model is empty; name a vision-language model.")


def check_shown(config: ServiceConfig, cameras: Sequence[str]) -> None:
    """Raise `ConfigError` where the camera that is to be shown is none of these."""
    if config.camera and config.camera not in cameras:
        raise ConfigError(f"{config.prefix}camera is {config.camera!r}; {suggest(config.camera, cameras)}.")


def validate_label(config: LabelConfig) -> None:
    """Raise `ConfigError` for what cannot work."""
    prefix = config.prefix
    validate_service(config)
    for name in ("pairs", "length"):
        if getattr(config, name) < 1:
            raise ConfigError(f"{prefix}{name} is {getattr(config, name)}, but must be at least 1.")
    if config.stages not in (1, 2):
        raise ConfigError(f"{prefix}stages is {config.stages}, but must be 1 or 2.")


def validate_feedback(config: FeedbackConfig) -> None:
    """Raise `ConfigError` for what cannot work while a run goes."""
    validate_label(config)
    for name in ("every", "session"):
        if getattr(config, name) < 1:
            raise ConfigError(f"--feedback.{name} is {getattr(config, name)}, but must be at least 1.")
    if not 0 < config.share <= 1:
        raise ConfigError(f"--feedback.share is {config.share}, but must be above 0 and at most 1.")


def validate_reward(config: RewardConfig) -> None:
    """Raise `ConfigError` for what cannot work."""
    for name in ("members", "hidden", "steps", "batch"):
        if getattr(config, name) < 1:
            raise ConfigError(f"--{name} is {getattr(config, name)}, but must be at least 1.")
    if not 0 < config.held_out < 0.9:
        raise ConfigError(f"--held-out is {config.held_out}, but must be above 0 and below 0.9.")
    if not 0.5 < config.enough <= 1:
        raise ConfigError(f"--enough is {config.enough}, but must be above 0.5 and at most 1.")
