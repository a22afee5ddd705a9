"""Starts the nodes of a run as processes, watches them, reports and restarts the dead, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from robot_rl.config import RunConfig, devices_of
from robot_rl.exceptions import GraphError
from robot_rl.graph import NodeSpec, graph
from robot_rl.lifeline import PARENT
from robot_rl.metrics import MetricsWriter
from robot_rl.nodes.environment import (
    Domain,
    check_shared_memory,
    clean_shared_memory,
    common_domain,
    for_interpreter,
    network_environment,
)
from robot_rl.runs import RunFolder
from robot_rl.terminal import forwarded

USER_ERROR = 2
"""Exit code of a node that needs a person: starting it again would not help."""
LAST_WORDS = 15
RESTARTS, WINDOW = 5, 600.0
"""At most so many restarts of one node in so many seconds: more is a fault that restarting does not mend."""
POLL = 0.1
ECHO = 2.0
"""One Ctrl-C may arrive twice within this time, s."""

Report = Callable[[str, str, str], None]
"""Called with a node's name, what happened (`started`, `died`, `restarted`, `stopped`), and detail."""


@dataclass
class _Running:
    node: NodeSpec
    process: subprocess.Popen[bytes]
    log: IO[bytes]
    begin: int
    deaths: deque[float] = field(default_factory=deque)


class Supervisor:
    """The processes of one run. Use it as a context: leaving it stops everything.

    environment: of the children. logs: folder for NAME.log. report: hears of every event. grace: s that nodes have
    to stop before they are killed. The thread that starts the nodes has to live as long as they do.
    """

    def __init__(
        self,
        nodes: Sequence[NodeSpec],
        run: Path,
        logs: Path,
        environment: Mapping[str, str],
        report: Report,
        *,
        grace: float = 20.0,
        command: Callable[[NodeSpec, Path], list[str]] = NodeSpec.command,
    ) -> None:
        self._nodes, self._run, self._logs = nodes, run, logs
        self._environment = dict(environment) | {PARENT: str(os.getpid())}
        self._report, self._grace, self._command = report, grace, command
        self._running: dict[str, _Running] = {}

    def __enter__(self) -> Supervisor:
        self._logs.mkdir(parents=True, exist_ok=True)
        try:
            for node in self._nodes:
                self._start(node)
                self._report(node.name, "started", "")
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def watch(self, stop: Callable[[], bool] = lambda: False) -> None:
        """Until the run is finished, or `stop()`. Raises `GraphError` when a node's death ends the run."""
        while not stop():
            if self.poll():
                return
            self.wait()

    def poll(self) -> bool:
        """Look once: restart what died. True when the run is finished. Raises `GraphError`."""
        for running in list(self._running.values()):
            code = running.process.poll()
            if code is not None and not _finished(running):
                self._bury(running, code)
        finishing = [running for running in self._running.values() if running.node.finishes]
        return bool(finishing) and all(map(_finished, finishing))

    def wait(self) -> None:
        """Sleep between two looks."""
        time.sleep(POLL)

    def stop(self) -> None:
        """Interrupt all nodes, wait, kill those that do not end. A second Ctrl-C from a person kills at once."""
        begun = time.monotonic()
        for running in self._running.values():
            _signal(running, signal.SIGINT)
        while self._alive() and time.monotonic() - begun < self._grace:
            try:
                self.wait()
            except KeyboardInterrupt:
                if time.monotonic() - begun > ECHO:
                    break
        told = []
        for name, running in reversed(list(self._running.items())):
            told.append((name, "killed: it did not stop in time" if running.process.poll() is None else ""))
            _signal(running, signal.SIGKILL)
            running.process.wait()
            _close(running)
        self._running.clear()
        for name, detail in told:  # last, since a full disk makes it fail
            self._report(name, "stopped", detail)

    def _alive(self) -> bool:
        return any(running.process.poll() is None for running in self._running.values())

    def press(self, keys: bytes) -> None:
        """Hand on what a person typed, to the nodes that want it."""
        for running in list(self._running.values()):
            if running.process.stdin is None:
                continue
            # one that has just died is started anew without these keys; one that does not read missed their moment
            with suppress(BrokenPipeError, ValueError, BlockingIOError):
                os.write(running.process.stdin.fileno(), keys)

    def process_id(self, name: str) -> int:
        """The process of a node."""
        return self._running[name].process.pid

    def _start(self, node: NodeSpec, deaths: deque[float] | None = None) -> None:
        log = (self._logs / f"{node.name}.log").open("ab")
        begin = log.tell()
        command = self._command(node, self._run)
        process = subprocess.Popen(
            command,
            env=for_interpreter(self._environment, command[0]),
            stdin=subprocess.PIPE if node.keys else subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            process_group=0,  # not a session: the kernel balances sessions against each other, whatever their nice
        )
        if process.stdin is not None:
            os.set_blocking(process.stdin.fileno(), False)
        self._running[node.name] = _Running(node, process, log, begin, deaths or deque())

    def _bury(self, running: _Running, code: int) -> None:
        """Report a death with its last words; start the node again where that is safe, else end the run."""
        _signal(running, signal.SIGKILL)
        _close(running)
        name, words = running.node.name, self._last_words(running)
        del self._running[name]
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        self._report(name, "died", f"{how}; last words: {words or 'none'}")
        clean_shared_memory()
        log = self._logs / f"{name}.log"
        if code == USER_ERROR:
            unsaid = "its log has no room for the reason: free space on the disk of"
            raise GraphError(
                words.splitlines()[-1]
                if words
                else f"the node {name} needs a person, and {unsaid} {self._run}, then go on with --resume"
            )
        if not running.node.restart:
            raise GraphError(f"the node {name} {how}, and restarting it is not safe; see {log}, then use --resume.")
        now = time.monotonic()
        while running.deaths and now - running.deaths[0] > WINDOW:
            running.deaths.popleft()
        running.deaths.append(now)
        if len(running.deaths) > RESTARTS:
            raise GraphError(f"the node {name} died {len(running.deaths)} times in {WINDOW / 60:g} minutes; see {log}.")
        self._start(running.node, running.deaths)
        self._report(name, "restarted", "")
        for other in [other for other in self._running.values() if _finished(other)]:
            _close(other)
            self._start(other.node, other.deaths)  # it may have to tell again what the one that died knew

    def _last_words(self, running: _Running) -> str:
        """The end of what the node's last life wrote to its log."""
        with (self._logs / f"{running.node.name}.log").open("rb") as file:
            file.seek(running.begin)
            lines = file.read().decode(errors="replace").strip().splitlines()
        return "\n".join(lines[-LAST_WORDS:])


def _finished(running: _Running) -> bool:
    """Whether a node has done its part of the run."""
    return running.node.finishes and running.process.poll() == 0


def _close(running: _Running) -> None:
    """Let go of the files of a node that has ended."""
    running.log.close()
    if running.process.stdin is not None:
        running.process.stdin.close()


def _signal(running: _Running, number: int) -> None:
    """Signal the node and whatever it started: it leads a process group of its own."""
    try:
        os.killpg(running.process.pid, number)
    except ProcessLookupError:
        return


def say(name: str, event: str, detail: str) -> None:
    """A report for people, on stderr; a death is never silent."""
    if event in ("died", "restarted") or detail:
        print(f"[{name}] {event}{': ' if detail else ''}{detail}", file=sys.stderr, flush=True)


def train_graph(
    config: RunConfig,
    run: RunFolder,
    metrics: MetricsWriter,
    *,
    stop: Callable[[], bool] = lambda: False,
    report: Report = say,
) -> None:
    """Train to `config.steps` with the run's graph, a process for each node; `stop()` ends it cleanly, resumable.

    The run's demonstrations must be there. Raises `GraphError`.
    """

    def tell(name: str, event: str, detail: str) -> None:
        metrics.write("node", name=name, event=event, detail=detail)
        report(name, event, detail)

    wanted = os.environ.get("ROS_DOMAIN_ID") or (str(common_domain(run.identity)) if config.peers else None)
    with Domain(run.path, wanted) as domain:
        environment = network_environment(os.environ, config.peers, run.identity, domain=domain.number)
        clean_shared_memory()
        check_shared_memory(len(graph(config)), environment)
        try:
            with (
                Supervisor(graph(config), run.path, run.logs, environment, tell, grace=60.0) as nodes,
                forwarded(nodes.press) if devices_of(config) and sys.stdin.isatty() else nullcontext(),
            ):
                nodes.watch(stop)
        finally:
            clean_shared_memory()
