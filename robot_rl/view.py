"""A run in the Rerun viewer: pictures, the tool and its reference, actions, rewards, values, takeovers.

Each process of a run streams its own part of one recording, which is named by the run's identity: the actors their
steps, the command that started it what the metrics say.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from controllers.interface import Reading
from robot_rl.config import RunConfig
from robot_rl.data.label import Label, Record
from robot_rl.data.transition import Transition
from robot_rl.exceptions import ConfigError
from robot_rl.metrics import Record as Metric
from robot_rl.runs import RunFolder
from robot_rl.sinks import scalars

if TYPE_CHECKING:
    from robot_rl.actor import ExperienceSink

APPLICATION = "robot_rl"
SPAWN, ADDRESS, FILE = "spawn", "rerun+http", ".rrd"


def check_view(target: str) -> None:
    """Refuse what `--rerun` cannot mean, and a missing package. Raises `ConfigError`."""
    if target == "none":
        return
    _rerun()
    if target != SPAWN and not target.startswith(ADDRESS) and Path(target).suffix != FILE:
        raise ConfigError(
            f"rerun is {target!r}; say spawn (a viewer here), its address {ADDRESS}://HOST:PORT/proxy, or a FILE{FILE}."
        )


class View:
    """One process's part of a recording; what was streamed is sent, or written, when the process ends at the latest."""

    def __init__(self, target: str, identity: str, part: str = "") -> None:
        """target: as `--rerun` has it. part: of the recording, which has a file of its own where there are several.

        Only the part without a name starts a viewer; the others find it.
        """
        self._rr: Any = _rerun()
        self._stream = self._rr.RecordingStream(APPLICATION, recording_id=identity)
        if target == SPAWN and not part:
            self._rr.spawn(recording=self._stream)
        elif target == SPAWN or target.startswith(ADDRESS):
            self._rr.connect_grpc(None if target == SPAWN else target, recording=self._stream)
        else:
            path = Path(target)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._rr.save(_free(path.with_stem(f"{path.stem}-{part}") if part else path), recording=self._stream)

    def step(self, step: Transition, number: int, reading: Any = None) -> None:
        """A step, and the reading that it led to, where a robot or its twin has one. number: of the run's steps."""
        self._stream.set_time("step", sequence=number)
        self._stream.set_time("robot", duration=step.next_stamp)
        place = f"actors/{step.actor}"
        self._numbers(f"{place}/action", step.action)
        self._numbers(f"{place}/policy_action", step.policy_action)
        for name, value in (("reward", step.reward), ("intervened", step.intervened), ("success", step.success)):
            self._number(f"{place}/{name}", float(value))
        for name, shown in step.next_observation.items():
            values = np.asarray(shown)
            if values.ndim == 3:
                self._stream.log(f"{place}/cameras/{name}", self._rr.Image(values))
            elif values.ndim <= 1:
                self._numbers(f"{place}/observation/{name}", values)
        if isinstance(reading, Reading):
            self._reading(place, reading, step.next_observation)

    def moment(self, number: int, reading: Any) -> None:
        """A moment of an evaluation, where a robot or its twin has a reading of it. number: of the moments."""
        if isinstance(reading, Reading):
            self._stream.set_time("step", sequence=number)
            self._stream.set_time("robot", duration=reading.stamp)
            self._reading("eval", reading, {})

    def label(self, label: Label) -> None:
        """What somebody said of a step."""
        text = f"{label.source}: {label.kind} {label.value:g} of step {label.step} of {label.episode}"
        self._stream.log(f"actors/{label.actor}/labels", self._rr.TextLog(text))

    def metric(self, record: Metric) -> None:
        """A record of the run's metrics: numbers (values and losses among them), and what a person should read."""
        if record.get("step") is not None:
            self._stream.set_time("step", sequence=record["step"])
        for name, value in scalars(record).items():
            self._number(name, value)
        if record["kind"] in ("notice", "operator"):
            self._stream.log("notices", self._rr.TextLog(record["text"]))

    def close(self) -> None:
        """All of it has been sent, or written."""
        self._stream.flush()
        self._stream.disconnect()

    def _reading(self, place: str, reading: Reading, shown: Any) -> None:
        for name, pose in (("tool", reading.arm.pose), ("reference", reading.arm.reference)):
            transform = self._rr.Transform3D(translation=pose.position, quaternion=pose.quaternion)
            self._stream.log(f"{place}/{name}", transform, self._rr.TransformAxes3D(0.05))
        self._numbers(f"{place}/wrench", reading.arm.wrench)
        for name, picture in reading.images.items():
            if name not in shown:
                self._stream.log(f"{place}/cameras/{name}", self._rr.Image(picture))

    def _numbers(self, place: str, values: Any) -> None:
        self._stream.log(place, self._rr.Scalars(values))

    def _number(self, place: str, value: float) -> None:
        self._stream.log(place, self._rr.Scalars(value))


class Viewed:
    """A sink whose steps are shown, once they are safe."""

    def __init__(self, sink: ExperienceSink, view: View, env: Any) -> None:
        self._sink, self._view, self._env = sink, view, env

    @property
    def steps(self) -> int:
        """As `ExperienceSink.steps`."""
        return self._sink.steps

    @property
    def next_sequence(self) -> int:
        """As `ExperienceSink.next_sequence`."""
        return self._sink.next_sequence

    def send(self, record: Record) -> None:
        """As `ExperienceSink.send`."""
        self._sink.send(record)
        if isinstance(record, Label):
            self._view.label(record)
        else:
            self._view.step(record, self._sink.steps, getattr(self._env, "reading", None))


def viewed(sink: ExperienceSink, config: RunConfig, run: RunFolder, part: str, env: Any) -> ExperienceSink:
    """The sink, shown where the run wants that. part: of the recording."""
    return sink if config.rerun == "none" else Viewed(sink, View(config.rerun, run.identity, part), env)


def _free(path: Path) -> Path:
    """`path`, or with the next number where there is a file already: a resumed run overwrites nothing."""
    number, free = 2, path
    while free.exists():
        number, free = number + 1, path.with_stem(f"{path.stem}-{number}")
    return free


def _rerun() -> ModuleType:
    try:
        return importlib.import_module("rerun")
    except ModuleNotFoundError as error:
        raise ConfigError("--rerun needs the package rerun-sdk; install it: pip install 'robot_rl[rerun]'.") from error
