"""Where metrics go besides `metrics.jsonl`: TensorBoard or Weights & Biases, each an extra of the package."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

from robot_rl.config import RunConfig, to_dict
from robot_rl.exceptions import ConfigError
from robot_rl.metrics import Record
from robot_rl.runs import RunFolder

Sink = Callable[[Record], None]

MODULES = {"tensorboard": "tensorboardX", "wandb": "wandb"}
"""Extra of this package to the module it brings."""


def open_sink(config: RunConfig, run: RunFolder) -> tuple[Sink, ...]:
    """The sink that `config.log` names, or none. Raises `ConfigError` where its extra is missing."""
    if config.log == "tensorboard":
        return (_tensorboard(run),)
    if config.log == "wandb":
        return (_wandb(config, run),)
    return ()


def check_sink(name: str) -> None:
    """Raise `ConfigError` where the package behind `--log NAME` is missing."""
    if name in MODULES:
        _extra(name)


def scalars(record: Record) -> dict[str, float]:
    """The numbers of an `episode`, `update` or `eval` record, named `kind/key`."""
    if record["kind"] not in ("episode", "update", "eval"):
        return {}
    return {
        f"{record['kind']}/{key}": float(value)
        for key, value in record.items()
        if isinstance(value, int | float) and key not in ("time", "step")
    }


def _tensorboard(run: RunFolder) -> Sink:
    writer = _extra("tensorboard").SummaryWriter(str(run.path / "tensorboard"))

    def sink(record: Record) -> None:
        for name, value in scalars(record).items():
            writer.add_scalar(name, value, record.get("step"), walltime=record["time"])
        writer.flush()

    return sink


def _wandb(config: RunConfig, run: RunFolder) -> Sink:
    wandb = _extra("wandb")
    values: dict[str, Any] = to_dict(config)
    session = wandb.init(project="robot_rl", name=run.path.name, id=run.path.name, resume="allow", config=values)

    def sink(record: Record) -> None:
        values = scalars(record)
        if values:
            session.log(values | {"step": record.get("step")})

    return sink


def _extra(extra: str) -> ModuleType:
    module = MODULES[extra]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"--log {extra} needs the package {module}; install it with: pip install 'robot_rl[{extra}]'."
        ) from error
