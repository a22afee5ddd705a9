"""What `robot-rl demos` does, once its options are checked."""

from __future__ import annotations

import shutil
import time
import uuid
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from controllers.settings import suggest
from robot_rl.commands import INTERRUPTED, check_ros, interruptible
from robot_rl.config import DEVICES, OVER_ROS, RunConfig, devices_of
from robot_rl.data.formats.whole import Written, refuse_taken
from robot_rl.data.transition import Transition
from robot_rl.exceptions import ConfigError
from robot_rl.operator import MEANINGS
from robot_rl.runs import refuse_existing
from robot_rl.terminal import check_terminal
from robot_rl.view import View, Viewed, check_view
from tasks.spec import TaskSpec

if TYPE_CHECKING:
    from robot_rl.actor import Episode

SCRIPTED = "scripted"
PATIENCE = 6
"""A person takes longer than an expert: so many times a task's horizon."""


def source_of(source: str) -> dict[str, str]:
    """What a run's configuration says of `--source`: devices behind topics need ROS, and nothing else does.

    Raises `ConfigError` for what is none.
    """
    for name in source.split(","):
        if name not in (SCRIPTED, *DEVICES):
            raise ConfigError(f"--source is {source!r}; {suggest(name, (SCRIPTED, *DEVICES))}.")
    if source == SCRIPTED:
        return {"transport": "inprocess"}
    return {"teleop": source, "transport": "ros" if set(source.split(",")) & set(OVER_ROS) else "inprocess"}


def check_demos(config: RunConfig, lerobot: Path | None) -> None:
    """Before anything is opened. Raises `ConfigError`, `DataError`."""
    if not config.demos.isdigit() or int(config.demos) < 1:
        raise ConfigError(f"--demos is {config.demos!r}, but must be a whole number of at least 1.")
    if config.reward == "human" and not devices_of(config):
        raise ConfigError("--reward is human, but the scripted expert says nothing; name a device with --source.")
    if "keyboard" in devices_of(config):
        check_terminal("--source")
    if config.transport == "ros":
        check_ros()
    check_view(config.rerun)
    if lerobot is not None:
        refuse_taken(lerobot)


def run_demos(config: RunConfig, task: TaskSpec, lerobot: Path | None = None) -> int:
    """Record a set of demonstrations into a folder of its own; lerobot: where to write it as a LeRobotDataset, too."""
    count = int(config.demos)
    folder = config.run or Path("runs") / f"{config.task}-demos-{time.strftime('%Y%m%d-%H%M%S')}-seed{config.seed}"
    refuse_existing(folder)
    written = _by_hand(config, folder, count) if devices_of(config) else _scripted(config, task, folder, count)
    if written is None:
        return INTERRUPTED
    print(f"{written.episodes} demonstrations, {written.steps:,} steps: {folder}")
    seen = "" if config.obs == "state" else f" --obs {config.obs}"
    print(f"train with them: robot-rl train {config.task}{seen} --demos {folder}")
    if lerobot is not None:
        _export(folder, lerobot)
    return 0


def _scripted(config: RunConfig, task: TaskSpec, folder: Path, count: int) -> Written | None:
    """By the task's expert; None where it was stopped before there were enough. What was recorded is kept."""
    from robot_rl.byhand import Recording, make_set, recording_of
    from robot_rl.cells import open_env, refuse_simulated_expert
    from robot_rl.data.journal import Journal
    from robot_rl.demonstrate import record_into
    from robot_rl.training import schema_of

    refuse_simulated_expert(config, task)
    console, place = Console(stderr=True), recording_of(folder)

    def told(kept: int, success: bool) -> None:
        console.print(f"{kept}/{count}{'' if success else '  (one failed and is left out)'}", highlight=False)

    with (
        closing(open_env(config)) as env,
        Journal(place, schema_of(config), sync=False) as journal,
        interruptible() as stopped,
    ):
        recording = Recording(journal)
        kept = record_into(env, recording, count, config.seed, on_episode=told, stop=stopped.is_set)
        if kept < count:
            console.print(f"{kept} of {count} are kept in {place}; go on with the same command and --run {folder}")
            return None
        written = make_set(folder, recording)
        if config.rerun != "none":
            with closing(View(config.rerun, str(uuid.uuid4()))) as view:
                for number, step in enumerate(record for record in recording.shown() if isinstance(record, Transition)):
                    view.step(step, number)
    shutil.rmtree(place)  # the set has all of it but what failed
    return written


def _by_hand(config: RunConfig, folder: Path, count: int) -> Written | None:
    """By a person; None where they ended before there were enough. What was recorded is kept."""
    from robot_rl.byhand import Recording, make_set, record_by_hand, recording_of
    from robot_rl.cells import open_env
    from robot_rl.data.journal import Journal
    from robot_rl.person import Person
    from robot_rl.teleop import opened
    from robot_rl.training import schema_of

    console, place = Console(stderr=True), recording_of(folder)

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False)

    def told(episode: Episode, kept: int) -> None:
        how = "success" if episode.success else episode.ended_by or "no success"
        say(f"episode {episode.index}: {how}, {episode.steps} steps; {kept}/{count} kept")

    def ready(enough: bool) -> None:
        say("enough: move to end, or take the last one back" if enough else "an episode begins when you move")

    _show_keys(console)
    with (
        closing(open_env(config, training=True, patience=PATIENCE)) as env,
        opened(config, env.task, say) as devices,
        Journal(place, schema_of(config)) as journal,
        interruptible() as stopped,
        ExitStack() as stack,
    ):
        recording, sink = Recording(journal), None
        if config.rerun != "none":
            view = stack.enter_context(closing(View(config.rerun, str(uuid.uuid4()))))
            sink = Viewed(recording, view, env)
        say(f"{len(recording.kept)}/{count} kept")
        person = Person(devices, tell=say, period=env.period if config.clock == "realtime" else 0.0)
        kept = record_by_hand(
            env, person, recording, count, config.seed, on_episode=told, on_ready=ready, stop=stopped.is_set, sink=sink
        )
        if kept < count:
            say(f"{kept} of {count} are kept in {place}; go on with the same command and --run {folder}")
            return None
        written = make_set(folder, recording)
    say(f"all that was recorded, also what was discarded, stays in {place}")
    return written


def _show_keys(console: Console) -> None:
    """What an operator may say, with the keys for it."""
    from robot_rl.teleop.keyboard import OPERATOR

    for key, command in OPERATOR.items():
        console.print(f"  {key}  {command}: {MEANINGS[command]}", highlight=False)


def _export(folder: Path, lerobot: Path) -> None:
    """Write a set as a LeRobotDataset."""
    from robot_rl.data.formats.experience import open_experience
    from robot_rl.data.formats.foreign import export_data
    from robot_rl.data.progress import bar

    experience = open_experience(folder)
    with bar("exporting", experience.records) as tell:
        steps = export_data(experience, lerobot, "lerobot", progress=tell)
    print(f"{steps:,} steps as a LeRobotDataset: {lerobot}")
