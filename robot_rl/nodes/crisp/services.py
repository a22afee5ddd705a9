"""Runs what a client of crisp calls: nodes of their own, so that a call which takes its time holds up nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rclpy.executors import MultiThreadedExecutor
from rclpy.node import Node

from robot_rl.nodes.base import Services
from robot_rl.nodes.crisp.server import CARTESIAN

if TYPE_CHECKING:
    from robot_rl.nodes.arm import ArmNode
    from robot_rl.nodes.crisp.gripper import Gripper
    from robot_rl.nodes.crisp.server import CrispServer

THREADS = 8
"""Goals and calls that may be under way at once."""


class CrispServices:
    """Controller manager, parameters, trajectory action and gripper. gripper: None where the task has none.

    Raises ImportError where the message packages are missing (`tools/genmsg.py` makes them).
    """

    def __init__(self, arm: ArmNode, crisp: CrispServer) -> None:
        from robot_rl.nodes.crisp.manager import Manager
        from robot_rl.nodes.crisp.parameters import ControllerParameters

        host = arm.host
        self.gripper: Gripper | None = None
        place = {"context": host.node.context, "namespace": host.node.get_namespace()}
        self._nodes = [
            Node("controller_manager", start_parameter_services=False, **place),
            Node(CARTESIAN, **place),
        ]
        self._manager = Manager(self._nodes[0], arm, crisp)
        self._parameters = ControllerParameters(self._nodes[1], arm, crisp)
        if host.task.gripper is not None:
            from robot_rl.nodes.crisp.gripper import Gripper

            self.gripper = Gripper(self._nodes[0], arm, crisp, open_width=host.task.gripper.open)
        self._services = Services(host, self._nodes, MultiThreadedExecutor(THREADS, context=host.node.context))

    def close(self) -> None:
        """End the nodes."""
        self._services.end()
        for node in self._nodes:
            node.destroy_node()
