"""What is wrong with experience, and where: each check sees every step once, in order.

A fault makes what is learnt from the data wrong. A warning is what a person should look at. A finding is told once for
an episode, with its first step and how many steps it is about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from robot_rl.data.formats.whole import Progress
from robot_rl.data.journal import JournalReader
from robot_rl.data.label import EPISODE, Label
from robot_rl.data.schema import Schema
from robot_rl.data.transition import Transition
from robot_rl.exceptions import DataError

FROZEN_STEPS = 10
"""Steps that a picture may stay the same while the arm moves."""
MOVED = 0.02
"""By how much, of what is seen of it in the whole set, a measured position changes where the arm moves."""
LEAST_RANGE = 0.05
"""Of a measured position in a set, in its own unit: less is noise."""
JITTER = 0.5
"""Of the median period, by how much a step's duration may differ."""
SATURATED = 0.95
"""Of an episode's steps, how many may have an axis at its bound."""
FEW = 10
"""Steps below which nothing is said about what is usual in an episode; ten times that, in a set."""


@dataclass
class Finding:
    """kind: of `CHECKS`. level: fault or warning. step: the first; count: how many steps; episode "": the whole set."""

    kind: str
    level: str
    text: str
    episode: str = ""
    step: int = -1
    count: int = 1


@dataclass
class Verdict:
    """findings: in order of appearance. steps, episodes, labels: that could be read."""

    findings: list[Finding] = field(default_factory=list)
    steps: int = 0
    episodes: int = 0
    labels: int = 0

    @property
    def faults(self) -> int:
        return sum(finding.level == "fault" for finding in self.findings)

    @property
    def warnings(self) -> int:
        return len(self.findings) - self.faults

    def summary(self) -> dict[str, Any]:
        """As JSON can hold it."""
        numbers = {name: getattr(self, name) for name in ("steps", "episodes", "labels", "faults", "warnings")}
        return {"ok": self.faults == 0, **numbers, "findings": [asdict(finding) for finding in self.findings]}


class Report:
    """Collects findings: one for each kind, text and episode, however many steps it is about."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, str, str], Finding] = {}

    def __call__(self, level: str, kind: str, text: str, episode: str = "", step: int = -1) -> None:
        known = self.found.get((kind, text, episode))
        if known is not None:
            known.count += 1
            return
        self.found[kind, text, episode] = Finding(kind, level, text, episode, step)


class Check(Protocol):
    """Sees every step; `end` is told when there are no more."""

    def see(self, step: Transition, before: Transition | None) -> None:
        """A step, and the one before it in the journal if that is of the same episode."""

    def end(self) -> None:
        """All steps were seen."""


def verify(readers: Sequence[JournalReader], progress: Progress | None = None) -> Verdict:
    """Every finding in journals that could be opened."""
    report, verdict = Report(), Verdict()
    schema = readers[0].schema
    checks: list[Check] = [make(schema, report) for make in CHECKS]
    places: dict[str, int] = {}
    labels: list[Label] = []
    for reader in readers:
        before: Transition | None = None
        for record in _records(reader, report):
            if isinstance(record, Label):
                labels.append(record)
                continue
            same = before is not None and before.episode == record.episode
            _place(record, before if same else None, places, report)
            for check in checks:
                check.see(record, before if same else None)
            before = record
            verdict.steps += 1
            if progress is not None:
                progress(verdict.steps)
    for check in checks:
        check.end()
    _check_labels(labels, places, report)
    if not verdict.steps:
        report("fault", "empty", "holds no step that can be read")
    verdict.findings = list(report.found.values())
    verdict.episodes, verdict.labels = len(places), len(labels)
    return verdict


def _records(reader: JournalReader, report: Report) -> Iterator[Transition | Label]:
    """All records that can be read; those that cannot are faults."""
    start = 0
    while start < reader.next_sequence:
        try:
            for record in reader.records(start):
                if record.sequence != start:
                    text = f"record {start} of {reader.folder} says that it is record {record.sequence}"
                    report("fault", "sequence", text)
                yield record
                start += 1
        except DataError as error:
            kind = "nan" if "NaN" in str(error) else "damaged"
            report("fault", kind, str(error))
            start += 1


def _place(step: Transition, before: Transition | None, places: dict[str, int], report: Report) -> None:
    """Steps count from 0 without holes, and an episode is in one piece. places: steps by episode."""
    name, expected = step.episode, places.get(step.episode, 0)
    if before is None and expected:
        report("fault", "interleaved", f"goes on at step {step.step} after another episode", name, step.step)
    elif before is not None and (before.terminated or before.truncated):
        report("fault", "end", f"goes on after its end at step {before.step}", name, step.step)
    elif step.step != expected:
        missing = f"steps {expected} to {step.step - 1} are missing" if step.step > expected else "a step comes twice"
        report("fault", "hole", missing, name, step.step)
    places[name] = step.step + 1


def _check_labels(labels: Sequence[Label], places: dict[str, int], report: Report) -> None:
    for label in labels:
        if label.episode not in places:
            report("warning", "label", f"a label of {label.source} is about an unknown episode", label.episode)
        elif label.step != EPISODE and label.step >= places[label.episode]:
            text = f"a label of {label.source} is about a step that is not there"
            report("warning", "label", text, label.episode, label.step)


@dataclass
class Form:
    """Shapes, types and finite numbers, as the schema has them; actions in [-1, 1]."""

    schema: Schema
    report: Report

    def see(self, step: Transition, before: Transition | None) -> None:
        try:
            self.schema.validate(step)
        except DataError as error:
            self.report("fault", "nan" if "NaN" in str(error) else "shape", str(error), step.episode, step.step)
        for name in ("action", "policy_action"):
            if np.abs(getattr(step, name)).max(initial=0) > 1 + 1e-6:
                self.report("fault", "action", f"{name} is outside [-1, 1]", step.episode, step.step)

    def end(self) -> None:
        """Nothing is left."""


@dataclass
class Joined:
    """A step observes what the step before it led to."""

    schema: Schema
    report: Report

    def see(self, step: Transition, before: Transition | None) -> None:
        if before is None or step.step != before.step + 1:
            return
        for item in self.schema.observation:
            left, right = before.next_observation[item.name], step.observation[item.name]
            if left.tobytes() != right.tobytes():
                text = f"'{item.name}' is not the next observation of the step before"
                self.report("fault", "next_observation", text, step.episode, step.step)

    def end(self) -> None:
        """Nothing is left."""


@dataclass
class Stamps:
    """Time goes forward, at a steady pace."""

    schema: Schema
    report: Report
    _durations: list[tuple[float, str, int]] = field(default_factory=list)
    _kept: int = 200_000

    def see(self, step: Transition, before: Transition | None) -> None:
        place = step.episode, step.step
        if not step.next_stamp > step.stamp:
            self.report("fault", "stamps", "the next observation's stamp is not after the observation's", *place)
        if before is not None and not step.stamp > before.stamp:
            self.report("fault", "stamps", "stamps go back, or stand still", *place)
        elif before is not None and not step.stamp >= before.next_stamp:
            self.report("fault", "stamps", "the observation is older than the step before led to", *place)
        if len(self._durations) < self._kept:
            self._durations.append((step.next_stamp - step.stamp, *place))

    def end(self) -> None:
        if len(self._durations) < FEW:
            return
        period = float(np.median([duration for duration, *_ in self._durations]))
        for duration, episode, step in self._durations:
            if abs(duration - period) > JITTER * abs(period):
                text = f"steps take other than {period * 1e3:.1f} ms by more than {JITTER:.0%}"
                self.report("warning", "jitter", text, episode, step)


@dataclass
class _Still:
    """A run of steps with one picture. low, high: where the arm was meanwhile."""

    camera: str
    mark: int
    episode: str
    start: int
    low: NDArray
    high: NDArray
    steps: int = 1


@dataclass
class Cameras:
    """A camera does not show the same picture again and again while the arm moves."""

    schema: Schema
    report: Report
    _now: dict[str, _Still] = field(default_factory=dict)
    _long: list[_Still] = field(default_factory=list)
    _low: NDArray | None = None
    _high: NDArray | None = None

    def see(self, step: Transition, before: Transition | None) -> None:
        if not self.schema.images:
            return
        place = _position(self.schema, step.next_observation)
        self._low = place if self._low is None else np.minimum(self._low, place)
        self._high = place if self._high is None else np.maximum(self._high, place)
        for item in self.schema.images:
            mark = crc32(step.next_observation[item.name].tobytes())
            run = self._now.get(item.name)
            if run is not None and before is not None and run.mark == mark:
                run.low, run.high = np.minimum(run.low, place), np.maximum(run.high, place)
                run.steps += 1
                continue
            self._keep(run)
            self._now[item.name] = _Still(item.name, mark, step.episode, step.step, place, place)

    def _keep(self, run: _Still | None) -> None:
        if run is not None and run.steps > FROZEN_STEPS:
            self._long.append(run)

    def end(self) -> None:
        """How far is far shows only in the whole set."""
        for run in self._now.values():
            self._keep(run)
        for run in self._long:
            assert self._low is not None
            assert self._high is not None
            far = MOVED * np.maximum(self._high - self._low, LEAST_RANGE)
            if (run.high - run.low > far).any():
                text = f"camera '{run.camera}' shows the same picture for {run.steps} steps while the arm moves"
                self.report("fault", "frozen", text, run.episode, run.start)


def _position(schema: Schema, observation: Any) -> NDArray:
    """Where the arm is, as far as it is observed: the positions, else every number."""
    names = [item.name for item in schema.arrays if item.dtype.startswith("float")]
    words = ("position", "pos", "joint", "pose")
    places = [name for name in names if any(word in name.lower() for word in words)] or names
    return np.concatenate([np.zeros(1), *(observation[name].astype(float).reshape(-1) for name in places)])


@dataclass
class Actions:
    """An axis of the action is not at its bound all the time; grippers apart, which often are."""

    schema: Schema
    report: Report
    _episode: str = ""
    _steps: int = 0
    _bound: NDArray | None = None

    def see(self, step: Transition, before: Transition | None) -> None:
        if before is None:
            self.end()
            self._episode, self._steps, self._bound = step.episode, 0, np.zeros(len(step.action), int)
        assert self._bound is not None
        self._steps += 1
        self._bound += np.abs(step.action) >= 1 - 1e-3

    def end(self) -> None:
        if self._bound is None or self._steps < FEW:
            return
        for name, count in zip(self.schema.actions, self._bound, strict=True):
            if count >= SATURATED * self._steps and "grip" not in name:
                text = f"action '{name}' is at its bound in {count} of {self._steps} steps"
                self.report("warning", "saturated", text, self._episode, 0)


@dataclass
class Constant:
    """An observation that never changes tells nothing: a sensor that is off, perhaps."""

    schema: Schema
    report: Report
    _first: dict[str, bytes] = field(default_factory=dict)
    _varies: set[str] = field(default_factory=set)
    _steps: int = 0

    def see(self, step: Transition, before: Transition | None) -> None:
        self._steps += 1
        for item in self.schema.observation:
            if item.name in self._varies:
                continue
            content = step.next_observation[item.name].tobytes()
            if self._first.setdefault(item.name, content) != content:
                self._varies.add(item.name)

    def end(self) -> None:
        if self._steps < 10 * FEW:
            return
        for item in self.schema.observation:
            if item.name not in self._varies:
                self.report("warning", "constant", f"'{item.name}' is the same in all {self._steps:,} steps")


@dataclass
class Ends:
    """An episode that neither terminated nor was truncated ends with the run or a crash; only a journal's last may."""

    schema: Schema
    report: Report
    _last: Transition | None = None

    def see(self, step: Transition, before: Transition | None) -> None:
        last = self._last
        if before is None and last is not None and not (last.terminated or last.truncated):
            self.report("warning", "open", "neither terminated nor truncated", last.episode, last.step)
        self._last = step

    def end(self) -> None:
        """Nothing is left."""


CHECKS: tuple[Callable[[Schema, Report], Check], ...] = (
    Form, Joined, Stamps, Cameras, Actions, Constant, Ends,
)  # fmt: skip
