"""`ros2 launch robot_rl train.launch.py run:=DIR`: the graph of a prepared run, as `robot_rl.graph` describes it."""

import os
from pathlib import Path

from launch.actions import DeclareLaunchArgument, EmitEvent, ExecuteProcess, OpaqueFunction, RegisterEventHandler
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.substitutions import LaunchConfiguration

from launch import LaunchDescription
from robot_rl.graph import graph
from robot_rl.nodes.environment import ros_environment
from robot_rl.runs import RunFolder


def start(context, *_):
    run = RunFolder.open(Path(LaunchConfiguration("run").perform(context)))
    actions = []
    for node in graph(run.config()):
        ends_run = node.finishes or not node.restart
        process = ExecuteProcess(
            cmd=node.command(run.path),
            name=node.name,
            output="both",
            additional_env=ros_environment(os.environ),
            respawn=node.restart and not node.finishes,
            respawn_delay=1.0,
        )
        actions.append(process)
        if ends_run:
            reason = EmitEvent(event=Shutdown(reason=f"{node.name} ended"))
            actions.append(RegisterEventHandler(OnProcessExit(target_action=process, on_exit=[reason])))
    return actions


def generate_launch_description():
    run = DeclareLaunchArgument("run", description="folder of the run, with its config.yaml and demonstrations")
    return LaunchDescription([run, OpaqueFunction(function=start)])
