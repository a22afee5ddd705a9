"""The gripper as crisp_py's client and franka_ros2's actions know it.

`gripper/gripper_position_controller/commands` and `gripper/joint_states` count from 0 (closed) to 1 (open), as
crisp's adapter for the Franka hand does; `franka_gripper/*` are the actions and the topic of franka_ros2. The gripper
goes with the arm: its commands are refused while another than `external` holds the arm, and take it where nobody does.
Speed and force are the gripper's own.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from control_msgs.action import GripperCommand
from rclpy.action import ActionServer, CancelResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray

from controllers.arms.ros_io import STATE, TARGET, time_message
from controllers.exceptions import CommandRejected
from controllers.interface import GripperState, Reading

if TYPE_CHECKING:
    from robot_rl.nodes.arm import ArmNode
    from robot_rl.nodes.crisp.server import CrispServer

NAME = "franka_gripper"
ARRIVED, SETTLED, PATIENCE = 0.002, 0.2, 5.0
"""Distance, m, at which the fingers have arrived; time, s, in which they move less when something stops them; and s
that a motion may take."""


class Gripper:
    """Topics and actions of the gripper. open: width, m, at which it is wide open."""

    def __init__(self, node: Node, arm: ArmNode, crisp: CrispServer, *, open_width: float) -> None:
        self._arm, self._crisp, self._open = arm, crisp, open_width
        self._newest = 0
        self._state: GripperState | None = None
        self._feed = arm.host.listener.subscribe(
            Float64MultiArray, "gripper/gripper_position_controller/commands", TARGET
        )
        self._share = arm.host.node.create_publisher(JointState, "gripper/joint_states", STATE)
        self._fingers = arm.host.node.create_publisher(JointState, f"{NAME}/joint_states", STATE)
        kinds: list[tuple[Any, str, Callable[[ServerGoalHandle], Any]]] = [
            (GripperCommand, "gripper_action", self._command),
            *self._franka_actions(),
        ]
        group = ReentrantCallbackGroup()
        self._actions = [
            ActionServer(
                node, kind, f"{NAME}/{name}", run, cancel_callback=lambda _: CancelResponse.ACCEPT, callback_group=group
            )
            for kind, name, run in kinds
        ]

    def _franka_actions(self) -> list[tuple[Any, str, Callable[[ServerGoalHandle], Any]]]:
        """Those of franka_ros2, where its messages are installed."""
        try:
            from franka_msgs.action import Grasp, Homing, Move
        except ImportError as error:
            self._arm.host.node.get_logger().info(f"the gripper has no actions of franka_ros2 here ({error})")
            return []
        return [
            (Homing, "homing", partial(self._homing, Homing)),
            (Move, "move", partial(self._move, Move)),
            (Grasp, "grasp", partial(self._grasp, Grasp)),
        ]

    # In the arm node's loop

    def collect(self) -> None:
        """Take the newest command that has arrived on the topic."""
        message = self._feed.newest()
        if message is None:
            return
        try:
            if len(message.data) != 1:
                raise CommandRejected(f"the gripper's command has {len(message.data)} values: give one from 0 to 1.")
            self._want(self._open * float(message.data[0]))
        except CommandRejected as error:
            self._arm.refuse(self._feed.topic, error)

    def publish(self, reading: Reading, stamp: int) -> None:
        """Say where the fingers are."""
        self._state = reading.gripper
        if self._state is None:
            return
        width, held = self._state.width, float(self._state.grasped)
        share = JointState(name=["gripper_joint"], position=[width / self._open], effort=[held])
        fingers = JointState(name=[f"{NAME}_joint1", f"{NAME}_joint2"], position=[width / 2, width / 2])
        for publisher, message in ((self._share, share), (self._fingers, fingers)):
            message.header.stamp = time_message(stamp)
            publisher.publish(message)

    def _want(self, width: float) -> int:
        """Ask for a width, m; returns the number of the wish. Raises `CommandRejected`."""
        if not 0.0 <= width <= self._open * 1.001:
            raise CommandRejected(f"the gripper opens from 0 to {self._open:g} m, not to {width:g} m.")
        if self._arm.owner == "":
            self._crisp.activate(self._crisp.controller)
        if self._arm.owner != "external":
            raise CommandRejected(f"{self._arm.owner} holds the arm, and the gripper goes with it.")
        self._crisp.width = width
        self._newest += 1
        return self._newest

    # Actions, each goal in a thread of its own

    def _homing(self, kind: Any, handle: ServerGoalHandle) -> Any:
        return self._run(handle, self._open, lambda state: abs(state.width - self._open) < ARRIVED, kind)

    def _move(self, kind: Any, handle: ServerGoalHandle) -> Any:
        width = handle.request.width
        return self._run(handle, width, lambda state: abs(state.width - width) < ARRIVED, kind)

    def _grasp(self, kind: Any, handle: ServerGoalHandle) -> Any:
        """Closes until something is in the way; a thing is grasped where the fingers then stand within epsilon."""
        goal = handle.request
        low, high = goal.width - goal.epsilon.inner, goal.width + goal.epsilon.outer
        return self._run(handle, 0.0, lambda state: low <= state.width <= high, kind)

    def _command(self, handle: ServerGoalHandle) -> Any:
        """`position` is one finger's, as franka_ros2 has it."""
        width = 2.0 * handle.request.command.position
        error = self._go(handle, width)
        state = self._state or GripperState(0.0, False)
        reached = abs(state.width - width) < ARRIVED
        self._end(handle, error == "" and (reached or state.grasped))
        return GripperCommand.Result(position=state.width / 2, stalled=not reached, reached_goal=reached)

    def _run(self, handle: ServerGoalHandle, width: float, good: Callable[[GripperState], bool], kind: Any) -> Any:
        """Go to `width` and judge by the state at the end."""
        error = self._go(handle, width)
        if not error and not (self._state is not None and good(self._state)):
            error = "the fingers stopped elsewhere" if self._state else "the gripper says nothing"
        self._end(handle, error == "")
        return kind.Result(success=error == "", error=error)

    def _end(self, handle: ServerGoalHandle, success: bool) -> None:
        if success:
            handle.succeed()
        elif handle.is_cancel_requested:
            handle.canceled()
        else:
            handle.abort()

    def _go(self, handle: ServerGoalHandle, width: float) -> str:
        """Move until the fingers have arrived or stand still; what went wrong, or an empty text."""
        try:
            with self._arm.lock:
                wish = self._want(width)
        except CommandRejected as error:
            return str(error)
        end = time.monotonic() + PATIENCE
        where, since = float("inf"), time.monotonic()
        while time.monotonic() < end and not self._arm.host.listener.interrupted.is_set():
            if handle.is_cancel_requested:
                return "cancelled"
            if self._newest != wish:
                return "a newer command arrived"
            now = self._state.width if self._state is not None else float("inf")
            if abs(now - where) > 0.25 * ARRIVED:
                where, since = now, time.monotonic()
            if abs(now - width) < ARRIVED or time.monotonic() - since > SETTLED:
                return ""
            time.sleep(0.02)
        return f"the gripper did not get there within {PATIENCE:g} s"
