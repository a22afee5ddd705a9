"""The configuration of a run: typed, one YAML per run, written in full before anything starts."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import yaml

from robot_rl.exceptions import ConfigError


@dataclass(frozen=True)
class LearnerConfig:
    """SAC with RLPD's parts (Ball et al., 2023). A task overrides what it needs.

    critics: ensemble size; critic_subset: members whose minimum is the target; utd: critic updates per
    environment step; batch: transitions per update; demo_share: part of each batch from demonstrations;
    start: environment steps before the first update; block: environment steps between two broadcasts of
    weights; random_steps: uniform actions at first (0: the untrained policy acts).
    """

    critics: int = 10
    critic_subset: int = 2
    hidden: tuple[int, ...] = (256, 256)
    layer_norm: bool = True
    learning_rate: float = 3e-4
    discount: float = 0.97
    tau: float = 0.005
    batch: int = 256
    utd: int = 4
    demo_share: float = 0.5
    initial_temperature: float = 0.1
    entropy_backup: bool = False
    start: int = 300
    random_steps: int = 0
    block: int = 10
    capacity: int = 200_000
    bc_steps: int = 5000
    checkpoint_every: int = 1000


@dataclass(frozen=True)
class RunConfig:
    """One run.

    task: folder name under `tasks`. robot: the cell that moves. transport: the ROS 2 graph, or the same
    objects in one process. clock: `lockstep` (reproducible, as fast as the machine) or `realtime`.
    demos: how many to record with the task's expert, or the path of a recorded set. steps: environment
    steps to train; None takes the task's. learner: overrides on top of the task's own.
    """

    task: str
    robot: Literal["twin"] = "twin"
    transport: Literal["ros", "inprocess"] = "ros"
    clock: Literal["lockstep", "realtime"] = "lockstep"
    agent: Literal["rlpd", "sac", "bc"] = "rlpd"
    obs: Literal["state", "pixels"] = "state"
    reward: Literal["task"] = "task"
    demos: str = "20"
    steps: int | None = None
    seed: int = 0
    run: Path | None = None
    resume: bool = False
    log: Literal["tensorboard", "wandb", "none"] = "none"
    learner: LearnerConfig = field(default_factory=LearnerConfig)
