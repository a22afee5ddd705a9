"""What every benchmark shares: figures, the machine, partial results, peers, the command line.

`python -m benchmarks.NAME [--quick] [--fresh] [--json]` measures and prints; with --json one object on
standard output and nothing else there (progress goes to standard error).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "bench"


@dataclass(frozen=True)
class Figure:
    """One measured number. `target` is the one asked for; `met` says whether it is reached; None: no target.

    `ratio` is value over peer_value, taken in the same run.
    """

    name: str
    value: float
    unit: str
    target: float | None = None
    met: bool | None = None
    peer: str | None = None
    peer_value: float | None = None
    ratio: float | None = None


def at_least(name: str, value: float, unit: str, target: float, **peer: Any) -> Figure:
    """A figure that should reach `target` or more."""
    return Figure(name, value, unit, target, bool(value >= target), **peer)


def at_most(name: str, value: float, unit: str, target: float, **peer: Any) -> Figure:
    """A figure that should stay at or below `target`."""
    return Figure(name, value, unit, target, bool(value <= target), **peer)


def machine() -> dict[str, Any]:
    """The machine that the figures were taken on."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0].split(":", 1)[1].strip() if names else cpu
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "os": platform.platform(terse=True),
        "python": platform.python_version(),
    }


def progress(text: str) -> None:
    """Tell a person what is being measured, without touching standard output."""
    print(text, file=sys.stderr, flush=True)


@cache
def source_fingerprint() -> str:
    """Digest of the code that figures depend on; a partial result of other code is not used."""
    digest = hashlib.sha256()
    for package in ("robot_rl", "controllers", "tasks"):
        for path in sorted((ROOT / package).rglob("*")):
            if path.suffix in {".py", ".xml", ".yaml"}:
                digest.update(str(path.relative_to(ROOT)).encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


class Partial:
    """Results kept per key (a seed, a variant): a long benchmark goes on where it stopped."""

    def __init__(self, benchmark: str, quick: bool) -> None:
        self.folder = BUILD / f"{benchmark}{'-quick' if quick else ''}-{source_fingerprint()}"

    def get(self, key: str) -> Any | None:
        """The stored result of `key`, or None."""
        path = self.folder / f"{key}.json"
        return json.loads(path.read_text()) if path.exists() else None

    def put(self, key: str, result: Any) -> None:
        """Store a JSON-able result; a crash leaves the old file or the new one, never half of it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        scratch = self.folder / f".{key}.json.tmp"
        scratch.write_text(json.dumps(result))
        scratch.replace(self.folder / f"{key}.json")

    def once(self, key: str, measure: Callable[[], Any]) -> Any:
        """The stored result of `key`, measured first where there is none."""
        result = self.get(key)
        if result is None:
            result = measure()
            self.put(key, result)
        return result


def peer_environment() -> dict[str, str]:
    """Environment for another virtual environment's Python: without what this one's start-up left in it."""
    ours = {"_ROS_WHEELS_BOOTSTRAP_COMPLETE", "LD_LIBRARY_PATH", "AMENT_PREFIX_PATH", "PYTHONPATH"}
    return {key: value for key, value in os.environ.items() if key not in ours}


def peer_python(name: str, *pip_arguments: str) -> Path:
    """Python of a virtual environment of the peer's own, made once: its requirements may contradict ours."""
    folder = BUILD / f"peer-{name}"
    python = folder / "bin" / "python"
    done = folder / "installed.json"
    if done.exists() and json.loads(done.read_text()) == list(pip_arguments):
        return python
    progress(f"installing the peer {name} into {folder.relative_to(ROOT)}")
    venv.create(folder, with_pip=True, clear=True, symlinks=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *pip_arguments]
    subprocess.run(install, check=True, env=peer_environment(), stdout=sys.stderr)
    done.write_text(json.dumps(list(pip_arguments)))
    return python


def print_table(name: str, figures: list[Figure]) -> None:
    """Print the figures for a person."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"benchmark {name}", title_justify="left")
    for column in ("figure", "value", "unit", "target", "met", "peer", "peer's value", "ratio"):
        table.add_column(column, justify="right" if column in {"value", "target", "ratio"} else "left")
    for figure in figures:
        met = {None: "", True: "[green]yes[/]", False: "[red]no[/]"}[figure.met]
        cells = (figure.name, _number(figure.value), figure.unit, _number(figure.target), met)
        table.add_row(*cells, figure.peer or "", _number(figure.peer_value), _number(figure.ratio))
    Console().print(table)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}" if abs(value) < 10_000 else f"{value:,.0f}"


def main(
    name: str, measure: Callable[[bool], list[Figure]], so_far: Callable[[bool], list[Figure]] | None = None
) -> None:
    """Command line of one benchmark; `measure(quick)` returns its figures, `so_far(quick)` those it has already."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--quick", action="store_true", help="a shorter measurement (under 20 minutes)")
    parser.add_argument("--fresh", action="store_true", help="forget partial results of an earlier run")
    if so_far is not None:
        parser.add_argument("--so-far", action="store_true", help="show what there is, and measure nothing")
    options = parser.parse_args()
    if so_far is not None and options.so_far:
        measure = so_far
    elif options.fresh:
        shutil.rmtree(Partial(name, options.quick).folder, ignore_errors=True)
    figures = measure(options.quick)
    if options.json:
        result = {"benchmark": name, "machine": machine(), "figures": [asdict(figure) for figure in figures]}
        print(json.dumps(result))
    else:
        print_table(name, figures)
