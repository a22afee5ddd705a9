"""A run's folder: where everything that a run makes lies.

config.yaml      the effective configuration      identity        the run's UUID, the same on every machine of it
metrics.jsonl    what happened, one record a line
checkpoints/     the learner's state              journal/        every step, as MCAP
report/          summary.json, curves.png, eval.mp4               logs/   the last words of each node
replay/          images that the learner holds; made again from the journal where it is missing
refused/         batches whose update was refused, if any: their numbers were not finite
"""

from __future__ import annotations

import dataclasses
import fcntl
import os
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controllers.cells import CellConfig
from robot_rl.config import CHANGEABLE, CHANGEABLE_IN, GROUPS, NOT_SAVED, RunConfig, load_config, save_config, validate
from robot_rl.disk import disk_errors, write_durably
from robot_rl.exceptions import ConfigError, RunFolderError


@dataclass(frozen=True)
class RunFolder:
    """Paths of one run. `create` begins a run, `open` finds one."""

    path: Path

    @property
    def config_file(self) -> Path:
        return self.path / "config.yaml"

    @property
    def identity(self) -> str:
        """The run's UUID: no other run has it, of the same name and seed neither.

        A run from before there were any has one made from its name. Raises `RunFolderError` where the file is damaged.
        """
        try:
            text = (self.path / "identity").read_text(errors="replace").strip()
        except FileNotFoundError:
            return str(uuid.uuid5(uuid.NAMESPACE_URL, f"robot_rl/{self.path.resolve().name}"))
        try:
            return str(uuid.UUID(text))
        except ValueError as error:
            raise RunFolderError(f"{self.path}/identity holds {text!r}, no UUID; restore it from a copy.") from error

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def policies(self) -> Path:
        """Policies kept on the way, `step-N.safetensors`, where `learner.keep_every` asks for some."""
        return self.path / "policies"

    @property
    def journal(self) -> Path:
        return self.path / "journal"

    @property
    def feedback(self) -> Path:
        """Moments and comparisons of a reward that is learnt from these while the run goes."""
        return self.path / "feedback"

    @property
    def replay(self) -> Path:
        """What the learner holds of images, memory-mapped; it can be made again from the journals."""
        return self.path / "replay"

    @property
    def refused(self) -> Path:
        """Batches whose update was refused, to look at."""
        return self.path / "refused"

    @property
    def report(self) -> Path:
        return self.path / "report"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def summary(self) -> Path:
        return self.report / "summary.json"

    @property
    def curves(self) -> Path:
        return self.report / "curves.png"

    @property
    def video(self) -> Path:
        return self.report / "eval.mp4"

    @classmethod
    def create(cls, config: RunConfig) -> RunFolder:
        """Make the folder with its parts and `config.yaml`. Raises `RunFolderError` where there is one."""
        run = cls(config.run or default_path(config))
        refuse_existing(run.path)
        for folder in (run.checkpoints, run.journal, run.report, run.logs):
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise RunFolderError(f"the run folder {run.path} cannot be made: {error}.") from error
        with disk_errors(run.path):
            write_durably(run.path / "identity", f"{uuid.uuid4()}\n")
            save_config(config, run.config_file)
        return run

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """An existing run. Raises `RunFolderError` where `path` holds none."""
        run = cls(Path(path))
        if not run.path.is_dir():
            raise RunFolderError(f"there is no run folder {path}; {_known_runs()}.")
        if not run.config_file.is_file():
            raise RunFolderError(f"{path} is no run folder: it holds no config.yaml; {_known_runs()}.")
        return run

    def config(self) -> RunConfig:
        """The configuration that the run was begun with, with `run` set to this folder."""
        return dataclasses.replace(load_config(self.config_file), run=self.path)

    def resumed(self, overrides: Mapping[str, Any]) -> RunConfig:
        """The run's configuration with what may change when it goes on. Nothing is written.

        Raises `ConfigError` where an override would make it another run.
        """
        config = self.config()
        for key, (old, value) in _compared(config, overrides).items():
            if isinstance(value, CellConfig) and isinstance(old, CellConfig):
                value = dataclasses.replace(value, robot=old.robot)  # --robot says that, not the cell's file
            group, _, part = key.partition(".")
            fixed = key not in (*CHANGEABLE, *NOT_SAVED) and part not in CHANGEABLE_IN.get(group, ())
            if fixed and value != old:
                allowed = ", ".join(CHANGEABLE)
                old, value = getattr(old, "name", old), getattr(value, "name", value)
                raise ConfigError(
                    f"{key} is {old} in the run {self.path} and cannot become {value} when it goes on "
                    f"(only {allowed} can); begin a new run with another --run."
                )
        changes = {key: value for key, value in overrides.items() if key in CHANGEABLE}
        changes |= {
            group: dataclasses.replace(getattr(config, group), **overrides[group])
            for group in CHANGEABLE_IN
            if group in overrides
        }
        config = dataclasses.replace(config, **changes, resume=True)
        validate(config)
        return config

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run for this process. Raises `RunFolderError` while another one holds it."""
        descriptor = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                owner = os.read(descriptor, 32).decode() or "unknown"
                raise RunFolderError(
                    f"the run {self.path} is in use by process {owner}; wait for it, or end it."
                ) from None
            os.truncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
            yield
        finally:
            os.close(descriptor)


def default_path(config: RunConfig) -> Path:
    """`runs/TASK-DATE-seedN`, with the date to the second."""
    name = re.sub(r"[^\w.-]+", "-", config.task)  # of an environment it may have : and /
    return Path("runs") / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}-seed{config.seed}"


def refuse_existing(path: Path) -> None:
    """Raise `RunFolderError` where `path` holds something already: a run is never overwritten."""
    if path.is_dir() and not any(path.iterdir()):
        return
    if (path / "config.yaml").exists():
        raise RunFolderError(f"the run folder {path} exists; go on with --resume, or name another --run.")
    if path.exists():
        raise RunFolderError(f"{path} exists and is no run folder; name another --run.")


def _compared(config: RunConfig, overrides: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Of each field that `overrides` names, those of groups under their own names: what it is, and what is asked."""
    found = {key: (getattr(config, key), value) for key, value in overrides.items() if key not in GROUPS}
    for group in GROUPS:
        own = getattr(config, group)
        found |= {f"{group}.{key}": (getattr(own, key), value) for key, value in overrides.get(group, {}).items()}
    return found


def _known_runs() -> str:
    found = sorted(Path("runs").glob("*/config.yaml"), key=lambda file: file.stat().st_mtime, reverse=True)
    names = ", ".join(str(file.parent) for file in found[:5])
    return f"the newest here: {names}" if names else "runs/ holds none; make one with robot-rl train TASK"
