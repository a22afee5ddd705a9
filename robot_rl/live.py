"""What a person sees while a run goes: one live view in a terminal, plain lines elsewhere.

It reads `metrics.jsonl`, so it shows every process of the run, on whatever transport.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from robot_rl.metrics import MetricsFollower, Record

WINDOW = 20
"""Episodes that the success rate is taken over."""
RATE_WINDOW = 30.0
"""Seconds that speeds are taken over."""

MESSAGE_LINES = 4
"""Lines of messages that the live view shows; plain mode and the metrics have all of them."""

PHASES = {"demos": "recording demonstrations", "pretrain": "pretraining", "train": "training", "eval": "evaluating"}


@dataclass
class Progress:
    """Where a run is, from its records. Pure: no clock, no terminal."""

    total: int = 0
    step: int = 0
    updates: int = 0
    version: int = 0
    episodes: int = 0
    robot_s: float = 0.0
    utd: float | None = None
    weights_age: float | None = None
    phase: str = "starting"
    done: int = 0
    phase_total: int = 0
    messages: list[str] = field(default_factory=list)
    nodes: dict[str, str] = field(default_factory=dict)
    operator: Record | None = None
    outcomes: deque[bool] = field(default_factory=lambda: deque(maxlen=WINDOW))
    returns: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))
    _history: deque[tuple[float, int, int]] = field(default_factory=deque)

    def add(self, record: Record) -> None:
        """Take in one record of `metrics.jsonl`."""
        handler = getattr(self, f"_{record['kind']}", None)
        if handler is not None:
            handler(record)

    def _run(self, record: Record) -> None:
        self.total = record.get("steps") or self.total
        if record["event"] in ("start", "resume"):
            self.phase, self.nodes, self.messages, self.operator = "starting", {}, [], None
            self._history.clear()

    def _phase(self, record: Record) -> None:
        self.phase, self.done, self.phase_total = record["name"], record.get("done", 0), record.get("total", 0)

    def _episode(self, record: Record) -> None:
        self.phase = "train"
        self.episodes += 1
        self.robot_s += record.get("robot_s") or 0.0
        self.weights_age = record.get("weights_age_s", self.weights_age)
        if record["success"] is not None:
            self.outcomes.append(record["success"])
        if record.get("return") is not None:
            self.returns.append(record["return"])
        self._moved(record)

    def _update(self, record: Record) -> None:
        self.updates, self.version = record["updates"], record.get("version", self.version)
        self.utd = record.get("utd", self.utd)
        self._moved(record)

    def _node(self, record: Record) -> None:
        self.nodes[record["name"]] = record["event"]
        if record["event"] in ("died", "restarted"):
            detail = f": {record['detail']}" if record.get("detail") else ""
            self.messages.append(f"node {record['name']} {record['event']}{detail}")

    def _operator(self, record: Record) -> None:
        self.operator = record

    def _notice(self, record: Record) -> None:
        self.messages.append(record["text"])

    def _moved(self, record: Record) -> None:
        self.step = max(self.step, record["step"])
        self._history.append((record["time"], self.step, self.updates))
        while self._history and record["time"] - self._history[0][0] > RATE_WINDOW:
            self._history.popleft()

    @property
    def asked(self) -> str:
        """What the operator last asked for that still holds: paused, stopping, or nothing."""
        record = self.operator or {}
        return record["text"] if record.get("paused") or record.get("stopping") else ""

    @property
    def stopped(self) -> bool:
        """Whether the operator ended the run."""
        return self.operator is not None and bool(self.operator["stopping"])

    @property
    def success_rate(self) -> float | None:
        """Over the last `WINDOW` episodes; None before the first."""
        return sum(self.outcomes) / len(self.outcomes) if self.outcomes else None

    @property
    def outcome(self) -> tuple[str, str]:
        """Name and text of how the last episodes went: their successes, or returns where nobody tells of successes."""
        if self.outcomes or not self.returns:
            return "success", percent(self.success_rate)
        return "return", f"{sum(self.returns) / len(self.returns):.1f}"

    def _rate(self, column: int) -> float:
        if len(self._history) < 2 or self._history[-1][0] <= self._history[0][0]:
            return 0.0
        first, last = self._history[0], self._history[-1]
        return (last[column] - first[column]) / (last[0] - first[0])

    @property
    def steps_per_s(self) -> float:
        return self._rate(1)

    @property
    def updates_per_s(self) -> float:
        return self._rate(2)

    @property
    def eta_s(self) -> float | None:
        """Seconds left at the present speed; None while it is unknown."""
        speed = self.steps_per_s
        return (self.total - self.step) / speed if speed > 0 and self.total else None


def line(progress: Progress) -> str:
    """One plain line."""
    if progress.phase != "train":
        count = f" {progress.done}/{progress.phase_total}" if progress.phase_total else ""
        return PHASES.get(progress.phase, progress.phase) + count
    of = f"/{progress.total:,}" if progress.total else ""
    parts = [f"step {progress.step:,}{of}", " ".join(progress.outcome)]
    parts += [f"robot {progress.robot_s / 60:.1f} min", f"{progress.updates_per_s:.0f} updates/s"]
    return "  ".join([*parts, f"ETA {clock(progress.eta_s)}"])


def view(progress: Progress, title: str, elapsed: float, stopping: bool = False, keys: str = "") -> RenderableType:
    """The live view. keys: what an operator may press, where there is one."""
    training = progress.phase == "train"
    done, total = (progress.step, progress.total) if training else (progress.done, progress.phase_total)
    head = Table.grid(expand=True)
    head.add_column()
    head.add_column(justify="right")
    unit = "steps" if training else "episodes"
    head.add_row(
        Text(PHASES.get(progress.phase, progress.phase), style="bold"), f"{done:,} of {total:,} {unit}" if total else ""
    )
    numbers = Table.grid(expand=True, padding=(0, 2))
    cells = {
        f"{progress.outcome[0]}, last {WINDOW}": progress.outcome[1],
        "episodes": f"{progress.episodes:,}",
        "robot time": f"{progress.robot_s / 60:.1f} min",
        "updates/s": f"{progress.updates_per_s:.0f}",
        "steps/s": f"{progress.steps_per_s:.0f}",
        "elapsed": clock(elapsed),
        "ETA": clock(progress.eta_s if training else None),
    }
    numbers.add_row(*(Text(name, style="dim") for name in cells))
    numbers.add_row(*(Text(value, style="bold") for value in cells.values()))
    bar = Table.grid(expand=True)  # a bar alone ends without a new line
    bar.add_row(ProgressBar(total or None, done, pulse=not total))
    parts: list[RenderableType] = [head, bar, numbers]
    if progress.utd is not None:
        age = "" if progress.weights_age is None else f", weights that act {progress.weights_age:.1f} s old"
        parts.append(Text(f"{progress.utd:.1f} updates per step{age}", style="dim"))
    if progress.nodes:
        parts.append(_nodes(progress.nodes))
    if progress.messages:
        lines = "\n".join(progress.messages).splitlines()[-MESSAGE_LINES:]
        parts.append(Text("\n".join(lines), style="yellow"))
    if keys:
        parts.append(Text(f"{progress.asked or 'running'}   {keys}", style="bold cyan"))
    hint = "stopping; a second Ctrl-C does not wait" if stopping else "Ctrl-C stops; --resume goes on"
    return Panel(Group(*parts), title=title, title_align="left", subtitle=hint)


def _nodes(nodes: dict[str, str]) -> Text:
    styles = {"started": "green", "restarted": "green", "died": "red", "stopped": "dim"}
    text = Text("nodes  ", style="dim")
    for name, event in nodes.items():
        text.append(f"{name} ", style=styles.get(event, "yellow"))
    return text


def percent(share: float | None) -> str:
    """A share as a person reads it."""
    return "-" if share is None else f"{100 * share:.0f} %"


def clock(seconds: float | None) -> str:
    """Minutes and seconds, with hours where there are some."""
    if seconds is None:
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


class LiveView:
    """Follows a run's metrics in a thread and shows them; `with LiveView(...):` around the work.

    sinks: called with every record that is new since the view began. stopping: whether a person asked to stop.
    keys: what an operator may press, always shown.
    """

    def __init__(
        self,
        follower: MetricsFollower,
        title: str,
        *,
        console: Console | None = None,
        sinks: Sequence[Callable[[Record], None]] = (),
        every: float | None = None,
        stopping: Callable[[], bool] = lambda: False,
        keys: str = "",
    ) -> None:
        self._keys = keys
        # standard output is for results
        self._console = console or Console(stderr=True)
        self._follower, self._title, self._sinks, self._stopping = follower, title, sinks, stopping
        self.progress = Progress()
        self._every = every or (0.25 if self._console.is_terminal else 5.0)
        self._began = time.monotonic()
        self._stop, self._lock = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._loop, name="live view", daemon=True)
        self._live = Live(console=self._console, auto_refresh=False) if self._console.is_terminal else None
        self._said = ""

    def __enter__(self) -> LiveView:
        for record in self._follower.read():
            self.progress.add(record)
        if self._live is not None:
            self._live.start()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self.refresh()
        if self._live is not None:
            self._live.stop()

    def _loop(self) -> None:
        while not self._stop.wait(self._every):
            self.refresh()

    def refresh(self) -> None:
        """Read what is new, and show it."""
        with self._lock:
            self._show_new()

    def _show_new(self) -> None:
        told = len(self.progress.messages)
        for record in self._follower.read():
            self.progress.add(record)
            for sink in self._sinks:
                sink(record)
        if self._live is not None:
            elapsed = time.monotonic() - self._began
            self._live.update(view(self.progress, self._title, elapsed, self._stopping(), self._keys), refresh=True)
            return
        for message in self.progress.messages[told:]:
            self._console.print(message, highlight=False, markup=False, soft_wrap=True)
        text = line(self.progress)
        if text != self._said:
            self._console.print(f"{self._title}  {text}", highlight=False, markup=False, soft_wrap=True)
            self._said = text
