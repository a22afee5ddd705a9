"""The robot as pylibfranka shows it: states in, torques out, one cycle of 1 ms at a time.

pylibfranka never releases Python's global lock and its calls block: this runs in the driver process only.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numba import njit

from controllers import spatial
from controllers.arms.franka.shared import JOINTS, STATE
from controllers.exceptions import ControllersError
from controllers.interface import Array

if TYPE_CHECKING:
    from controllers.arms.franka.config import FrankaConfig

TOOL_DISTANCE, HAND_YAW = 0.1034, -math.pi / 4
"""Tool point beyond the flange along z, m, and the turn about it: the frame between the hand's fingertips."""
SAME_POSE, SAME_MASS = 1e-4, 1e-3
"""m (and rad), kg: how far what the robot says may be from what it was told; it answers in single precision."""


SETTLING = 100
"""States within which it shows what it was told."""


class RobotStopped(ControllersError):
    """The robot ended the motion by itself: a reflex, a fault or its user stop. The connection stands."""


class ConnectionLost(ControllersError):
    """The robot does not answer any more."""


class NotAsTold(ControllersError):
    """The robot does not show the tool or payload that it was told."""


class Measured:
    """The newest state: views of one record of `shared.STATE`, and what the law needs besides.

    sent: torque that the robot says it received, Nm, as is `tau`. bias: Coriolis, Nm. jacobian (6, n): tool point,
    in base. steps: control periods that the filter runs for this state. missed: those before it that no state told of.
    arrived: when, on the monotonic clock, ns; took: ns until all of this was known.
    """

    def __init__(self) -> None:
        self.record = np.zeros(1, STATE)
        row: Any = self.record[0]
        self.q, self.dq, self.tau = row["q"], row["dq"], row["tau"]
        self.position, self.quaternion = row["position"], row["quaternion"]
        self.twist, self.wrench = row["twist"], row["wrench"]
        self.quaternion[3] = 1.0
        self.bias, self.jacobian, self.mass = np.zeros(JOINTS), np.zeros((6, JOINTS)), np.eye(JOINTS)
        self.steps = 1
        self.missed = self.arrived = self.took = 0


@njit(cache=True)
def derive(
    pose: Array, jacobian: Array, mass: Array, wrench: Array, q: Array, dq: Array, out_jacobian: Array,
    out_mass: Array, position: Array, quaternion: Array, twist: Array, out_wrench: Array,
) -> None:  # fmt: skip
    """From the robot's column-major arrays (pose (16,), jacobian (42,), mass (49,)) to ours; twist = J dq.

    wrench (6,): of the robot on its surroundings, as libfranka signs it; out_wrench the other way round.
    """
    n = q.shape[0]
    for i in range(6):
        twist[i] = 0.0
        out_wrench[i] = -wrench[i]
        for j in range(n):
            out_jacobian[i, j] = jacobian[6 * j + i]
            twist[i] += out_jacobian[i, j] * dq[j]
    for i in range(n):
        for j in range(n):
            out_mass[i, j] = mass[n * j + i]
    for i in range(3):
        position[i] = pose[12 + i]
    turn_of(pose, quaternion)


@njit(cache=True)
def turn_of(pose: Array, out: Array) -> None:
    """Unit quaternion (4,) xyzw of a column-major pose (16,): by the largest of its four parts (Shepperd, 1978)."""
    xx, yy, zz = pose[0], pose[5], pose[10]
    parts = np.array([1 + xx - yy - zz, 1 - xx + yy - zz, 1 - xx - yy + zz, 1 + xx + yy + zz])
    most = np.argmax(parts)
    xy, xz, yz = pose[4] + pose[1], pose[8] + pose[2], pose[9] + pose[6]
    wx, wy, wz = pose[6] - pose[9], pose[8] - pose[2], pose[1] - pose[4]
    if most == 0:
        out[0], out[1], out[2], out[3] = parts[0], xy, xz, wx
    elif most == 1:
        out[0], out[1], out[2], out[3] = xy, parts[1], yz, wy
    elif most == 2:
        out[0], out[1], out[2], out[3] = xz, yz, parts[2], wz
    else:
        out[0], out[1], out[2], out[3] = wx, wy, wz, parts[3]
    spatial.normalise(out, out)


def library_version(name: str) -> str:
    """Version of the installed client library. Raises `ControllersError` where there is none."""
    package = "franky-control" if name == "franky" else name
    try:
        return version(package)
    except PackageNotFoundError:
        raise ControllersError(f"{package} is not installed: pip install 'robot_rl[franka]'.") from None


def tool_frame() -> Array:
    """Pose (4, 4) of the tool in the flange."""
    frame = np.eye(4)
    cosine, sine = math.cos(HAND_YAW), math.sin(HAND_YAW)
    frame[:2, :2] = [[cosine, -sine], [sine, cosine]]
    frame[2, 3] = TOOL_DISTANCE
    return frame


def nominal_to_tool(nominal: Any) -> list[float]:
    """NE_T_EE (16, column-major) that puts the end effector at the tool, given F_T_NE (16) as Desk has set it."""
    frame = np.reshape(nominal, (4, 4)).T
    return list((np.linalg.inv(frame) @ tool_frame()).T.ravel())


def check_setup(config: FrankaConfig, tool: Array, mass: float, centre: Array, inertia: Array) -> None:
    """Raises `NotAsTold` where the robot does not show what it was told.

    tool (4, 4): F_T_EE. mass (kg), centre (3,) and inertia (3,): of the payload, as it says.
    """
    away = np.abs(tool - tool_frame()).max()
    if away > SAME_POSE:
        raise NotAsTold(f"the robot's tool frame is {away * 1e3:.1f} mm off after setting it: set it in Desk.")
    if abs(mass - config.payload_mass) > SAME_MASS:
        raise NotAsTold(
            f"the robot says its payload is {mass:.3f} kg after being told {config.payload_mass:g} kg: "
            "check payload_mass."
        )
    for name, said, told in (
        ("centre", centre, config.payload_centre),
        ("inertia", inertia, config.payload_inertia),
    ):
        if config.payload_mass > 0 and np.abs(np.subtract(said, told)).max() > SAME_MASS:
            raise NotAsTold(
                f"the robot says its payload's {name} is {np.round(said, 4).tolist()} after being told "
                f"{list(told)}: check payload_{name}."
            )


def await_setup(config: FrankaConfig, setup: Callable[[], tuple[Array, float, Array, Array]]) -> None:
    """Until the robot's states, which come later than its answers, show what it was told. Raises as `check_setup`."""
    for _ in range(SETTLING):
        try:
            check_setup(config, *setup())
        except NotAsTold:
            continue
        return
    check_setup(config, *setup())


def flags_of(errors: Any) -> str:
    """Names of the error flags that are set, in words."""
    names = [name for name in dir(errors) if not name.startswith("_") and getattr(errors, name) is True]
    return ", ".join(names).replace("_", " ")


def trouble_of(state: Any) -> str:
    """Why a robot in `state` could not move now; empty when it could."""
    mode, flags = state.robot_mode.name, flags_of(state.current_errors)
    if mode == "UserStopped":
        return "the robot's user stop is pressed"
    if mode == "Reflex" or flags:
        return "the robot is in a fault" + (f" ({flags})" if flags else "")
    return "" if mode in ("Idle", "Move") else f"the robot is in mode {mode}, not ready to move"


def refuse_user_stop(state: Any) -> None:
    """Raises `ControllersError` while a person holds the robot stopped."""
    if state.robot_mode.name == "UserStopped":
        raise ControllersError(f"{trouble_of(state)}: release it, then recover again.")


def reason_of(message: str) -> str:
    """What the robot did, in a few words, from a libfranka exception."""
    flags = re.search(r"\[(.*?)\]", message)
    if flags and flags[1]:
        return "reflex of the robot: " + flags[1].replace('"', "").replace("_", " ")
    if "user stop" in message.lower():
        return "the robot's user stop was pressed"
    first = message.strip().splitlines()[0] if message.strip() else "no reason given"
    return "the robot stopped: " + first.removeprefix("libfranka: ").removeprefix("libfranka robot: ")


def patiently(connect: Callable[[], Any], error: type[Exception]) -> Any:
    """What `connect` returns, at the second try if need be: a robot serves one client, and may still know the last."""
    try:
        return connect()
    except error:
        time.sleep(0.3)
        return connect()


class Franka:
    """One connection through pylibfranka, with at most one motion. Every method may raise `ConnectionLost`."""

    law = "impedance at 1 kHz"

    def __init__(self, config: FrankaConfig) -> None:
        import pylibfranka

        self._api, self._config = pylibfranka, config
        names = ("FrankaException", "ControlException", "CommandException", "InvalidOperationException")
        self._failures = tuple(getattr(pylibfranka, name) for name in names)  # they share no base but Exception
        self._rotors = np.diag(config.rotor_inertia)
        self._robot: Any = None
        self._model: Any = None
        self._control: Any = None
        self._state: Any = None
        self._dead: list[Any] = []
        self.measured = Measured()

    def connect(self) -> None:
        """Connect and read one state. Raises `ControllersError`."""
        api, config = self._api, self._config
        try:
            self._robot = patiently(lambda: api.Robot(config.address, api.RealtimeConfig.kIgnore), api.NetworkException)
            self._model = self._robot.load_model()
        except (*self._failures, api.NetworkException) as error:
            self._forget()
            raise ControllersError(f"connecting to {config.address} failed: {reason_of(str(error))}.") from error
        self.look()

    def configure(self) -> None:
        """Set tool, payload and thresholds, and read back what the robot shows. Raises `ControllersError`."""
        robot, config = self._robot, self._config
        torque, force = list(config.torque_thresholds), list(config.force_thresholds)
        try:
            robot.set_EE(nominal_to_tool(robot.read_once().F_T_NE))
            robot.set_K(list(np.eye(4).ravel()))
            inertia = list(np.diag(config.payload_inertia).ravel())
            robot.set_load(config.payload_mass, list(config.payload_centre), inertia)
            robot.set_collision_behavior([0.5 * t for t in torque], torque, [0.5 * f for f in force], force)
            await_setup(config, self.setup)
        except self._api.NetworkException as error:
            self._lose(error)
        except self._failures as error:
            raise ControllersError(
                f"the robot refuses tool, payload or thresholds: {reason_of(str(error))}."
            ) from error

    def setup(self) -> tuple[Array, float, Array, Array]:
        """Tool and payload as the next state shows them; see `check_setup`."""
        self.look()
        state = self._state
        inertia = np.diag(np.reshape(state.I_load, (3, 3)))
        return np.reshape(state.F_T_EE, (4, 4)).T, state.m_load, np.array(state.F_x_Cload), inertia

    def trouble(self) -> str:
        """Why the robot could not move now, by the newest state; empty when it could."""
        return trouble_of(self._state)

    def warm_up(self, arrays: Any) -> None:
        """Compile what a cycle runs."""
        measured, pose = self.measured, np.eye(4).ravel()
        derive(
            pose, np.zeros(6 * JOINTS), np.eye(JOINTS).ravel(), np.zeros(6), measured.q, measured.dq,
            measured.jacobian, measured.mass, measured.position, measured.quaternion, measured.twist, measured.wrench,
        )  # fmt: skip

    def start(self) -> None:
        """Begin a motion under torque control. Raises `RobotStopped` where the robot refuses."""
        try:
            self._control = self._robot.start_torque_control()
        except self._api.NetworkException as error:
            self._lose(error)
        except self._failures as error:
            raise RobotStopped(reason_of(str(error))) from error

    def read(self) -> None:
        """Wait for the next state of the motion. Raises `RobotStopped` when the robot has ended it."""
        try:
            state, since = self._control.readOnce()
        except self._api.NetworkException as error:
            self._lose(error)
        except self._failures as error:
            self._stopped(error)
        self.measured.missed = max(0, round(since.to_sec() * 1e3) - 1)
        self._take(state)

    def drive(self, tau: Array, controller: Any) -> None:
        """Answer the state with torques (n,), Nm."""
        try:
            self._control.writeOnce(self._api.Torques(tau.tolist()))
        except self._api.NetworkException as error:
            self._lose(error)
        except self._failures as error:
            self._stopped(error)

    def finish(self, tau: Array) -> None:
        """End the motion; the robot holds itself."""
        last = self._api.Torques(tau.tolist())
        last.motion_finished = True
        try:
            self._control.writeOnce(last)
            self._control = None
        except self._api.NetworkException as error:
            self._lose(error)
        except self._failures as error:
            self._stopped(error)

    def look(self) -> None:
        """Wait for a state outside a motion."""
        try:
            state = self._robot.read_once()
        except (*self._failures, self._api.NetworkException) as error:
            self._lose(error)
        self.measured.missed = 0
        self._take(state)

    def clear_errors(self) -> None:
        """The robot's automatic error recovery where it is in a fault. Raises `ControllersError` where it fails."""
        refuse_user_stop(self._state)
        if not self.trouble():
            return
        try:
            self._robot.automatic_error_recovery()
        except self._api.NetworkException as error:
            self._lose(error)
        except self._failures as error:
            raise ControllersError(
                f"the robot does not recover ({reason_of(str(error))}): remove the cause, then recover again."
            ) from error
        self.look()

    def abandon(self) -> None:
        """Let go of a motion that the robot has ended. Here the library may end the process, so say why before."""
        self._control = None

    def _take(self, state: Any) -> None:
        self._state, measured, model = state, self.measured, self._model
        measured.arrived = time.monotonic_ns()
        measured.q[:], measured.dq[:], measured.tau[:] = state.q, state.dq, state.tau_J_d
        measured.bias[:] = model.coriolis(state)
        derive(
            np.array(state.O_T_EE), np.array(model.zero_jacobian(state)), np.array(model.mass(state)),
            np.array(state.O_F_ext_hat_K), measured.q, measured.dq, measured.jacobian, measured.mass,
            measured.position, measured.quaternion, measured.twist, measured.wrench,
        )  # fmt: skip
        measured.mass += self._rotors
        row: Any = measured.record[0]
        row["mode"] = state.robot_mode.value
        row["robot_time"] = round(state.time.to_sec() * 1e3)
        row["success_rate"] = state.control_command_success_rate
        measured.took = time.monotonic_ns() - measured.arrived

    def _stopped(self, error: Exception) -> NoReturn:
        raise RobotStopped(reason_of(str(error))) from error

    def _lose(self, error: Exception) -> NoReturn:
        """Keep what is dead: the library's destructors would talk to the robot once more, and end the process."""
        self._forget()
        text = str(error).removeprefix("libfranka: ")
        raise ConnectionLost(f"connection to the robot at {self._config.address} lost: {text}") from error

    def _forget(self) -> None:
        self._dead += [self._control, self._robot, self._model]
        self._control = self._robot = self._model = None
