"""`ros2 launch robot_rl train.launch.py cell:=lab task:=peg_insert`: a run's graph, as `robot_rl.graph` describes it.

Without `cell` the task's twin moves. `run:=DIR` names the run's folder; one that exists goes on.
`options:="--seed 3"` are those of `robot-rl train`.
"""

import os
import shlex
from pathlib import Path

from launch.actions import DeclareLaunchArgument, EmitEvent, ExecuteProcess, OpaqueFunction, RegisterEventHandler
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.substitutions import LaunchConfiguration

from launch import LaunchDescription
from robot_rl.cli import prepare
from robot_rl.config import devices_of
from robot_rl.graph import graph
from robot_rl.nodes.environment import network_environment
from robot_rl.runs import RunFolder


def start(context, *_):
    run = find_run(*(LaunchConfiguration(name).perform(context) for name in ("task", "run", "options", "cell")))
    actions = []
    nodes = graph(run.config())
    acting = {node.name for node in nodes if node.finishes}

    def finish(name):
        acting.discard(name)
        return [] if acting else [EmitEvent(event=Shutdown(reason="every actor has made its steps"))]

    for node in nodes:
        if node.module == "teleop" and "keyboard" in devices_of(run.config()):
            print(f"the keyboard needs a terminal of its own: robot-rl node {node.name} --run {run.path}")
            continue
        process = ExecuteProcess(
            cmd=node.command(run.path),
            name=node.name,
            output="both",
            additional_env=network_environment(os.environ, run.config().peers, run.identity),
            respawn=node.restart and not node.finishes,
            respawn_delay=1.0,
        )
        actions.append(process)
        if node.finishes:
            on_exit = OpaqueFunction(function=lambda _, name=node.name: finish(name))
        elif not node.restart:
            on_exit = EmitEvent(event=Shutdown(reason=f"{node.name} ended"))
        else:
            continue
        actions.append(RegisterEventHandler(OnProcessExit(target_action=process, on_exit=[on_exit])))
    return actions


def find_run(task, folder, options, cell=""):
    words = [*shlex.split(options), *(["--cell", cell] if cell else [])]
    if folder and (Path(folder) / "config.yaml").exists():
        run = RunFolder.open(Path(folder))
        if not task and not words:
            return run
        # what is said must fit the run that goes on: another cell is another arm
        return prepare([task or run.config().task, *words, "--run", folder, "--resume"])
    return prepare([task or "(none)", *words, *(["--run", folder] if folder else [])])


def generate_launch_description():
    arguments = (
        DeclareLaunchArgument("task", default_value="", description="what to train; `robot-rl tasks` lists them"),
        DeclareLaunchArgument("cell", default_value="", description="where: a name in cells/, or a file"),
        DeclareLaunchArgument("run", default_value="", description="the run's folder; one that exists goes on"),
        DeclareLaunchArgument("options", default_value="", description="options of `robot-rl train`, in quotes"),
    )
    return LaunchDescription([*arguments, OpaqueFunction(function=start)])
