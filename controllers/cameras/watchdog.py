"""A camera whose driver may hang: it runs in a process of its own, which is killed and started again."""

from __future__ import annotations

import json
import logging
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable

from controllers.cameras.base import Facts, Frame, Intrinsics
from controllers.cameras.config import CameraConfig
from controllers.cameras.order import Order
from controllers.cameras.ring import Ring
from controllers.cameras.timing import Timing
from controllers.exceptions import CameraError
from controllers.interface import Health

_log = logging.getLogger(__name__)

START = 20.0
"""s that a camera may take from the start of its process to its first picture."""
BACKOFF, LONGEST_BACKOFF = 0.5, 8.0
"""s between a failure and the next start; doubled with each failure in a row."""
STEADY = 5.0
"""s of pictures after which earlier failures are forgiven."""
GRACE, REAP = 2.0, 1.0
"""s that a process may take to close its device when asked, and to be gone when killed."""
SLICE = 0.1
"""Longest wait, s, in which `check` is not called."""
CHATTER = 65536
"""Bytes taken from the pipe at a time."""


class Worker:
    """One process of a camera: the parent's side of `controllers.cameras.worker`.

    facts, error: what it has said so far. It ends with the thread that made it.
    """

    def __init__(self, name: str, config: CameraConfig, task: str, failures: int = 0) -> None:
        self.facts: Facts | None = None
        self.error = ""
        self.began = time.monotonic()
        ring = Ring.create(config.shape, config.depth)
        self._pipe, pipe = os.pipe()
        order = Order(os.getpid(), ring, pipe, name, task, failures, config)
        command = [sys.executable, "-m", "controllers.cameras.worker", order.text()]
        try:
            self._process = subprocess.Popen(command, pass_fds=(ring, pipe), stdin=subprocess.DEVNULL)
            self._ring = Ring(ring, config.shape, config.depth)
        finally:
            os.close(ring)
            os.close(pipe)
        self._rest = b""

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def wait(self, timeout: float) -> tuple[int, Frame, int] | None:
        """The newest picture that arrived within `timeout` s: its count, itself, how many were lost until then.

        Raises `CameraError` when the process has ended.
        """
        ready, _, _ = select.select([self._pipe], [], [], max(timeout, 0.0))
        if not ready:
            return None
        data = os.read(self._pipe, CHATTER)
        if not data:
            raise CameraError(self._obituary())
        *lines, self._rest = (self._rest + data).split(b"\n")
        count = 0
        for line in lines:
            kind, _, content = line.decode().partition(" ")
            if kind == "frame":
                count = int(content)
            else:
                self._note(kind, json.loads(content))
        found = self._ring.read(count) if count else None
        return None if found is None else (count, *found)

    def kill(self) -> bool:
        """End it at once; False where the kernel cannot (a call into a driver that does not return)."""
        self._process.kill()
        return self._reap(REAP)

    def stop(self) -> None:
        """Let it release its device; kill it where that takes longer than `GRACE` s."""
        self._process.send_signal(signal.SIGTERM)
        if not self._reap(GRACE):
            self.kill()

    def _reap(self, timeout: float) -> bool:
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        self._close_pipe()
        return True

    def _close_pipe(self) -> None:
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1

    def _note(self, kind: str, values: dict) -> None:
        if kind == "error":
            self.error = values["text"]
            return
        pinhole = values["intrinsics"]
        if pinhole is not None:
            pinhole = Intrinsics(**{**pinhole, "coefficients": tuple(pinhole["coefficients"])})
        self.facts = Facts(values["name"], pinhole, values["settings"])

    def _obituary(self) -> str:
        if not self._reap(REAP):
            self.kill()
        code = self._process.returncode
        if self.error:
            return self.error
        if code is None:
            return "its process has gone silent and cannot be ended"
        return f"its process was ended by signal {-code}" if code < 0 else f"its process ended with code {code}"


class SupervisedCamera:
    """A camera that may hang, crash or be unplugged, without its user ever waiting for it longer than he said.

    It is watched while it is polled; poll it at least a few times a second. Without a new picture for
    `config.stale_after` s its process is killed and started again, after a growing pause; after `config.restarts`
    failures in a row it is dead, and every further `poll` says so. Use one object in one thread, which outlives it.

    task: whose scene driver `twin` renders. say: told, in a sentence, what goes wrong while it runs. check: called
    often while `open` waits, to interrupt it by an exception.
    """

    def __init__(
        self,
        name: str,
        config: CameraConfig,
        *,
        task: str = "",
        start: float = START,
        backoff: float = BACKOFF,
        say: Callable[[str], None] = _log.warning,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self.name, self.config, self.facts = name, config, Facts(name)
        self.restarts = 0
        self._task, self._start_time, self._backoff, self._say = task, start, backoff, say
        self._check = check
        self._worker: Worker | None = None
        self._fresh = 0.0
        self._delivering = False
        self._due = 0.0
        self._failures = 0
        self._dead = ""
        self._lost = self._missed = 0
        self._timing = Timing()

    @property
    def pid(self) -> int | None:
        """Of the process that captures now."""
        return None if self._worker is None else self._worker.pid

    def open(self) -> None:
        """Start, and wait for the first picture. Raises `CameraError`: what cannot start at all is not retried."""
        self._begin()
        assert self._worker is not None
        limit = self._fresh + self._start_time
        while time.monotonic() < limit:
            self._check()
            try:
                found = self._worker.wait(min(limit - time.monotonic(), SLICE))
            except CameraError as error:
                self._worker = None
                raise CameraError(self._about(str(error))) from None
            if found is not None:
                self._deliver(found)
                return
        self.close()
        raise CameraError(self._about(f"no picture within {self._start_time:g} s of its start; is it in use?"))

    def poll(self, timeout: float) -> Frame | None:
        """The newest picture not yet returned, waited for at most `timeout` s; None where there is none.

        Raises `CameraError` once the camera is dead.
        """
        end = time.monotonic() + timeout
        while True:
            if self._dead:
                raise CameraError(self._dead)
            frame = self._step(end)
            if frame is not None or time.monotonic() >= end:
                return frame

    def read(self) -> Frame:
        """The next picture, however many restarts it takes. Raises `CameraError` once the camera is dead."""
        while (frame := self.poll(self.config.stale_after)) is None:
            pass
        return frame

    def close(self) -> None:
        """Release the device; the process is gone afterwards, whatever its driver does."""
        if self._worker is not None:
            self._worker.stop()
            self._worker = None

    def health(self) -> Health:
        """Rate, jitter, latency, lost pictures, age of the newest one, restarts, and what was set."""
        age = time.monotonic() - self._fresh
        values: dict[str, object] = {
            **self._timing.values(),
            "missed": self._lost + self._missed,
            "staleness": age,
            "restarts": self.restarts,
            "camera": self.facts.name,
            **self.facts.settings,
        }
        if self._dead:
            return Health("error", self._dead, values)
        if not self._delivering:
            return Health("error" if self._failures else "warn", f"camera {self.name} is being started", values)
        if age > self.config.stale_after:
            return Health("error", f"no new picture of camera {self.name} for {age:.1f} s", values)
        rate = self._timing.values()["rate"]
        if rate < 0.9 * self.config.rate:
            said = f"camera {self.name} delivers {rate:.1f} pictures a second, not {self.config.rate}"
            return Health("warn", said, values)
        return Health("ok", "capturing", values)

    def _begin(self) -> None:
        self._worker = Worker(self.name, self.config, self._task, self._failures)
        self._fresh, self._delivering = time.monotonic(), False
        self._lost, self._missed = self._lost + self._missed, 0

    def _step(self, end: float) -> Frame | None:
        """One look at the process: a picture, or the end of a wait, or a failure dealt with."""
        now = time.monotonic()
        if self._worker is None:
            if now >= self._due:
                self._begin()
            else:
                time.sleep(max(min(self._due, end) - now, 0.0))
            return None
        limit = self._fresh + (self.config.stale_after if self._delivering else self._start_time)
        try:
            found = self._worker.wait(min(end, limit) - now)
        except CameraError as error:
            self._fail(str(error))
            return None
        if found is not None:
            return self._deliver(found)
        if time.monotonic() > limit:
            self._fail(self._hang())
        return None

    def _deliver(self, found: tuple[int, Frame, int]) -> Frame:
        assert self._worker is not None
        count, frame, self._missed = found
        if not self._delivering:
            self._delivering, self.facts = True, self._worker.facts or self.facts
            self._worker.began = frame.arrival
        elif frame.arrival - self._worker.began > STEADY:
            self._failures = 0
        self._fresh = max(self._fresh, frame.arrival)
        self._timing.add(count, frame)
        return frame

    def _hang(self) -> str:
        """Kill the silent process; what to say of it."""
        assert self._worker is not None
        silence = f"no new picture for {time.monotonic() - self._fresh:.2g} s"
        if self._worker.kill():
            return silence
        return f"{silence}, and its process {self._worker.pid} cannot be killed; unplug the camera"

    def _fail(self, reason: str) -> None:
        self._worker, self._delivering = None, False
        self._failures += 1
        if self._failures >= self.config.restarts:
            self._dead = f"camera {self.name} is dead after {self._failures} failures in a row; the last: {reason}."
            self._say(self._dead)
            return
        self.restarts += 1
        pause = min(self._backoff * 2 ** (self._failures - 1), LONGEST_BACKOFF)
        self._due = time.monotonic() + pause
        self._say(f"{self._about(reason)}; it is started again in {pause:g} s.")

    def _about(self, reason: str) -> str:
        named = f"camera {self.name}"
        return reason if reason.startswith(named) else f"{named}: {reason}"
