"""The robot through franky: its own impedance law in C++ follows our reference, which the safety filter has made.

What the filter does to targets and reference, its watchdog and its latch are as with pylibfranka; of the law's torques
nothing is sent, so the barriers, the power cap and the joints' guards do not act on this arm: the robot's own limits
do. What bounds the pose error, and the springs' force and moment, holds the reference near the measured pose, once per
cycle of this process, about every millisecond; should it stall, franky's own symmetric bound is the task's largest.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numba import njit

from controllers import spatial
from controllers.arms.franka.robot import (
    ConnectionLost,
    Measured,
    RobotStopped,
    await_setup,
    nominal_to_tool,
    patiently,
    reason_of,
    refuse_user_stop,
    trouble_of,
)
from controllers.exceptions import ControllersError
from controllers.impedance import Record
from controllers.interface import Array

if TYPE_CHECKING:
    from controllers.arms.franka.config import FrankaConfig

NAP = 2e-4
"""Pause between two looks for a new state, s."""
SILENCE = 1.0
"""Without a new state for this long, s, the connection counts as lost."""
MOST_STEPS = 50
"""Control periods made up for at most, when this process was held up."""
LATCHED_DAMPING = np.array([100.0] * 3 + [5.0] * 3)
"""N s/m and Nm s/rad while latched: franky's law has no damping by joints."""
POSTURE = (10.0, 5.0)
"""Nullspace: stiffness in Nm/rad, damping in Nm s/rad."""
TORQUE_STEP = 0.8
"""Nm a cycle: 80 % of the maker's 1000 Nm/s."""


@njit(cache=True)
def leashed(arrays: Record, position: Array, quaternion: Array) -> None:
    """The reference, its distance from the measured pose clipped as the law clips it (axes of the tool).

    Then less where the springs would push with more than the arm's caps of force and moment.
    """
    frame, error = np.empty((3, 3)), arrays.work.error
    spatial.matrix(arrays.quaternion, frame)
    clipped = np.zeros(6)
    for part in (0, 3):
        push = 0.0
        for axis in range(3):
            along = 0.0
            for i in range(3):
                along += frame[i, axis] * error[part + i]
            along = min(max(along, arrays.law.clip[part + axis]), arrays.law.clip[6 + part + axis])
            push += (arrays.law.stiffness[part + axis] * along) ** 2
            for i in range(3):
                clipped[part + i] += frame[i, axis] * along
        cap = arrays.bounds.force if part == 0 else arrays.bounds.moment
        share = min(1.0, cap / max(math.sqrt(push), 1e-9))
        for i in range(3):
            clipped[part + i] *= share
    for i in range(3):
        position[i] = arrays.position[i] + clipped[i]
    spatial.multiply(spatial.exp(clipped[3:]), arrays.quaternion, quaternion)


def slowed(arrays: Record) -> tuple[Array, Array]:
    """The feed-forward (3,) in m/s and (3,) in rad/s, no faster than the tool may be driven: no barrier brakes here."""
    parts = []
    for twist, fastest in (
        (arrays.law.twist[:3], arrays.bounds.tool_linear),
        (arrays.law.twist[3:], arrays.bounds.tool_angular),
    ):
        parts.append(twist * min(1.0, fastest / max(float(np.linalg.norm(twist)), 1e-9)))
    return parts[0], parts[1]


class Franky:
    """One connection through franky, with at most one tracking motion. clip (12,): the task's bounds of the error."""

    law = "franky's impedance"

    def __init__(self, config: FrankaConfig, clip: Array, home: Array) -> None:
        import franky

        self._api, self._config = franky, config
        names = ("CommandException", "ControlException", "InvalidOperationException", "Exception")
        self._failures = tuple(getattr(franky, name) for name in names)  # they share no base but Exception
        self._clip = np.maximum(-clip[:6], clip[6:])
        self._home = home
        self._rotors = np.diag(config.rotor_inertia)
        self._robot: Any = None
        self._motion: Any = None
        self._state: Any = None
        self._dead: list[Any] = []
        self._gains: Array | None = None
        self._goal = np.zeros(3), np.array([0.0, 0.0, 0.0, 1.0])
        self.measured = Measured()

    def connect(self) -> None:
        """Connect and read one state. Raises `ControllersError`."""
        api, config = self._api, self._config
        try:
            ignore = api.RealtimeConfig.Ignore
            self._robot = patiently(lambda: api.Robot(config.address, realtime_config=ignore), api.NetworkException)
            self._take(self._robot.state)
        except (*self._failures, api.NetworkException, api.IncompatibleVersionException) as error:
            self._forget()
            raise ControllersError(f"connecting to {config.address} failed: {reason_of(str(error))}.") from error

    def configure(self) -> None:
        """Set tool, payload and thresholds, and read back what the robot shows. Raises `ControllersError`."""
        robot, config, api = self._robot, self._config, self._api
        torque, force = list(config.torque_thresholds), list(config.force_thresholds)
        try:
            robot.set_ee(nominal_to_tool(robot.state.F_T_NE.matrix.T.ravel()))
            robot.set_k(list(np.eye(4).ravel()))
            robot.set_load(config.payload_mass, list(config.payload_centre), np.diag(config.payload_inertia).ravel())
            robot.set_collision_behavior([0.5 * t for t in torque], torque, [0.5 * f for f in force], force)
            await_setup(config, self.setup)
        except api.NetworkException as error:
            self._lose(error)
        except self._failures as error:
            raise ControllersError(
                f"the robot refuses tool, payload or thresholds: {reason_of(str(error))}."
            ) from error

    def setup(self) -> tuple[Array, float, Array, Array]:
        """Tool and payload as the newest state shows them; see `check_setup`."""
        self.look()
        state = self._state
        return state.F_T_EE.matrix, state.m_load, state.F_x_Cload, np.diag(state.I_load)

    def trouble(self) -> str:
        """Why the robot could not move now, by the newest state; empty when it could."""
        return trouble_of(self._state)

    def start(self) -> None:
        """Begin a motion that tracks; it holds the arm until `drive` moves its reference."""
        api, pose = self._api, self._robot.current_pose.end_effector_pose
        posture = api.PostureTask(self._home, POSTURE[0], POSTURE[1])
        self._motion = api.CartesianImpedanceTrackingMotion(
            posture_task=posture,
            max_delta_tau=TORQUE_STEP,
            translational_error_clip=self._clip[:3].max().repeat(3),
            rotational_error_clip=self._clip[3:].max().repeat(3),
        )
        self._gains = None
        self._motion.set_reference(api.CartesianReference(target=pose))
        try:
            self._robot.move(self._motion, asynchronous=True)
        except api.NetworkException as error:
            self._lose(error)
        except self._failures as error:
            raise RobotStopped(reason_of(str(error))) from error

    def read(self) -> None:
        """Wait for the next state of the motion. Raises `RobotStopped` when the robot has ended it."""
        api, before, end = self._api, self._state.time.to_msec(), time.monotonic() + SILENCE
        try:
            while True:
                if self._robot.poll_motion():
                    raise RobotStopped("the robot stopped: the motion ended by itself")
                state = self._robot.state
                passed = state.time.to_msec() - before
                if passed > 0:
                    break
                if time.monotonic() > end:
                    self._lose(TimeoutError("no state for a second"))
                time.sleep(NAP)
        except api.NetworkException as error:
            self._lose(error)
        except self._failures as error:
            raise RobotStopped(reason_of(str(error))) from error
        self._take(state)
        self.measured.steps = min(int(passed), MOST_STEPS)

    def drive(self, tau: Array, arrays: Record) -> None:
        """Give franky the reference and gains that the filter's newest tick has left in `arrays`."""
        api = self._api
        leashed(arrays, *self._goal)
        gains = np.concatenate([arrays.law.stiffness, arrays.law.damping, arrays.quaternion])
        if self._gains is None or np.abs(gains - self._gains).max() > 1e-3:
            self._motion.set_gains(self._in_base(arrays))
            self._gains = gains
        linear, angular = slowed(arrays)
        twist = api.Twist(linear, angular)
        self._motion.set_reference(api.CartesianReference(api.Affine(*self._goal), twist))

    def finish(self, tau: Array) -> None:
        """End the motion; the robot holds itself."""
        api = self._api
        try:
            self._robot.move(api.TorqueStopMotion(), asynchronous=True)
            self._robot.join_motion(SILENCE)
        except api.NetworkException as error:
            self._lose(error)
        except self._failures as error:
            raise RobotStopped(reason_of(str(error))) from error

    def look(self) -> None:
        """Wait for a state outside a motion."""
        try:
            self._take(self._robot.state)
        except self._api.NetworkException as error:
            self._lose(error)
        self.measured.steps = 1
        time.sleep(NAP)

    def clear_errors(self) -> None:
        """The robot's automatic error recovery where it is in a fault. Raises `ControllersError` where it fails."""
        refuse_user_stop(self._state)
        if not self.trouble():
            return
        try:
            self._robot.recover_from_errors()
        except self._api.NetworkException as error:
            self._lose(error)
        except self._failures as error:
            raise ControllersError(
                f"the robot does not recover ({reason_of(str(error))}): remove the cause, then recover again."
            ) from error
        self.look()

    def abandon(self) -> None:
        """Let go of a motion that the robot has ended."""
        self._motion = None

    def warm_up(self, arrays: Record) -> None:
        """Compile what a cycle runs."""
        leashed(arrays, *self._goal)

    def _in_base(self, arrays: Record) -> Any:
        """The law's gains, diagonal in the tool's axes, as matrices in base."""
        turn = np.zeros((6, 6))
        turn[:3, :3] = turn[3:, 3:] = spatial.matrix(arrays.quaternion)
        damping = LATCHED_DAMPING if arrays.law.joint_damping > 0 else arrays.law.damping
        gains = self._api.CartesianImpedanceGains()
        gains.stiffness = turn @ np.diag(arrays.law.stiffness) @ turn.T
        gains.damping = turn @ np.diag(damping) @ turn.T
        return gains

    def _take(self, state: Any) -> None:
        measured, model = self.measured, self._robot.model
        self._state, measured.arrived = state, time.monotonic_ns()
        measured.q[:], measured.dq[:], measured.tau[:] = state.q, state.dq, state.tau_J_d
        measured.bias[:], measured.mass[:] = model.coriolis(state), model.mass(state) + self._rotors
        measured.jacobian[:] = model.zero_jacobian(self._api.Frame.EndEffector, state)
        measured.position[:] = state.O_T_EE.translation
        spatial.normalise(state.O_T_EE.quaternion, measured.quaternion)
        measured.twist[:] = measured.jacobian @ measured.dq
        measured.wrench[:] = -state.O_F_ext_hat_K
        row: Any = measured.record[0]
        row["mode"] = int(state.robot_mode.value)
        row["robot_time"] = state.time.to_msec()
        row["success_rate"] = state.control_command_success_rate
        measured.took = time.monotonic_ns() - measured.arrived

    def _lose(self, error: Exception) -> NoReturn:
        self._forget()
        text = str(error).removeprefix("libfranka: ")
        raise ConnectionLost(f"connection to the robot at {self._config.address} lost: {text}") from error

    def _forget(self) -> None:
        self._dead += [self._robot, self._motion]
        self._robot = self._motion = None
