"""Which nodes a run needs: the one description that every launcher and the docs read. Plain data, no ROS."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from robot_rl import actors
from robot_rl.cells import task_of
from robot_rl.config import RunConfig, devices_of
from robot_rl.nodes.protocol import CLOCK, REVERSED, SHARED

LEARNER = "learner"
REVERSE = "reverse"
"""Folder, in a run, of the run that learns to undo it, and what its nodes' own names lie below."""


@dataclass(frozen=True)
class NodeSpec:
    """One node, a process of its own.

    module: its file in `robot_rl.nodes`; parameters: arguments of the module's `main`. restart: start it again
    when it dies; where that is not safe its death ends the run. finishes: once all of these have ended cleanly, so has
    the run. namespace: its own, below which it shares with the others only what the learner speaks and hears.
    keys: its standard input is what a person types in the run's terminal. folder: of its own run, in the run's.
    renamed: names that it speaks and hears below that folder's name, and that others have as they are.
    """

    name: str
    module: str
    summary: str
    restart: bool = True
    finishes: bool = False
    parameters: Mapping[str, str] = field(default_factory=dict)
    namespace: str = ""
    keys: bool = False
    folder: str = ""
    renamed: tuple[str, ...] = ()

    def command(self, run: Path) -> list[str]:
        """The command line that starts it for the run in folder `run`."""
        return [sys.executable, "-m", "robot_rl.nodes", self.name, "--run", str(run)]

    @property
    def ros_args(self) -> list[str]:
        """What puts it into its namespace, or gives it names of its own."""
        if self.folder:
            return renaming(self.name, self.folder, self.renamed)
        if not self.namespace:
            return []
        return _rules(f"__ns:=/{self.namespace}", f"{CLOCK}:=/{self.namespace}{CLOCK}", *(f"{n}:=/{n}" for n in SHARED))


def renaming(node: str, prefix: str, names: Sequence[str]) -> list[str]:
    """ROS arguments of a node called `node`, for which `names` lie below `prefix`."""
    return _rules(f"__node:={node}", *(f"{name}:={prefix}/{name}" for name in names))


def _rules(*rules: str) -> list[str]:
    return ["--ros-args", *(word for rule in rules for word in ("-r", rule))]


def graph(config: RunConfig) -> tuple[NodeSpec, ...]:
    """The nodes of a run that this machine starts, in that order; they stop in the reverse of it."""
    here = config.here or (LEARNER, *actors.names(config))
    found = [actor for actor in actors.names(config) if actor in here]
    learner = NodeSpec(LEARNER, "learner", "learns from experience, latches the weights")
    return (
        *(node for actor in found for node in _cell(config, actor)),
        *((learner,) if LEARNER in here else ()),
        *(_reverse() if config.reset.reverse else ()),
        *(_of(actor, "actor", "actor", "runs the policy, journals every step", finishes=True) for actor in found),
    )


def whole_graph(config: RunConfig) -> tuple[NodeSpec, ...]:
    """The nodes of a run on all of its machines."""
    return graph(dataclasses.replace(config, here=()))


def _cell(config: RunConfig, actor: str) -> tuple[NodeSpec, ...]:
    """What one actor acts in."""
    cameras = task_of(config).cameras if config.obs != "state" else ()
    return (
        _of(actor, "arm", "arm", "owns the arm and its safety filter; its death ends the run", restart=False),
        *(
            _of(
                actor,
                f"camera_{camera.name}",
                "camera",
                f"delivers the {camera.name} camera's pictures",
                parameters={"camera": camera.name},
            )
            for camera in cameras
        ),
        *((_of(actor, "perception", "perception", "looks at pictures once"),) if config.obs == "features" else ()),
        _of(actor, "reward", "reward", "judges every tick"),
        _of(actor, "reset", "reset", "brings the cell to the start of an episode"),
        *_people(config, actor),
    )


def _reverse() -> tuple[NodeSpec, ...]:
    """What the task that undoes the run's needs beside: its own judge and its own learner."""
    return (
        NodeSpec(
            f"{REVERSE}_reward", "reward", "judges every tick by the task that undoes this one",
            folder=REVERSE, renamed=REVERSED,
        ),
        NodeSpec(
            f"{REVERSE}_learner", LEARNER, "learns the task that undoes this one", folder=REVERSE, renamed=REVERSED
        ),
    )  # fmt: skip


def _people(config: RunConfig, actor: str) -> tuple[NodeSpec, ...]:
    """What a person takes over with."""
    if not devices_of(config):
        return ()
    node = _of(actor, "teleop", "teleop", "reads the devices of the person who may take over")
    return (dataclasses.replace(node, keys=True),)


def _of(
    actor: str,
    name: str,
    module: str,
    summary: str,
    *,
    restart: bool = True,
    finishes: bool = False,
    parameters: Mapping[str, str] | None = None,
) -> NodeSpec:
    """A node of one actor's: the first one's have no namespace, the others' that of their actor, also in the name."""
    if actor == actors.FIRST:
        return NodeSpec(name, module, summary, restart, finishes, parameters or {})
    name = actor if name == "actor" else f"{actor}_{name}"
    return NodeSpec(name, module, summary, restart, finishes, {**(parameters or {}), "actor": actor}, actor)
