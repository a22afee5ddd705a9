"""The twin's inner loop, compiled as a whole: physics, kinematics, control law and wrench estimate at 1 kHz.

MuJoCo's C functions are called through their symbols, so the machine code can be cached on disk. Called from Python
one by one, the same work costs several times more.

The wrench is what a real arm estimates from its joint torques: the generalised force that contacts and joint stops
put on the arm's joints (`qfrc_constraint`, what a momentum observer converges to when the payload is known and friction
compensated), mapped to the tool by the least-squares solution of J^T F = tau_ext, then low-pass filtered. It is exact
for any contact beyond the last joint, and misleading for one on the arm itself, just as on the robot.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import llvmlite.binding
import mujoco
import numpy as np
from numba import literal_unroll, njit, types
from numpy.typing import NDArray

from controllers import spatial
from controllers.controller import tick
from controllers.impedance import Record, cholesky, solve_lower, solve_upper
from controllers.interface import Array
from controllers.twin.compose import Mount

WRENCH_TIME = 0.01
"""Time constant of the wrench's low-pass, s: about that of the observer behind libfranka's `O_F_ext_hat_K`."""
FORGOTTEN = 1e-9
"""A wrench that has decayed below this (N, Nm) is zero: numbers near the smallest double are slow to compute with."""

_LIBRARY = next(Path(mujoco.__file__).parent.glob("libmujoco.*"))
llvmlite.binding.load_library_permanently(str(_LIBRARY))
_step1 = types.ExternalFunction("mj_step1", types.void(types.intp, types.intp))
_step2 = types.ExternalFunction("mj_step2", types.void(types.intp, types.intp))
_full_mass = types.ExternalFunction("mj_fullM", types.void(types.intp, types.intp, types.intp))
_jacobian = types.ExternalFunction("mj_jacSite", types.void(types.intp, types.intp, types.intp, types.intp, types.intc))
_centre = types.ExternalFunction("mj_jacSubtreeCom", types.void(types.intp, types.intp, types.intp, types.intc))


class Views(NamedTuple):
    """MuJoCo's memory and ours as the loop sees them, for one arm of n joints, of which the first is dof `first` of nv.

    model, data: addresses; site: id of the tool point. q, dq, force (n,): MuJoCo's own arrays, as are bias,
    gravity (compensated by the simulator already), constraint; spot (3,), hand (4,) wxyz, offset (4,) xyzw.
    base_position (3,), base_turn (4,) xyzw: the world from the arm's base; base_matrix (3, 3): the base in the world.
    jacobian, mass: of all nv, in the world. arm_jacobian (6, n), arm_mass (n, n), arm_bias (n,): of the arm.
    position (3,), quaternion (4,): the tool, xyzw.
    external (6,): wrench of somebody outside on the tool, at the tool point, base axes, N and Nm.
    raw, wrench (6,): environment on tool at the tool point, base axes, N and Nm, before and after the filter.
    peak (1,): largest force since it was last zeroed, N. share (1,): of the filter's step.
    root: id of the arm's first body; load (3,): what carries all that hangs on it, in world, N; weight (n,): the same
    in joint torques, Nm, as `weigh` leaves it.
    """

    model: int
    data: int
    site: int
    first: int
    jacobian_position: int
    jacobian_rotation: int
    mass_address: int
    q: Array
    dq: Array
    force: Array
    bias: Array
    gravity: Array
    constraint: Array
    spot: Array
    hand: Array
    offset: Array
    base_position: Array
    base_turn: Array
    base_matrix: Array
    jacobian: Array
    mass: Array
    arm_jacobian: Array
    arm_mass: Array
    arm_bias: Array
    position: Array
    quaternion: Array
    tau: Array
    external: Array
    raw: Array
    wrench: Array
    peak: Array
    share: Array
    gram: Array
    root: int
    centre_address: int
    centre: Array
    load: Array
    weight: Array


def views(model: mujoco.MjModel, data: mujoco.MjData, mount: Mount) -> Views:
    """Views of one arm in `data`, which must outlive them."""
    n, site, base = len(mount.arm.joints), model.site(f"{mount.prefix}tool").id, mount.base
    joint = model.joint(mount.name(mount.arm.joints[0]))
    place, first = int(joint.qposadr[0]), int(joint.dofadr[0])
    dofs = slice(first, first + n)
    jacobian, mass, centre = np.zeros((6, model.nv)), np.zeros((model.nv, model.nv)), np.zeros((3, model.nv))
    hand = model.site_bodyid[site]
    root = model.body_rootid[hand]
    return Views(
        model=model._address,
        data=data._address,
        site=site,
        first=first,
        jacobian_position=jacobian.ctypes.data,
        jacobian_rotation=jacobian[3:].ctypes.data,
        mass_address=mass.ctypes.data,
        q=data.qpos[place : place + n],
        dq=data.qvel[dofs],
        force=data.qfrc_applied[dofs],
        bias=data.qfrc_bias[dofs],
        gravity=data.qfrc_gravcomp[dofs],
        constraint=data.qfrc_constraint[dofs],
        spot=data.site_xpos[site],
        hand=data.xquat[hand],
        offset=np.roll(model.site_quat[site], -1),
        base_position=base.position,
        base_turn=spatial.conjugate(base.quaternion),
        base_matrix=spatial.matrix(base.quaternion),
        jacobian=jacobian,
        mass=mass,
        arm_jacobian=np.zeros((6, n)),
        arm_mass=np.zeros((n, n)),
        arm_bias=np.zeros(n),
        position=np.zeros(3),
        quaternion=np.zeros(4),
        tau=np.zeros(n),
        external=np.zeros(6),
        raw=np.zeros(6),
        wrench=np.zeros(6),
        peak=np.zeros(1),
        share=np.array([1.0 - np.exp(-model.opt.timestep / WRENCH_TIME)]),
        gram=np.zeros((6, 6)),
        root=int(root),
        centre_address=centre.ctypes.data,
        centre=centre,
        load=-model.body_subtreemass[root] * model.opt.gravity,
        weight=np.zeros(n),
    )


@njit(cache=True)
def observe(v: Views) -> None:
    """Kinematics and dynamics of the arm at the state that `mj_step1` has seen; pose and Jacobian in the world.

    Without a branch or a call that passes `Views` on: numba would count references to each of its arrays.
    """
    n, first = v.q.shape[0], v.first
    _jacobian(v.model, v.data, v.jacobian_position, v.jacobian_rotation, v.site)
    _full_mass(v.model, v.data, v.mass_address)
    for i in range(n):
        v.arm_bias[i] = v.bias[i] - v.gravity[i]
        for k in range(6):
            v.arm_jacobian[k, i] = v.jacobian[k, first + i]
        for j in range(n):
            v.arm_mass[i, j] = v.mass[first + i, first + j]
    for k in range(3):
        v.position[k] = v.spot[k]
    w, x, y, z = v.hand[0], v.hand[1], v.hand[2], v.hand[3]
    v.quaternion[0], v.quaternion[1], v.quaternion[2], v.quaternion[3] = x, y, z, w
    spatial.multiply(v.quaternion, v.offset, v.quaternion)


@njit(cache=True)
def see_from_base(v: Views) -> None:
    """Turns pose and Jacobian, as `observe` leaves them, from the world into the arm's base."""
    for k in range(3):
        v.position[k] -= v.base_position[k]
    spatial.rotate(v.base_turn, v.position, v.position)
    spatial.multiply(v.base_turn, v.quaternion, v.quaternion)
    for i in range(v.q.shape[0]):
        for k in range(6):
            part, axis, total = k - k % 3, k % 3, 0.0
            for m in range(3):
                total += v.base_matrix[m, axis] * v.jacobian[part + m, v.first + i]
            v.arm_jacobian[k, i] = total


@njit(cache=True)
def feel(v: Views) -> None:
    """Wrench of the environment on the tool, from the constraint forces that `mj_step2` has found, and who pushes."""
    n, touched, pushed, felt = v.q.shape[0], 0.0, 0.0, 0.0
    for i in range(n):
        touched += abs(v.constraint[i])
    for i in range(6):
        v.raw[i] = 0.0
        pushed += abs(v.external[i])
        felt += abs(v.wrench[i])
    if touched > 0.0:
        _project(v)
    if touched + pushed > 0.0:
        for i in range(6):
            v.raw[i] += v.external[i]
        v.peak[0] = max(v.peak[0], np.sqrt(v.raw[0] ** 2 + v.raw[1] ** 2 + v.raw[2] ** 2))
    share = v.share[0] if touched + pushed + felt > FORGOTTEN else 1.0
    for i in range(6):
        v.wrench[i] += share * (v.raw[i] - v.wrench[i])


@njit(cache=True)
def _project(v: Views) -> None:
    """Fill raw (6,) with the least-squares solution of J^T F = constraint."""
    for i in range(6):
        for k in range(v.q.shape[0]):
            v.raw[i] += v.arm_jacobian[i, k] * v.constraint[k]
        for j in range(6):
            v.gram[i, j] = 0.0
            for k in range(v.q.shape[0]):
                v.gram[i, j] += v.arm_jacobian[i, k] * v.arm_jacobian[j, k]
    cholesky(v.gram, v.gram)
    solve_lower(v.gram, v.raw)
    solve_upper(v.gram, v.raw)


@njit(cache=True)
def refresh(v: Views) -> None:
    """Brings everything derived up to date after the state was set from outside."""
    _step1(v.model, v.data)
    observe(v)


@njit(cache=True)
def _drive(v: Views) -> None:
    """Hand this period's torques to the simulation, with those of whoever pushes the tool."""
    for j in range(v.q.shape[0]):
        v.force[j] = v.tau[j]
        for k in range(6):
            if v.external[k] != 0.0:
                v.force[j] += v.arm_jacobian[k, j] * v.external[k]


@njit(cache=True)
def run(v: Views, control: Record, substeps: int) -> None:
    """Advance `substeps` control periods of an arm that stands on the world's origin.

    On entry and exit `mj_step1` and `observe` have seen the state.
    """
    for _ in range(substeps):
        tick(control, v.arm_jacobian, v.arm_mass, v.q, v.dq, v.arm_bias, v.position, v.quaternion, v.tau)
        _drive(v)
        _step2(v.model, v.data)
        feel(v)
        _step1(v.model, v.data)
        observe(v)


@njit(cache=True)
def _act(v: Views, control: Record) -> None:
    """The law's torques for this period."""
    tick(control, v.arm_jacobian, v.arm_mass, v.q, v.dq, v.arm_bias, v.position, v.quaternion, v.tau)
    _drive(v)


@njit(cache=True)
def run_all(arms: tuple[tuple[Views, NDArray], ...], substeps: int) -> None:
    """`run` for the arms of one world, wherever they stand: each with its controller's record in an array (1,)."""
    for _ in range(substeps):
        _step_all(arms)


@njit(cache=True)
def _step_all(arms: tuple[tuple[Views, NDArray], ...]) -> None:
    """One control period. A function of its own: what unrolled loops put on the stack goes when it returns."""
    world = arms[0][0]
    for arm in literal_unroll(arms):
        _act(arm[0], arm[1][0])
    _step2(world.model, world.data)
    for arm in literal_unroll(arms):
        feel(arm[0])
    _step1(world.model, world.data)
    for arm in literal_unroll(arms):
        observe(arm[0])
        see_from_base(arm[0])


@njit(cache=True)
def weigh(v: Views) -> None:
    """Fill weight (n,) with the joint torques that hold arm, hand and load up, less what the simulator does already."""
    _centre(v.model, v.data, v.centre_address, v.root)
    for j in range(v.q.shape[0]):
        v.weight[j] = -v.gravity[j]
        for i in range(3):
            v.weight[j] += v.centre[i, v.first + j] * v.load[i]


@njit(cache=True)
def push(v: Views, torque: Array) -> None:
    """Advance one control period under torque (n,) in Nm and what holds the arm up. On entry and exit: as for `run`."""
    weigh(v)
    for j in range(v.q.shape[0]):
        v.tau[j] = torque[j] + v.weight[j]
    _drive(v)
    _step2(v.model, v.data)
    feel(v)
    _step1(v.model, v.data)
    observe(v)
