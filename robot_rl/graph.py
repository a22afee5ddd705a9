"""Which nodes a run needs: the one description that every launcher and the docs read. Plain data, no ROS."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from robot_rl.cells import task_of
from robot_rl.config import RunConfig


@dataclass(frozen=True)
class NodeSpec:
    """One node, a process of its own.

    module: its file in `robot_rl.nodes`; parameters: arguments of the module's `main`. restart: start it again
    when it dies; where that is not safe its death ends the run. finishes: its clean end is the run's.
    """

    name: str
    module: str
    summary: str
    restart: bool = True
    finishes: bool = False
    parameters: Mapping[str, str] = field(default_factory=dict)

    def command(self, run: Path) -> list[str]:
        """The command line that starts it for the run in folder `run`."""
        return [sys.executable, "-m", "robot_rl.nodes", self.name, "--run", str(run)]


def graph(config: RunConfig) -> tuple[NodeSpec, ...]:
    """The nodes of a run, in the order in which they start and in the reverse of which they stop."""
    cameras = task_of(config).cameras if config.obs == "pixels" else ()
    return (
        NodeSpec("arm", "arm", "owns the arm and its safety filter; its death ends the run", restart=False),
        *(
            NodeSpec(
                f"camera_{camera.name}",
                "camera",
                f"delivers the {camera.name} camera's pictures",
                parameters={"camera": camera.name},
            )
            for camera in cameras
        ),
        NodeSpec("reward", "reward", "judges every tick"),
        NodeSpec("reset", "reset", "brings the cell to the start of an episode"),
        NodeSpec("learner", "learner", "learns from experience, latches the weights"),
        NodeSpec("actor", "actor", "runs the policy, journals every step", finishes=True),
    )
