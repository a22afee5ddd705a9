"""What an external client that speaks crisp's topics wants the arm to do, as targets for the filter.

`target_pose` moves the tool. `target_joint` says the posture to do it in or, with the joint controllers, all the
joints: then the tool goes where they put it. `target_wrench` shifts the target by what its springs need to push so:
the force stays within stiffness times clip, whatever is asked. `target_stiffness` replaces the task's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from geometry_msgs.msg import WrenchStamped
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray

from controllers import spatial
from controllers.arms import ros_messages as messages
from controllers.arms.ros_io import TARGET, Feed
from controllers.exceptions import CommandRejected
from controllers.interface import Array, Pose, PoseTarget, Reading
from robot_rl.nodes.crisp.joints import Joints
from robot_rl.nodes.crisp.trajectory import Trajectory
from robot_rl.nodes.targets import Request

if TYPE_CHECKING:
    from robot_rl.nodes.arm import ArmNode

CARTESIAN = "cartesian_impedance_controller"
JOINT = "joint_impedance_controller"
TRAJECTORY = "joint_trajectory_controller"
CONTROLLERS = {
    CARTESIAN: "crisp_controllers/CartesianController",
    JOINT: "crisp_controllers/CartesianController",
    TRAJECTORY: "joint_trajectory_controller/JointTrajectoryController",
}
"""What a client may switch to, and the class that it expects behind the name."""
FRESH = 0.3
"""Age, s, up to which a wrench counts: a client that wants one goes on saying so."""


class CrispServer:
    """The external client's wishes. All but `__init__` runs in the arm node's loop, or under its lock.

    controller: which of `CONTROLLERS` is active while `external` holds the arm. gains: stiffness, damping and clip
    that the client has set, None for the task's.
    """

    def __init__(self, arm: ArmNode) -> None:
        listener = arm.host.listener
        namespace = arm.host.node.get_namespace().strip("/")
        self._arm = arm
        self.joints = Joints(arm.cell.joint_names, f"{namespace}_" if namespace else "")
        self.controller = CARTESIAN
        self.gains: dict[str, Array | None] = {"stiffness": None, "damping": None, "clip": None}
        self.width: float | None = None
        self._feeds: list[tuple[Feed[Any], Callable[[Any], None]]] = [
            (listener.subscribe(JointState, "target_joint", TARGET), self._take_posture),
            (listener.subscribe(WrenchStamped, "target_wrench", TARGET), self._take_wrench),
            (listener.subscribe(Float64MultiArray, "target_stiffness", TARGET), self._take_stiffness),
        ]
        self.contested: frozenset[str] = frozenset()
        self._trajectory: tuple[Trajectory, float] | None = None
        self._posture: Array | None = None
        self._new_posture = False
        self._wrench = np.zeros(6)
        self._wrench_until = 0.0
        self._sequence = 0

    # Who is in control

    @property
    def active(self) -> str | None:
        """The controller that moves the arm now."""
        return self.controller if self._arm.owner == "external" else None

    def activate(self, controller: str) -> None:
        """Hand the arm to `external` under a controller; everything that was wanted before is forgotten."""
        if controller != CARTESIAN and not self._arm.cell.abilities.posture:
            raise CommandRejected(f"this arm takes no joint targets ({self._arm.cell.abilities.law}).")
        self._arm.acquire("external")
        self.controller = controller

    def handed_over(self) -> None:
        """The arm has a new holder, or the same one anew."""
        self.forget("the arm was handed over")
        self.controller = CARTESIAN
        self._posture, self._sequence = None, 0

    def forget(self, why: str) -> None:
        """End what is under way, and drop what is wanted and not yet done."""
        self.follow(None, why)
        self.width, self._new_posture, self._wrench_until = None, False, 0.0

    def look_for_rivals(self) -> frozenset[str]:
        """Topics with two publishers; both are refused until one is gone."""
        self.contested = frozenset(feed.topic for feed, _ in self._feeds if feed.contested)
        return self.contested

    def follow(self, trajectory: Trajectory | None, why: str = "a newer goal arrived") -> None:
        """Begin a trajectory, or none; one that is under way ends."""
        if self._trajectory is not None:
            self._trajectory[0].finish(why)
        self._trajectory = None if trajectory is None else (trajectory, time.monotonic())

    # What it wants

    def collect(self) -> None:
        """Take what has arrived; only the holder's counts."""
        for feed, use in self._feeds:
            while (message := feed.take()) is not None:
                if self._arm.owner != "external":
                    continue
                if feed.topic in self.contested:
                    self._arm.targets.refused[f"two publishers on {feed.topic}"] += 1
                    continue
                try:
                    use(message)
                except CommandRejected as error:
                    self._arm.refuse(feed.topic, error)

    def target(self, request: Request | None, reading: Reading) -> tuple[PoseTarget, float | None] | None:
        """The next target and gripper width, or None where nothing is wanted. Raises `CommandRejected`."""
        width, self.width = self.width, None
        if request is not None and request.width is not None:
            width = request.width
        stiffness, damping, clip = (
            self._arm.compliance[name] if own is None else own for name, own in self.gains.items()
        )
        if self.controller == CARTESIAN:
            target = self._by_pose(request, reading, stiffness)
        else:
            target = self._by_joints(reading)
        if target is None and width is not None:
            target = PoseTarget(reading.arm.reference, self._sequence + 1)
        if target is None:
            return None
        self._sequence = max(self._sequence, target.sequence)
        return replace(target, stiffness=stiffness, damping=damping, clip=clip), width

    def _by_pose(self, request: Request | None, reading: Reading, stiffness: Array | None) -> PoseTarget | None:
        if request is None:
            return None
        pose = self._pushed(messages.pose_from(request.pose.pose), reading, stiffness)
        posture = self._posture if self._arm.cell.abilities.posture else None
        frame = request.pose.header.frame_id
        return PoseTarget(pose, request.stamp or time.time_ns(), frame=frame, posture=posture)

    def _by_joints(self, reading: Reading) -> PoseTarget | None:
        if self.controller == TRAJECTORY:
            if self._trajectory is None:
                return None
            trajectory, began = self._trajectory
            elapsed = time.monotonic() - began
            trajectory.judge(reading.arm.q, elapsed, self.joints.names)
            if reading.safety == "latched":
                trajectory.finish(f"the arm is latched: {reading.reason}")
            angles = trajectory.at(elapsed)
            if trajectory.done.is_set():
                self._trajectory = None
        elif self._new_posture and self._posture is not None:
            angles, self._new_posture = self._posture, False
        else:
            return None
        return PoseTarget(self.joints.pose(angles, reading.arm), self._sequence + 1, posture=angles)

    def _pushed(self, pose: Pose, reading: Reading, stiffness: Array | None) -> Pose:
        """`pose` shifted by what the springs of the compliance frame (the tool's) need to push with the wrench."""
        if time.monotonic() > self._wrench_until or not self._wrench.any():
            return pose
        springs = np.asarray(self._arm.host.task.gains.stiffness if stiffness is None else stiffness)
        frame = spatial.matrix(reading.arm.pose.quaternion)
        with np.errstate(divide="ignore"):
            give = np.where(springs > 0.0, 1.0 / springs, 0.0)  # without a spring there is nothing to push with
        move = frame @ (give[:3] * (frame.T @ self._wrench[:3]))
        turn = frame @ (give[3:] * (frame.T @ self._wrench[3:]))
        return Pose(pose.position + move, spatial.multiply(spatial.exp(turn), pose.quaternion))

    # Messages

    def _take_posture(self, message: JointState) -> None:
        self._posture, self._new_posture = self.joints.of(message), True

    def _take_wrench(self, message: WrenchStamped) -> None:
        force, torque = message.wrench.force, message.wrench.torque
        wrench = np.array([force.x, force.y, force.z, torque.x, torque.y, torque.z])
        if message.header.frame_id != "base" or not np.isfinite(wrench).all():
            raise CommandRejected(
                f"target_wrench is {wrench} in frame '{message.header.frame_id}': give finite numbers in 'base'."
            )
        self._wrench, self._wrench_until = wrench, time.monotonic() + FRESH

    def _take_stiffness(self, message: Float64MultiArray) -> None:
        self.set_gains("stiffness", np.array(message.data))

    def set_gains(self, name: str, value: Array) -> None:
        """Replace the task's stiffness (6,), damping (6,) or clip (12,). Raises `CommandRejected`."""
        size = 12 if name == "clip" else 6
        if value.shape != (size,) or not np.isfinite(value).all() or (name != "clip" and (value < 0.0).any()):
            raise CommandRejected(f"{name} is {value}: give {size} finite numbers, none below 0.")
        self.gains[name] = value
