"""Two tasks that undo each other, learnt at one cell: what the one has done is what the other begins with.

Two policies, two rewards, two replays and two learners; one arm, one scene, and nobody who puts things back. One of the
two acts until it succeeds, then the other, from wherever that left things. Each direction is a run of its own, with all
that a run has: the reverse one's folder lies in the first one's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field

import numpy as np

import tasks
from robot_rl.actor import Episode
from robot_rl.actors import FIRST, journal_folder
from robot_rl.cells import cameras_of, open_backend, open_env, task_of
from robot_rl.config import OFFLINE, RunConfig
from robot_rl.data.journal import JournalReader
from robot_rl.envs.environment import Environment
from robot_rl.exceptions import ConfigError
from robot_rl.graph import REVERSE
from robot_rl.metrics import MetricsWriter
from robot_rl.runs import RunFolder
from robot_rl.training import begin, open_person, prepare_demos, relearn
from tasks.spec import TaskSpec

POSE = ("position", "quaternion")


def reverse_of(config: RunConfig) -> RunConfig:
    """The configuration of the run that learns to undo what `config` learns to do."""
    assert config.run is not None, "a run that acts has a folder"
    return dataclasses.replace(
        config,
        task=task_of(config).reverse,
        run=config.run / REVERSE,
        demos=config.demos if config.demos.isdigit() else config.reset.reverse_demos,
    )


def check_pair(config: RunConfig) -> None:
    """Before anything is written: raise `ConfigError` where the run cannot have a reverse one."""
    task = task_of(config)
    if not task.reverse:
        pairs = ", ".join(name for name in tasks.names() if tasks.load(name).reverse)
        raise ConfigError(f"reset.reverse is on, but no task undoes {task.name}; choose one of {pairs}.")
    if config.peers or config.here:
        raise ConfigError("reset.reverse is on, whose two learners are on the robot's machine so far; leave peers out.")
    if config.transport != "inprocess" and not _alike(task, tasks.load(task.reverse)):
        raise ConfigError(
            f"reset.reverse is on, but {task.name} and {task.reverse} begin at different starts, and one reset node "
            "knows one; give --transport inprocess."
        )
    if config.agent in OFFLINE or config.reward != "task" or config.actors > 1:
        raise ConfigError(
            f"reset.reverse is on, but agent is {config.agent}, reward {config.reward} and actors {config.actors}; "
            "it goes with one actor that learns while it acts, from the tasks' own rewards."
        )
    if not config.demos.isdigit() and not config.reset.reverse_demos:
        raise ConfigError(
            f"demos is {config.demos}, of {task.name} alone; name demonstrations of {task.reverse} with "
            "--reset.reverse-demos."
        )


def _alike(task: TaskSpec, other: TaskSpec) -> bool:
    """Whether episodes of both begin alike."""
    same = np.array_equal(task.start_noise, other.start_noise) and task.lost == other.lost
    return same and all(np.array_equal(getattr(task.start, part), getattr(other.start, part)) for part in POSE)


def total_of(config: RunConfig) -> int:
    """Steps of both directions together."""
    return 2 * (config.steps or 0)


def open_reverse(config: RunConfig) -> RunFolder:
    """The folder of the reverse run of `config`, made where there is none."""
    reverse = reverse_of(config)
    assert reverse.run is not None
    if (reverse.run / "config.yaml").exists():
        return RunFolder.open(reverse.run)
    return RunFolder.create(reverse)


@dataclass
class Direction:
    """One of the two. turns: of its actor. steps: that its journal holds. over: it has no turns left."""

    steps: int
    turns: Iterator[None] = field(default_factory=lambda: iter(()))
    over: bool = False
    _ended: list[Episode] = field(default_factory=list)

    def act(self) -> bool:
        """Act until an episode ends; whether it succeeded."""
        for _ in self.turns:
            if self._ended:
                return bool(self._ended.pop().success)
        self.over = True
        return False

    def count(self, steps: int) -> None:
        """A step was made."""
        self.steps = steps

    def note(self, episode: Episode) -> None:
        """An episode has ended."""
        self._ended = [episode]


def hand_over(directions: Sequence[Direction]) -> None:
    """One acts until it succeeds, then the next; until one of them has no turns left."""
    acting = 0
    while not any(direction.over for direction in directions):
        if directions[acting].act():
            acting = (acting + 1) % len(directions)


def prepare_reverse(config: RunConfig, *, stop: Callable[[], bool] = lambda: False) -> RunFolder:
    """The reverse run with its demonstrations, and what its journal holds learnt again, where no checkpoint has it."""
    reverse, own = open_reverse(config), reverse_of(config)
    with MetricsWriter(reverse.metrics) as metrics:
        prepare_demos(own, reverse, metrics)
        relearn(own, reverse, metrics, stop=stop)
    return reverse


def train_pair(
    config: RunConfig, run: RunFolder, metrics: MetricsWriter, *, stop: Callable[[], bool] = lambda: False
) -> None:
    """Train both directions, in this process, to twice `config.steps` together; `stop()` ends it, resumable.

    Which of the two needs more of them, their successes decide. The run's own demonstrations are there already.
    """
    reverse, total = prepare_reverse(config, stop=stop), total_of(config)
    with ExitStack() as stack:
        written = stack.enter_context(MetricsWriter(reverse.metrics))
        backend = stack.enter_context(closing(open_backend(config, task_of(config), cameras=cameras_of(config))))
        person = open_person(config, metrics, stack)
        directions = [Direction(_steps_of(folder)) for folder in (run, reverse)]

        def enough() -> bool:
            return stop() or sum(direction.steps for direction in directions) >= total

        def open_own(own: RunConfig) -> Environment:
            kept = dataclasses.replace(own.reset, draw=False)
            return open_env(dataclasses.replace(own, reset=kept), training=True, backend=backend)

        parts = ((config, run, metrics), (reverse_of(config), reverse, written))
        for direction, (part, folder, told) in zip(directions, parts, strict=True):
            (direction.turns,) = begin(
                dataclasses.replace(part, steps=total), folder, told, stack, open_own,
                person=person, stop=enough, on_step=direction.count, on_episode=direction.note,
            )  # fmt: skip
        hand_over(directions)


def _steps_of(run: RunFolder) -> int:
    folder = journal_folder(run, FIRST)
    return JournalReader(folder).steps if any(folder.glob("*.mcap")) else 0
