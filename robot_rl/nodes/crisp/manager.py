"""The controller manager that a client of ros2_control expects, and the joint trajectory action of its controller.

Switching to a controller hands the arm to `external`, as the service `acquire/external` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from control_msgs.action import FollowJointTrajectory
from controller_manager_msgs.msg import ControllerState
from controller_manager_msgs.srv import ConfigureController, ListControllers, LoadController, SwitchController
from rclpy.action import ActionServer, CancelResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node

from controllers.exceptions import CommandRejected, ControllersError
from robot_rl.nodes.crisp.server import CONTROLLERS, TRAJECTORY
from robot_rl.nodes.crisp.trajectory import Point, Trajectory

if TYPE_CHECKING:
    from robot_rl.nodes.arm import ArmNode
    from robot_rl.nodes.crisp.server import CrispServer

BROADCASTERS = {
    "joint_state_broadcaster": "joint_state_broadcaster/JointStateBroadcaster",
    "pose_broadcaster": "crisp_controllers/PoseBroadcaster",
    "twist_broadcaster": "crisp_controllers/TwistBroadcaster",
}
"""Always active: the arm node publishes what they would."""
TOLERANCE, PATIENCE = 0.02, 5.0
"""Of a trajectory's goal, rad, and s that the arm may take after its end, where the goal says none."""

Result = FollowJointTrajectory.Result


class Manager:
    """Services `controller_manager/*` and the action of the trajectory controller, on a node that runs by itself."""

    def __init__(self, node: Node, arm: ArmNode, crisp: CrispServer) -> None:
        self._node, self._arm, self._crisp = node, arm, crisp
        group = ReentrantCallbackGroup()
        for kind, name, serve in (
            (ListControllers, "list_controllers", self._list),
            (LoadController, "load_controller", self._known),
            (ConfigureController, "configure_controller", self._known),
            (SwitchController, "switch_controller", self._switch),
        ):
            node.create_service(kind, f"controller_manager/{name}", serve, callback_group=group)
        self._action = ActionServer(
            node,
            FollowJointTrajectory,
            f"{TRAJECTORY}/follow_joint_trajectory",
            self._follow,
            cancel_callback=lambda _: CancelResponse.ACCEPT,
            callback_group=group,
        )

    def _list(self, _: ListControllers.Request, response: ListControllers.Response) -> ListControllers.Response:
        active = self._crisp.active
        states = {name: "active" if name == active else "inactive" for name in CONTROLLERS}
        states |= dict.fromkeys(BROADCASTERS, "active")
        kinds = CONTROLLERS | BROADCASTERS
        response.controller = [
            ControllerState(name=name, state=state, type=kinds[name]) for name, state in states.items()
        ]
        return response

    def _known(self, request: LoadController.Request, response: LoadController.Response) -> LoadController.Response:
        """Load or configure: ours always are; others there are not."""
        response.ok = request.name in CONTROLLERS or request.name in BROADCASTERS
        if not response.ok:
            self._node.get_logger().error(
                f"there is no controller '{request.name}'; choose one of {', '.join(CONTROLLERS)}."
            )
        return response

    def _switch(
        self, request: SwitchController.Request, response: SwitchController.Response
    ) -> SwitchController.Response:
        wanted = [name for name in request.activate_controllers if name not in BROADCASTERS]
        try:
            with self._arm.lock:
                self._switch_to(wanted, request.deactivate_controllers)
            response.ok = True
        except ControllersError as error:
            response.ok, response.message = False, str(error)
            self._node.get_logger().error(response.message)
        return response

    def _switch_to(self, wanted: list[str], unwanted: list[str]) -> None:
        unknown = [name for name in wanted if name not in CONTROLLERS]
        if unknown:
            raise CommandRejected(f"there is no controller '{unknown[0]}'; choose one of {', '.join(CONTROLLERS)}.")
        if len(wanted) > 1:
            raise CommandRejected(f"{' and '.join(wanted)} both want the arm's joints: activate one.")
        if wanted:
            self._crisp.activate(wanted[0])
        elif self._crisp.active in unwanted:
            self._arm.acquire("reset")  # holds the arm where it is; nobody moves it

    # The trajectory action

    def _follow(self, handle: ServerGoalHandle) -> FollowJointTrajectory.Result:
        """Runs in a thread of its own until the arm node's loop has ended the trajectory."""
        try:
            with self._arm.lock:
                trajectory = self._trajectory(handle.request)
                self._crisp.follow(trajectory)
        except (CommandRejected, ValueError) as error:
            return self._abort(handle, Result.INVALID_GOAL, str(error))
        while not trajectory.done.wait(0.05):
            if handle.is_cancel_requested:
                with self._arm.lock:
                    self._crisp.follow(None, "cancelled")
                handle.canceled()
                return Result(error_code=Result.SUCCESSFUL, error_string="cancelled")
            if self._arm.host.listener.interrupted.is_set():
                trajectory.finish("the arm node ends")
        if trajectory.error:
            return self._abort(handle, Result.GOAL_TOLERANCE_VIOLATED, trajectory.error)
        handle.succeed()
        return Result(error_code=Result.SUCCESSFUL)

    def _abort(self, handle: ServerGoalHandle, code: int, why: str) -> FollowJointTrajectory.Result:
        self._node.get_logger().error(f"joint trajectory: {why}")
        handle.abort()
        return Result(error_code=code, error_string=why)

    def _trajectory(self, goal: FollowJointTrajectory.Goal) -> Trajectory:
        """The goal in our order of joints. Raises `CommandRejected` or ValueError."""
        if self._crisp.active != TRAJECTORY:
            raise CommandRejected(f"{TRAJECTORY} is not active: switch to it first.")
        joints, names = self._crisp.joints, goal.trajectory.joint_names
        arm = self._arm.cell.read().arm
        points = [
            Point(
                point.time_from_start.sec + 1e-9 * point.time_from_start.nanosec,
                joints.ordered(names, point.positions),
                joints.ordered(names, point.velocities) if point.velocities else np.zeros_like(arm.q),
            )
            for point in goal.trajectory.points
        ]
        patience = goal.goal_time_tolerance.sec + 1e-9 * goal.goal_time_tolerance.nanosec
        tolerances = {each.name: each.position for each in goal.goal_tolerance if each.position > 0.0}
        tolerance = np.array([tolerances.get(name, TOLERANCE) for name in joints.names])
        trajectory = Trajectory(arm.q, points, tolerance, patience or PATIENCE)
        self._check_reach(joints.pose(trajectory.goal, arm).position)
        return trajectory

    def _check_reach(self, position: np.ndarray) -> None:
        box = self._arm.host.task.workspace
        if (position < box.low).any() or (position > box.high).any():
            raise CommandRejected(
                f"the goal puts the tool at {position.round(3)} m, outside the workspace from {box.low} to {box.high}."
            )
