"""`metrics.jsonl`: what happens in a run, one JSON object a line, appended by every process of it.

Every record has `kind` and `time` (s, Unix). The kinds, and their other keys:

    run      event: start | resume | stop | complete; steps: environment steps to train; offline, gradient steps
    phase    name: demos | pretrain | train | eval; done, total: how far it is
    episode  step: environment steps so far; length; return; success (null: the end of the run cut it);
             intervened: steps a person made;
             version: of the policy; robot_s: robot time of the episode, reset apart, s;
             reset_s, reset_failures, homed, put_back: of the reset before it, `robot_rl.resets.base.Outcome`;
             sync_p99_ms: for how long 99 in 100 steps waited for the journal's disk, at most;
             weights_age_s, weights_lag_steps, act_ms (and each as _p99_), act_overruns: `robot_rl.pacing`
    update   step: environment steps received; offline, gradient steps; updates: critic updates so far; version;
             refused: updates that this learner refused so far; utd, blocks_due: `Learner.pacing`;
             and the learner's own numbers (critic_loss, temperature, ...)
    eval     successes, episodes, deterministic, ... as `robot-rl eval` prints them
    perturbed  the same under the perturbation of that name, and how many recovered (`robot_rl.perturb`)
    node     name; event: started | died | restarted | stopped; detail: its last words
    operator paused, stopping: what an operator asked for; text: how things are, in a word
    notice   text: a sentence that a person should read

    damaged  text: a line that is no record (power was lost while it was written)

A number that is not finite is written as null.
"""

from __future__ import annotations

import errno
import json
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from robot_rl.disk import disk_errors

Record = dict[str, Any]


class MetricsWriter:
    """Appends records; each is one `write` to a file opened for appending, so that processes may share it."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._torn = path, False
        self._descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        size = os.fstat(self._descriptor).st_size
        if size and os.pread(self._descriptor, 1, size - 1) != b"\n":
            os.write(self._descriptor, b"\n")  # what a crash left half stays one record, `damaged`; where another
            # process was only seen halfway through its line, this leaves an empty line behind it: no record

    def write(self, kind: str, **values: Any) -> None:
        """Append one record of `kind`, stamped now. Raises `DiskError`."""
        record = {"kind": kind, "time": round(time.time(), 3)} | plain(values)
        line = (json.dumps(record, allow_nan=False) + "\n").encode()
        with disk_errors(self._path):
            self._put(line if not self._torn else b"\n" + line)

    def _put(self, line: bytes) -> None:
        """One `write`; where a full disk took only a part, that part becomes a line of its own, `damaged`."""
        written = os.write(self._descriptor, line)
        self._torn = 0 < written < len(line)
        if written < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def close(self) -> None:
        os.close(self._descriptor)

    def __enter__(self) -> MetricsWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def plain(value: Any) -> Any:
    """`value` as JSON knows it: NumPy and JAX scalars become numbers, what is not finite becomes None."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    array = np.asarray(value)
    if array.ndim:
        return [plain(item) for item in array.tolist()]
    number = array.item()
    return number if not isinstance(number, float) or math.isfinite(number) else None


class MetricsFollower:
    """Reads what was appended since the last call; a line that is still being written waits for its end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0

    def read(self) -> Iterator[Record]:
        """The new records."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._offset += len(line)
                if line != b"\n":
                    yield _parse(line)


def read_metrics(path: Path) -> list[Record]:
    """Every record of a run so far; a line still being written is left out."""
    return list(MetricsFollower(path).read())


def _parse(line: bytes) -> Record:
    try:
        record = json.loads(line)
    except ValueError:
        record = None
    if isinstance(record, dict) and "kind" in record:
        return record
    return {"kind": "damaged", "time": None, "text": line[:200].decode(errors="replace")}
