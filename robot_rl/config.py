"""The configuration of a run: typed, one YAML per run, written in full before anything starts.

Layers, the later wins: the defaults below, the task's own (`TaskSpec.learner`, `TaskSpec.steps`), the cell's robot
and clock, `--config FILE`, the command line. What a run used is its folder's `config.yaml`, which holds every value.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import yaml

from controllers import settings
from controllers.cells import CellConfig, load_cell
from controllers.exceptions import SettingsError
from robot_rl.exceptions import ConfigError
from robot_rl.learner_config import LearnerConfig
from robot_rl.run_config import (
    CHANGEABLE,
    CHANGEABLE_IN,
    CLONING,
    DEVICES,
    GROUPS,
    GYM,
    LEARNT,
    NOT_SAVED,
    OFFLINE,
    OVER_ROS,
    RECORDED,
    REWARDS,
    SLOW,
    RunConfig,
    devices_of,
    takes_over,
)
from robot_rl.validation import validate

__all__ = [
    "CHANGEABLE", "CHANGEABLE_IN", "CLONING", "DEVICES", "GROUPS", "GYM", "LEARNT", "NOT_SAVED", "OFFLINE",
    "OVER_ROS", "RECORDED", "REWARDS", "SLOW", "Learnable", "LearnerConfig", "RunConfig", "as_cell", "check",
    "convert", "devices_of", "effective", "in_cell", "load_config", "read_overrides", "save_config",
    "takes_over", "to_dict", "to_yaml", "validate",
]  # fmt: skip


class Learnable(Protocol):
    """What a run's configuration needs of what it learns on: a `TaskSpec`, for one."""

    @property
    def name(self) -> str: ...

    @property
    def steps(self) -> int: ...

    @property
    def learner(self) -> Mapping[str, Any]: ...


def effective(task: Learnable, *layers: Mapping[str, Any]) -> RunConfig:
    """The configuration of a run of `task`, from nested override layers that `check` has passed."""
    run: dict[str, Any] = {"task": task.name, "steps": task.steps}
    groups: dict[str, dict[str, Any]] = {name: {} for name in GROUPS}
    groups |= check({"learner": _own(task, layers)}, f"task {task.name}")
    for layer in layers:
        run |= {key: value for key, value in layer.items() if key not in (*GROUPS, "task")}
        groups = {name: {**values, **layer.get(name, {})} for name, values in groups.items()}
    if run.get("teleop", "none") != "none":
        run.setdefault("clock", "realtime")  # a person is not as fast as the machine
    run |= _with_cell(run)
    if run.get("agent") in OFFLINE and not any("steps" in layer for layer in layers):
        run["steps"] = 0
    if run.get("reward") == "intervention" and run.get("agent") not in CLONING:
        run.setdefault("interventions", "online")  # as in RLIF, whose demonstrations were there before
    if run.get("reward") == "preference" and run.get("agent") not in OFFLINE:
        run.setdefault("keep_pictures", True)  # for whoever compares
    config = RunConfig(**run, **{name: cls(**groups[name]) for name, cls in GROUPS.items()})
    validate(config)
    return config


def _own(task: Learnable, layers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The task's own overrides of the learner. Its `n_step` is for its reward: IQL, RLIF and what is learnt on the way
    look one step ahead.
    """
    said = {key: value for layer in layers for key, value in layer.items()}
    one_step = said.get("agent") in OFFLINE or said.get("reward") in ("intervention", *LEARNT)
    return {key: value for key, value in task.learner.items() if not (one_step and key == "n_step")}


def _with_cell(run: Mapping[str, Any]) -> dict[str, Any]:
    """The cell, and what follows from it where no layer says it: the robot, and the clock."""
    cell = as_cell(run.get("cell"))
    if cell is None:
        if run.get("robot", "twin") != "twin":
            raise ConfigError(f"robot is {run['robot']}, but no cell says where it is; name one with --cell.")
        return {"cell": None}
    robot = run.get("robot", cell.robot)
    if robot not in ("twin", cell.robot):
        raise ConfigError(f"robot is {robot}, but cell {cell.name} has {cell.robot}; leave --robot out, or give twin.")
    cell = dataclasses.replace(cell, robot=robot)
    return {"cell": cell, "robot": robot, "clock": run.get("clock", cell.clock)}


def in_cell(config: RunConfig, given: Mapping[str, Any]) -> RunConfig:
    """`config` with another `cell`, `robot` or `clock`; the rest follows from the cell. Raises `ConfigError`."""
    return dataclasses.replace(config, **({"robot": "twin"} | _with_cell(given)))


def as_cell(value: CellConfig | Mapping[str, Any] | None) -> CellConfig | None:
    """A cell from what a layer holds: the cell itself, or the values of its file. Raises `ConfigError`."""
    if value is None or isinstance(value, CellConfig):
        return value
    with _as_config_error():
        return settings.build(CellConfig, value, "cell")


@contextmanager
def _as_config_error() -> Iterator[None]:
    """A mistake in a setting is one of the run's configuration."""
    try:
        yield
    except SettingsError as error:
        raise ConfigError(str(error)) from None


def check(values: Any, source: str) -> dict[str, Any]:
    """Nested overrides with every key known and every value of its field's type.

    source: where they come from, for the message. Raises `ConfigError`.
    """
    with _as_config_error():
        return settings.check(values, RunConfig, source)


def convert(value: Any, hint: Any, name: str) -> Any:
    """`value` (from YAML or a command line's text) as the type `hint`. Raises `ConfigError` naming `name`."""
    with _as_config_error():
        return settings.convert(value, hint, name)


def to_dict(config: RunConfig) -> dict[str, Any]:
    """Plain values for YAML, without the fields in `NOT_SAVED`."""
    return {key: value for key, value in settings.plain(config).items() if key not in NOT_SAVED}


def to_yaml(config: RunConfig) -> str:
    """The effective configuration as YAML text."""
    return yaml.safe_dump(to_dict(config), sort_keys=False)


def save_config(config: RunConfig, path: Path) -> None:
    """Write the effective configuration; a crash leaves no half file."""
    scratch = path.with_name(f".{path.name}.tmp")
    scratch.write_text(to_yaml(config))
    scratch.replace(path)


def read_overrides(path: Path) -> dict[str, Any]:
    """Checked overrides of a YAML file. Raises `ConfigError` naming the file and what is wrong in it."""
    with _as_config_error():
        values = settings.read_yaml(path, "configuration file", "write one with --print-config")
        if isinstance(values, dict) and isinstance(values.get("cell"), str):
            values["cell"] = settings.plain(load_cell(values["cell"]))
    return check(values, str(path))


def load_config(path: Path) -> RunConfig:
    """The configuration that a file such as a run's `config.yaml` holds, on top of the defaults alone."""
    values = read_overrides(path)
    if "task" not in values:
        raise ConfigError(f"{path} names no task; add a line such as 'task: reach'.")
    values |= {name: cls(**values.get(name, {})) for name, cls in GROUPS.items()}
    return RunConfig(**values | {"cell": as_cell(values.get("cell"))})
