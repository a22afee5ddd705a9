"""A fault storm: random kill -9 of actors and learner, and cuts of the cable between them, over one run.

Afterwards the journals are compared with what the learner holds, to the bit: nothing may be lost, doubled, or paired
with another step's observation. Where network namespaces are allowed the two sides are on machines of their own.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from operator import lt
from pathlib import Path
from typing import Any

from benchmarks.cable import ADDRESSES, Cable, Weather
from benchmarks.common import ROOT, Figure, Partial, at_most, main, progress
from benchmarks.stand_in import audit, command, prepare
from robot_rl.actors import journal_folder
from robot_rl.lifeline import PARENT
from robot_rl.nodes.__main__ import START_AGAIN
from robot_rl.nodes.environment import Domain, clean_shared_memory, network_environment, ros_environment
from robot_rl.runs import RunFolder

ACTORS = 2
RATE = 5.0
"""Steps a second of each: the whole storm has to fit the learner's replay."""
PAUSE = (0.5, 5.0)
"""Seconds between two faults, drawn evenly."""
HASTE = 0.3
"""Share of the faults that come whatever has been mended; before the others every actor makes a few steps."""
GROWTH = 100_000
"""Bytes that are a few steps."""
CUT = (0.5, 12.0)
"""Seconds that the cable is cut; participants forget each other after five."""
STEPS = 1_000_000
"""More than an actor makes: the storm's end is said by a file."""

Command = Callable[[str], list[str]]


class Storm:
    """The processes of a run, each started again as soon as it is dead; faults to them, counted by kind."""

    def __init__(self, run: RunFolder, environment: Mapping[str, str], wrap: Callable[[str, list[str]], list[str]]):
        self.counts: Counter[str] = Counter()
        self._run, self._environment, self._wrap = run, dict(environment) | {PARENT: str(os.getpid())}, wrap
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._steps = {f"actor{index}": STEPS for index in range(ACTORS)}
        for part in ("learner", *self._steps):
            self._start(part)

    def kill(self, part: str) -> None:
        """End it with kill -9, and start it again."""
        self._processes[part].send_signal(signal.SIGKILL)
        self._processes[part].wait()
        self.counts[f"kill -9 of {part}"] += 1
        self._start(part)

    def look(self) -> None:
        """Raises `RuntimeError` where a process ended by itself: the one reason to is a cable cut as it started."""
        for part, process in self._processes.items():
            if process.poll() == START_AGAIN:
                self.counts["restarts by themselves"] += 1
                self._start(part)
            elif process.poll() is not None:
                raise RuntimeError(f"{part} ended with {process.returncode}; see {self._log(part)}")

    def recover(self, timeout: float = 300.0) -> None:
        """Wait until every actor's journal has grown by a few steps."""
        folders = [journal_folder(self._run, part) for part in self._steps]
        goals, end = [size(folder) + GROWTH for folder in folders], time.monotonic() + timeout
        while time.monotonic() < end and any(map(lt, map(size, folders), goals)):
            self.look()
            time.sleep(0.1)

    def settle(self, timeout: float = 300.0) -> None:
        """Let the actors bring everything, and the learner save it."""
        for part in self._steps:
            interrupt(self._processes[part])
        for part in self._steps:
            self._start(part, "--steps", "0")  # delivers what is there
        for part in self._steps:
            if self._processes[part].wait(timeout):
                raise RuntimeError(f"{part} could not deliver; see {self._log(part)}")
        interrupt(self._processes["learner"])

    def end(self) -> None:
        """Leave nothing running."""
        for process in self._processes.values():
            process.kill()
            process.wait()

    def _start(self, part: str, *options: str) -> None:
        words = command(part, self._run, "--rate", str(RATE), *(options or ("--steps", str(STEPS))))
        with self._log(part).open("ab") as log:
            self._processes[part] = subprocess.Popen(
                self._wrap(part, words), env=self._environment, cwd=ROOT, stdout=log, stderr=log
            )

    def _log(self, part: str) -> Path:
        return self._run.logs / f"{part}.log"


def size(folder: Path) -> int:
    """Bytes of a journal."""
    return sum(file.stat().st_size for file in folder.glob("*.mcap"))


def interrupt(process: subprocess.Popen[bytes], timeout: float = 60.0) -> None:
    """Ask a process to end, again and again: one that is just importing may lose a signal."""
    end = time.monotonic() + timeout
    while process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(min(5.0, timeout))
        except subprocess.TimeoutExpired:
            if time.monotonic() > end:
                raise


def storm(folder: Path, faults: int, seed: int = 0) -> dict[str, Any]:
    """Run it: the counts of faults, and the audit of what is left of them."""
    shutil.rmtree(folder, ignore_errors=True)
    obstacle = Cable.possible()
    run = prepare(folder, obs="pixels", actors=ACTORS, peers=() if obstacle else ADDRESSES)
    draw = random.Random(seed)
    began = time.monotonic()
    with ExitStack() as stack:
        if obstacle:
            progress(f"without a cable to cut: {obstacle}")
            domain = stack.enter_context(Domain(run.path))
            environment, cable = ros_environment(os.environ, domain=domain.number), None
            stack.callback(clean_shared_memory)
        else:
            environment = network_environment(os.environ, ADDRESSES, run.identity)
            cable = stack.enter_context(Cable(f"storm{os.getpid()}", Weather(0.005, 0.003, 0.01), seed))

        def wrap(part: str, words: list[str]) -> list[str]:
            return words if cable is None else cable.command(int(part == "learner"), words)

        processes = Storm(run, environment, wrap)
        stack.callback(processes.end)
        for fault in range(faults):
            if draw.random() > HASTE:
                processes.recover()
            time.sleep(draw.uniform(*PAUSE))
            processes.look()
            rage(processes, cable, draw)
            if fault % 10 == 9:
                progress(f"{fault + 1} of {faults} faults, {time.monotonic() - began:.0f} s")
        progress("the storm is over; everything is delivered and compared")
        processes.settle()
    result = asdict(audit(run))
    print("  ".join(f"{name}: {count}" for name, count in (processes.counts | result).items()), file=sys.stderr)
    return {"faults": dict(processes.counts), "minutes": (time.monotonic() - began) / 60, **result}


def rage(processes: Storm, cable: Cable | None, draw: random.Random) -> None:
    """One random fault."""
    kinds = ["learner", "actor0", "actor1", *(["cable"] if cable else [])]
    kind = draw.choice(kinds)
    if kind != "cable":
        processes.kill(kind)
        return
    assert cable is not None
    cable.cut()
    time.sleep(draw.uniform(*CUT))
    cable.mend()
    processes.counts["cuts of the cable"] += 1


def measure(quick: bool) -> list[Figure]:
    """All figures of the storm."""
    partial = Partial("faults", quick)
    faults = 10 if quick else 200
    result = partial.once("storm", lambda: storm(partial.folder / "run", faults))
    return [
        *(Figure(name, count, "faults") for name, count in sorted(result["faults"].items())),
        Figure("steps in the journals", result["kept"], "steps"),
        at_most("lost: in a journal and not with the learner", result["lost"], "steps", 0),
        at_most("doubled: more than once with the learner", result["doubled"], "steps", 0),
        at_most("wrong: not one journalled step, to the bit", result["wrong"] + result["strange"], "steps", 0),
        Figure("the storm took", result["minutes"], "min"),
    ]


if __name__ == "__main__":
    main("faults", measure)
