"""Memory of one emulated robot: what the compiled cycle reads and writes, in one record."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np

from controllers.emulators import wire
from controllers.emulators.wire import JOINTS
from controllers.impedance import Record
from controllers.interface import Array
from controllers.models import arm_model
from controllers.twin.compose import GRASPED

ACCELERATION, JERK = 10.0, 5000.0
"""Of a joint that a motion generator moves, rad/s2 and rad/s3."""
CARTESIAN = (3.0, 9.0, 4500.0, 2.5, 17.0, 8500.0)
"""Of the tool that a motion generator moves: m/s, m/s2, m/s3, rad/s, rad/s2, rad/s3."""
ELBOW = (1.5, 10.0, 5000.0)
"""Of a commanded elbow: rad/s, rad/s2, rad/s3."""
JOINT_STIFFNESS = (3000.0, 3000.0, 3000.0, 2500.0, 2500.0, 2000.0, 2000.0)
CARTESIAN_STIFFNESS = (3000.0, 3000.0, 3000.0, 300.0, 300.0, 300.0)
"""Of the internal controllers until a client sets others: Nm/rad; N/m and Nm/rad."""
TORQUE_THRESHOLDS = (20.0, 20.0, 18.0, 18.0, 16.0, 14.0, 12.0)
FORCE_THRESHOLDS = (20.0, 20.0, 20.0, 25.0, 25.0, 25.0)
"""Of a collision until a client sets others, Nm and N: those of libfranka's examples. Contacts: the same."""
LOST = 20
"""This many commands lost in a row stop the motion."""
GRAVITY = 9.81

CHAIN = np.dtype([("position", "f8", (JOINTS + 1, 3)), ("quaternion", "f8", (JOINTS + 1, 4))], align=True)
"""Each joint's frame in the one before (joints turn about their z), then the flange's: m, xyzw."""

LIMITS = np.dtype(
    [
        *((name, "f8", (JOINTS,)) for name in ("low", "high", "velocity", "velocity_offset", "braking", "torque")),
        *(("acceleration", "f8"), ("jerk", "f8"), ("torque_rate", "f8"), ("cartesian", "f8", (6,)), ("elbow", "f8", 3)),
    ],
    align=True,
)
"""The maker's published limits, SI units; `cartesian` and `elbow`: as the constants of these names."""

THRESHOLDS = np.dtype(
    [
        (f"{kind}_{level}_{phase}", "f8", (size,))
        for kind, size in (("torque", 7), ("force", 6))
        for phase in ("acceleration", "nominal")
        for level in ("lower", "upper")
    ],
    align=True,
)
"""Contact (lower) and collision (upper), Nm and N, while the desired motion accelerates and otherwise; wire order."""

WORK = np.dtype(
    [
        *((name, "f8", (JOINTS, 3)) for name in ("axes", "anchors", "desired_axes", "desired_anchors")),
        *((name, "f8", (3,)) for name in ("position", "desired_position", "point")),
        *((name, "f8", (4,)) for name in ("quaternion", "desired_quaternion", "turn", "other_turn")),
        *((name, "f8", (6, JOINTS)) for name in ("jacobian", "other")),
        *(("gram", "f8", (6, 6)), ("mass", "f8", (JOINTS, JOINTS))),
        *((name, "f8", (6,)) for name in ("error", "drive", "solved", "felt", "axis")),
        *((name, "f8", (JOINTS,)) for name in ("torque", "column", "step", "gravity", "mismatch", "coriolis")),
    ],
    align=True,
)
"""Scratch: frames and axes in base at the measured (flange) and the desired joints; torques without the client's."""

WIRE_THRESHOLDS = THRESHOLDS.names or ()

COMMAND = np.dtype([(name, wire.COMMAND[name]) for name in wire.COMMAND.names or ()], align=True)
"""A client's command where compiled code can read it."""

ROBOT = np.dtype(
    [
        *(("state", wire.MEASURED), ("command", COMMAND), ("limits", LIMITS), ("thresholds", THRESHOLDS)),
        *(("chain", CHAIN), ("work", WORK), ("joint_stiffness", "f8", (7,)), ("cartesian_stiffness", "f8", (6,))),
        *(("errors", "u1", (len(wire.ERRORS),)), ("share", "f8"), ("dt", "f8"), ("fresh", "i8"), ("started", "i8")),
        *(("generator", "i8"), ("controller", "i8"), ("holding", "i8"), ("moving", "i8"), ("finished", "i8")),
        *(("payload_mass", "f8"), ("payload_centre", "f8", (3,))),
        *(("target_position", "f8", (3,)), ("target_quaternion", "f8", (4,))),
    ],
    align=True,
)
"""One robot. errors: raised in this cycle. fresh: whether `command` is new; finished: whether it ends the motion.

moving: whether a motion runs, with generator and controller; started: cycles of it so far. holding: without a motion,
0 while the arm brakes, 1 once it holds q_d. payload: mass (kg) and centre in the flange's frame (m) of what the hand
truly holds. target: pose of the end effector that a Cartesian generator is at, in base. share: of the low-pass of the
external torques in a cycle of dt (s).
"""


def new_robot(model: mujoco.MjModel, flange: str, share: float) -> Record:
    """A robot at rest, configured as it leaves the factory with the Franka Hand mounted."""
    robot = np.zeros(1, ROBOT).view(np.recarray)[0]
    robot.dt, robot.share = model.opt.timestep, share
    for name in ("low", "high", "velocity", "velocity_offset", "braking", "torque", "torque_rate"):
        robot.limits[name] = getattr(arm_model("fr3").limits, name)
    robot.limits["acceleration"], robot.limits["jerk"] = ACCELERATION, JERK
    robot.limits["cartesian"], robot.limits["elbow"] = CARTESIAN, ELBOW
    robot.joint_stiffness, robot.cartesian_stiffness = JOINT_STIFFNESS, CARTESIAN_STIFFNESS
    for name in WIRE_THRESHOLDS:
        robot.thresholds[name] = TORQUE_THRESHOLDS if name.startswith("torque") else FORCE_THRESHOLDS
    _fill_chain(robot, model, flange)
    _fill_frames(robot, model, flange)
    return robot


def _fill_chain(robot: Record, model: mujoco.MjModel, flange: str) -> None:
    for joint in range(JOINTS):
        body = int(model.jnt_bodyid[joint])
        robot.chain["position"][joint] = model.body_pos[body]
        robot.chain["quaternion"][joint] = np.roll(model.body_quat[body], -1)
    site = model.site(flange)
    robot.chain["position"][JOINTS] = site.pos
    robot.chain["quaternion"][JOINTS] = np.roll(site.quat, -1)


def _fill_frames(robot: Record, model: mujoco.MjModel, flange: str) -> None:
    """Frames and inertia of the hand, as if set up in the maker's user interface; what the hand holds as truth."""
    identity = np.eye(4).ravel()
    state = robot.state
    state.F_T_NE = hand_frame(model, flange).ravel(order="F")
    state.F_T_EE = state.F_T_NE
    state.NE_T_EE, state.EE_T_K = identity, identity
    state.O_ddP_O = 0.0, 0.0, -GRAVITY
    state.m_ee, state.F_x_Cee, inertia = _combined(model, _mounted(model, flange)[0], flange)
    state.I_ee = inertia.ravel(order="F")
    robot.payload_mass, robot.payload_centre, _ = payload(model, flange)


def hand_frame(model: mujoco.MjModel, flange: str) -> Array:
    """Pose (4, 4) of the tool point in the flange."""
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    return np.linalg.inv(_pose(data.site(flange))) @ _pose(data.site("tool"))


def payload(model: mujoco.MjModel, flange: str) -> tuple[float, Array, Array]:
    """What the hand truly holds: mass (kg), centre (3,) in the flange's frame (m), inertia (3, 3) about it (kg m2)."""
    return _combined(model, _mounted(model, flange)[1], flange)


def _pose(frame: Any) -> Array:
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = frame.xmat.reshape(3, 3), frame.xpos
    return pose


def _mounted(model: mujoco.MjModel, flange: str) -> tuple[list[int], list[int]]:
    """Bodies of the hand, and of what the scene puts into it (`controllers.twin.compose.GRASPED`)."""
    root = int(model.site_bodyid[model.site(flange).id])
    below: list[int] = []
    for body in range(root + 1, model.nbody):
        if int(model.body_parentid[body]) in [root, *below]:
            below.append(body)
    held: list[int] = []
    for body in below:
        if model.body(body).name == GRASPED or int(model.body_parentid[body]) in held:
            held.append(body)
    return [body for body in below if body not in held], held


def _combined(model: mujoco.MjModel, bodies: list[int], flange: str) -> tuple[float, Array, Array]:
    """Mass, centre of mass in the flange's frame and inertia (3, 3) about it, in its axes, of bodies as they stand."""
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    frame = _pose(data.site(flange))
    mass = float(model.body_mass[bodies].sum())
    if mass == 0.0:
        return 0.0, np.zeros(3), np.zeros((3, 3))
    centre = model.body_mass[bodies] @ data.xipos[bodies] / mass
    inertia = np.zeros((3, 3))
    for body in bodies:
        axes, offset = data.ximat[body].reshape(3, 3), data.xipos[body] - centre
        inertia += axes @ np.diag(model.body_inertia[body]) @ axes.T
        inertia += model.body_mass[body] * (offset @ offset * np.eye(3) - np.outer(offset, offset))
    turn = frame[:3, :3].T
    return mass, turn @ (centre - frame[:3, 3]), turn @ inertia @ turn.T
