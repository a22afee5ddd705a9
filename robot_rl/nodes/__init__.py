"""One file per ROS 2 node, thin: parameters in, topics wired, object called.

`python -m robot_rl.nodes NAME --run DIR` runs one; `robot_rl.graph` says which a run needs.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from pathlib import Path

from robot_rl.exceptions import ConfigError, GraphError


def run_node(name: str, run: Path, ros_args: Sequence[str] = ()) -> None:
    """Node `name` of the run in folder `run`, in this process, until it is interrupted or done.

    Raises `ConfigError` for an unknown name, `GraphError` where ROS 2 is not installed.
    """
    from robot_rl.graph import whole_graph
    from robot_rl.nodes.environment import network_environment
    from robot_rl.runs import RunFolder

    folder = RunFolder.open(run)
    config = folder.config()
    nodes = {node.name: node for node in whole_graph(config)}
    if name not in nodes:
        raise ConfigError(f"there is no node {name!r} in this run; choose one of {', '.join(nodes)}.")
    os.environ.update(network_environment(os.environ, config.peers, folder.identity))
    try:
        importlib.import_module("rclpy")
    except ImportError as error:
        raise GraphError(
            f"ROS 2 is not installed ({error}); pip install 'robot_rl[ros]', or source a ROS 2."
        ) from error
    module = importlib.import_module(f"robot_rl.nodes.{nodes[name].module}")
    arguments = ["--ros-args", *ros_args] if ros_args and "--ros-args" not in ros_args else list(ros_args)
    try:
        module.main(run / nodes[name].folder, [*nodes[name].ros_args, *arguments], **nodes[name].parameters)
    except KeyboardInterrupt:
        return
