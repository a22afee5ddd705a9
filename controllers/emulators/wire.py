"""Franka's FCI wire protocol, robot server version 10 and gripper server version 3: numbers and memory layouts.

Little-endian and packed. Robot: commands over TCP, a state of 1377 bytes over UDP each millisecond, a command of 371
bytes back. 4x4 poses are column-major. Source: libfranka's public headers (Apache-2.0).
"""

from __future__ import annotations

import struct
from enum import IntEnum

import numpy as np

from controllers.interface import Array

ROBOT_PORT, GRIPPER_PORT = 1337, 1338
ROBOT_VERSION, GRIPPER_VERSION = 10, 3
JOINTS = 7

HEADER = struct.Struct("<III")
"""Robot, TCP: command, id, size with this header."""
GRIPPER_HEADER = struct.Struct("<HII")
GRIPPER_STATE = struct.Struct("<IddBH")
"""Gripper, UDP: id, width and largest width (m), grasped, temperature."""


class Command(IntEnum):
    """Robot commands over TCP."""

    CONNECT = 0
    MOVE = 1
    STOP_MOVE = 2
    SET_COLLISION_BEHAVIOR = 3
    SET_JOINT_IMPEDANCE = 4
    SET_CARTESIAN_IMPEDANCE = 5
    SET_GUIDING_MODE = 6
    SET_EE_TO_K = 7
    SET_NE_TO_EE = 8
    SET_LOAD = 9
    AUTOMATIC_ERROR_RECOVERY = 10
    GET_ROBOT_MODEL = 11


class GripperCommand(IntEnum):
    """Gripper commands over TCP."""

    CONNECT = 0
    HOMING = 1
    GRASP = 2
    MOVE = 3
    STOP = 4


class Generator(IntEnum):
    """Motion generator of a running motion, as the state names it; a Move request counts from JOINT_POSITION = 0."""

    IDLE = 0
    JOINT_POSITION = 1
    JOINT_VELOCITY = 2
    CARTESIAN_POSITION = 3
    CARTESIAN_VELOCITY = 4
    NONE = 5


class Controller(IntEnum):
    """What turns the desired motion into torques; EXTERNAL: the client does."""

    JOINT_IMPEDANCE = 0
    CARTESIAN_IMPEDANCE = 1
    EXTERNAL = 2
    OTHER = 3


class Mode(IntEnum):
    """Robot mode."""

    OTHER = 0
    IDLE = 1
    MOVE = 2
    GUIDING = 3
    REFLEX = 4
    USER_STOPPED = 5
    RECOVERY = 6


class Moved(IntEnum):
    """Status of a reply to Move."""

    SUCCESS = 0
    STARTED = 1
    PREEMPTED = 2
    NOT_POSSIBLE = 5
    INVALID_ARGUMENT = 7
    REFLEX = 8
    EMERGENCY = 9
    ABORTED = 11


class Answered(IntEnum):
    """Status of a reply to the other commands; INVALID_ARGUMENT: of those that set something."""

    SUCCESS = 0
    NOT_POSSIBLE = 1
    INVALID_ARGUMENT = 2


class Gripped(IntEnum):
    """Status of a gripper's reply."""

    SUCCESS = 0
    FAIL = 1
    UNSUCCESSFUL = 2
    ABORTED = 3


RECOVERY_EMERGENCY = 5
"""Status of a recovery that the user stop prevents."""

ERRORS = (
    "joint_position_limits_violation",
    "cartesian_position_limits_violation",
    "self_collision_avoidance_violation",
    "joint_velocity_violation",
    "cartesian_velocity_violation",
    "force_control_safety_violation",
    "joint_reflex",
    "cartesian_reflex",
    "max_goal_pose_deviation_violation",
    "max_path_pose_deviation_violation",
    "cartesian_velocity_profile_safety_violation",
    "joint_position_motion_generator_start_pose_invalid",
    "joint_motion_generator_position_limits_violation",
    "joint_motion_generator_velocity_limits_violation",
    "joint_motion_generator_velocity_discontinuity",
    "joint_motion_generator_acceleration_discontinuity",
    "cartesian_position_motion_generator_start_pose_invalid",
    "cartesian_motion_generator_elbow_limit_violation",
    "cartesian_motion_generator_velocity_limits_violation",
    "cartesian_motion_generator_velocity_discontinuity",
    "cartesian_motion_generator_acceleration_discontinuity",
    "cartesian_motion_generator_elbow_sign_inconsistent",
    "cartesian_motion_generator_start_elbow_invalid",
    "force_controller_desired_force_tolerance_violation",
    "start_elbow_sign_inconsistent",
    "communication_constraints_violation",
    "power_limit_violation",
    "cartesian_motion_generator_joint_position_limits_violation",
    "cartesian_motion_generator_joint_velocity_limits_violation",
    "cartesian_motion_generator_joint_velocity_discontinuity",
    "cartesian_motion_generator_joint_acceleration_discontinuity",
    "cartesian_position_motion_generator_invalid_frame",
    "controller_torque_discontinuity",
    "joint_p2p_insufficient_torque_for_planning",
    "tau_j_range_violation",
    "instability_detected",
    "joint_move_in_wrong_direction",
    "cartesian_spline_motion_generator_violation",
    "joint_via_motion_generator_planning_joint_limit_violation",
    "base_acceleration_initialization_timeout",
    "base_acceleration_invalid_reading",
)
"""Names of the error flags in the order of their bits, as pylibfranka reads them."""

REALS: tuple[tuple[str, tuple[int, ...]], ...] = (
    *((name, (16,)) for name in ("O_T_EE", "O_T_EE_d", "F_T_EE", "EE_T_K", "F_T_NE", "NE_T_EE")),
    *(("m_ee", ()), ("I_ee", (9,)), ("F_x_Cee", (3,))),
    *(("m_load", ()), ("I_load", (9,)), ("F_x_Cload", (3,))),
    *(("elbow", (2,)), ("elbow_d", (2,))),
    *((name, (7,)) for name in ("tau_J", "tau_J_d", "dtau_J", "q", "q_d", "dq", "dq_d", "ddq_d")),
    *(("joint_contact", (7,)), ("cartesian_contact", (6,)), ("joint_collision", (7,)), ("cartesian_collision", (6,))),
    *(("tau_ext_hat_filtered", (7,)), ("O_F_ext_hat_K", (6,)), ("K_F_ext_hat_K", (6,)), ("O_dP_EE_d", (6,))),
    *(("O_ddP_O", (3,)), ("elbow_c", (2,)), ("delbow_c", (2,)), ("ddelbow_c", (2,))),
    *(("O_T_EE_c", (16,)), ("O_dP_EE_c", (6,)), ("O_ddP_EE_c", (6,)), ("theta", (7,)), ("dtheta", (7,))),
    *(("accelerometer_top", (18,)), ("accelerometer_bottom", (18,))),
)
"""Real numbers of the state, in order; float32 on the wire."""
FLAGS: tuple[tuple[str, str, tuple[int, ...]], ...] = (
    *(("motion_generator_mode", "u1", ()), ("controller_mode", "u1", ())),
    *(("errors", "u1", (len(ERRORS),)), ("reflex_reason", "u1", (len(ERRORS),))),
    *(("robot_mode", "u1", ()), ("control_command_success_rate", "<f4", ())),
)

STATE = np.dtype([("message_id", "<u8"), *((name, "<f4", shape) for name, shape in REALS), *FLAGS])
"""State over UDP, 1377 bytes."""
MEASURED = np.dtype([(name, "f8", shape) for name, shape in REALS], align=True)
"""The same reals in double precision, as they are computed: one cast packs them all."""
COMMAND = np.dtype(
    [
        *(("message_id", "<u8"), ("q_c", "<f8", (7,)), ("dq_c", "<f8", (7,))),
        *(("O_T_EE_c", "<f8", (16,)), ("O_dP_EE_c", "<f8", (6,)), ("elbow_c", "<f8", (2,))),
        *(("valid_elbow", "u1"), ("motion_finished", "u1"), ("tau_J_d", "<f8", (7,)), ("torque_finished", "u1")),
    ]
)
"""Command over UDP, 371 bytes."""

MOVE = struct.Struct("<II")
"""First words of a Move request: controller, motion generator less one. Bounds of deviation follow."""
MOVE_ASYNC = 8 + 6 * 8
"""Where a Move request says whether the robot itself interpolates sparse targets."""
REQUEST_REALS = {
    Command.SET_COLLISION_BEHAVIOR: 4 * 7 + 4 * 6,
    Command.SET_JOINT_IMPEDANCE: 7,
    Command.SET_CARTESIAN_IMPEDANCE: 6,
    Command.SET_EE_TO_K: 16,
    Command.SET_NE_TO_EE: 16,
    Command.SET_LOAD: 1 + 3 + 9,
}
"""How many doubles a request carries."""


class Packer:
    """Turns `MEASURED` into the bytes of a state; `flags` is the record whose flags the caller sets."""

    def __init__(self, measured: np.ndarray) -> None:
        self._state = np.zeros(1, STATE)
        self.flags = self._state[0]
        count = MEASURED.itemsize // 8
        self._source: Array = measured.view("f8")
        self._reals = np.frombuffer(self._state.data.cast("B"), "<f4", count, offset=8)
        self.buffer = self._state.data.cast("B")

    def pack(self, message_id: int) -> memoryview:
        """The bytes (1377,) of the present state, valid until the next call."""
        self.flags["message_id"] = message_id
        np.copyto(self._reals, self._source, casting="same_kind")
        return self.buffer
