"""Several actors of one run: their names, and what each has of its own - seed, share of the steps, journal."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from robot_rl.config import RunConfig
from robot_rl.runs import RunFolder
from robot_rl.seeds import derive

FIRST = "actor0"


def names(config: RunConfig) -> tuple[str, ...]:
    """The run's actors: actor0, actor1, ..."""
    return tuple(f"actor{index}" for index in range(config.actors))


def own_config(config: RunConfig, actor: str) -> RunConfig:
    """The run's configuration as `actor` and its cell see it: their seed, and their share of the steps.

    The first one has the run's seed, so a run with one actor is the same over the graph and in one process.
    """
    index = names(config).index(actor)
    seed = derive(config.seed, "actor", index) if index else config.seed
    steps = config.steps or 0
    share = steps // config.actors + (index < steps % config.actors)
    return dataclasses.replace(config, seed=seed, steps=share)


def register_file(run: RunFolder) -> Path:
    """Where the learner keeps which journal each actor delivers from (`robot_rl.data.register`)."""
    return run.path / "actors.json"


def journal_folder(run: RunFolder, actor: str) -> Path:
    """Where the actor's journal lies."""
    return run.journal if actor == FIRST else run.path / f"journal-{actor}"
