"""What a run learns on, to those who learn: a task on a robot or its twin, or anybody's environment."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from robot_rl.cells import check_cell, check_partner, observer_of, open_backend, open_env, task_of
from robot_rl.config import GYM, RECORDED, RunConfig
from robot_rl.data.formats.experience import open_experience
from robot_rl.data.schema import Schema
from robot_rl.data.transition import Observation
from robot_rl.envs import gym
from robot_rl.envs.environment import Environment
from robot_rl.exceptions import ConfigError
from robot_rl.resets.both import recovering_reset
from tasks.spec import GripperSpec


class Problem(Protocol):
    """Names, shapes and the environment of a run; a new kind of environment is another one of these."""

    @property
    def name(self) -> str: ...

    @property
    def summary(self) -> str:
        """A line on what it is."""

    @property
    def schema(self) -> Schema:
        """Of the run's records."""

    @property
    def example(self) -> Observation:
        """An observation of zeros."""

    @property
    def action_dim(self) -> int:
        """Numbers in an action, each in [-1, 1]."""

    @property
    def gripper(self) -> GripperSpec | None:
        """What the last action moves, where it is a gripper."""

    def check(self, config: RunConfig) -> None:
        """Before anything is written. Raises `ConfigError` for what such a run cannot have."""

    def facts(self, config: RunConfig) -> dict[str, str]:
        """What `--dry-run` says of it; what can be tried without moving a robot is tried."""

    def open_env(
        self, config: RunConfig, *, seed: int | None = None, film: bool = False, training: bool = False
    ) -> Environment:
        """The environment in this process. film: it is wanted to be looked at. training: with the run's reward."""


class RobotProblem:
    """A task of this project, as the run's cell has it."""

    def __init__(self, config: RunConfig) -> None:
        self._task = task_of(config)
        self._observer = observer_of(config)
        self.name, self.summary = self._task.name, self._task.summary
        self.action_dim = self._task.action_dim
        self.gripper = self._task.gripper if self._task.partner is None else None  # of two, none is the action's last

    @property
    def schema(self) -> Schema:
        return self._observer.schema()

    @property
    def example(self) -> Observation:
        return self._observer.example()

    def check(self, config: RunConfig) -> None:
        if self._task.partner is not None:
            check_partner(config)
            if config.transport != "inprocess":
                raise ConfigError(
                    f"task {self.name} moves two arms, which one ROS 2 graph does not yet; give --transport inprocess."
                )
        if config.cell is not None or config.randomise:
            check_cell(config)
        if config.reset.reverse:
            from robot_rl.pair import check_pair

            check_pair(config)

    def facts(self, config: RunConfig) -> dict[str, str]:
        if config.robot == "twin":
            open_backend(config, self._task).close()
            recovering_reset(self._task, config.reset)
        period, cell = self._task.period, config.cell
        minutes = (config.steps or 0) * period / 60
        found = {"robot time": f"{minutes:.1f} min of acting at {1 / period:.0f} Hz, resets apart"}
        if cell is not None:
            place = "taught there" if self.name in cell.places else "where the task's file says"
            found["cell"] = f"{cell.name}: {cell.arm} by {cell.robot}; goal {place}"
        return found

    def open_env(
        self, config: RunConfig, *, seed: int | None = None, film: bool = False, training: bool = False
    ) -> Environment:
        return open_env(config, seed=seed, training=training)


class RecordedProblem:
    """What somebody recorded whose environment is not here: names and shapes, to learn from offline."""

    gripper: GripperSpec | None = None

    def __init__(self, config: RunConfig) -> None:
        """Raises `DataError` where `config.demos` is no recorded experience."""
        self.schema = open_experience(Path(config.demos)).schema
        self.name, self.summary = config.task, f"recorded in {config.demos}"
        self.example: Observation = {item.name: np.zeros(item.shape, item.dtype) for item in self.schema.observation}
        self.action_dim = len(self.schema.actions)

    def check(self, config: RunConfig) -> None:
        """Nothing can be wrong with it."""

    def facts(self, config: RunConfig) -> dict[str, str]:
        return {"actions": ", ".join(self.schema.actions)}

    def open_env(
        self, config: RunConfig, *, seed: int | None = None, film: bool = False, training: bool = False
    ) -> Environment:
        """There is none: raises `ConfigError`."""
        raise ConfigError(f"task is {self.name}, of which there are records alone: nothing can act here")


def problem_of(config: RunConfig) -> Problem:
    """Of the run's `task`. Raises `ConfigError` or `SettingsError` where it cannot be."""
    if config.task.startswith(RECORDED):
        return RecordedProblem(config)
    return gym.load(config.task) if config.task.startswith(GYM) else RobotProblem(config)
