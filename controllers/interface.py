"""What every robot cell offers: states in, pose targets out, one tick at a time.

SI units, base frame unless said, quaternions xyzw (ROS order), time in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Image = NDArray[np.uint8]

OWNERS = ("policy", "teleop", "reset", "external")
"""Who may send targets; exactly one of them holds the arm at a time."""


@dataclass(frozen=True)
class Pose:
    """A frame in the robot base: position (3,) in m, unit quaternion (4,) xyzw."""

    position: Array
    quaternion: Array


@dataclass(frozen=True)
class ArmState:
    """One measurement of the arm at `stamp` (s).

    q, dq, tau: (n,) rad, rad/s, Nm. pose: tool frame in base. twist: (6,) linear m/s then
    angular rad/s, in base. wrench: (6,) N and Nm, environment on tool at the tool point, base axes,
    tared at reset. reference: the filter's accepted reference pose, in base.
    """

    q: Array
    dq: Array
    tau: Array
    pose: Pose
    twist: Array
    wrench: Array
    reference: Pose
    stamp: float


@dataclass(frozen=True)
class GripperState:
    """Opening `width` in m between the fingers, and `grasped`: force holds something."""

    width: float
    grasped: bool


@dataclass(frozen=True)
class PoseTarget:
    """A request to move the reference; checked and clamped by the safety filter.

    pose: tool frame in base. sequence: rises with each target of one owner.
    stiffness (6,) N/m, Nm/rad; damping (6,) N s/m, Nm s/rad; clip (12,): bounds of the pose error,
    m and rad, the six lower then the six upper; None keeps what the task set.
    twist (6,): feed-forward, m/s and rad/s in base; policies send none.
    enabled: the deadman of a person at a teleoperation device; a target without it holds the arm where it is.
    posture: (n,) joint angles, rad, that a redundant arm seeks where the pose leaves it free; None: the task's home.
    """

    pose: Pose
    sequence: int
    frame: str = "base"
    twist: Array | None = None
    stiffness: Array | None = None
    damping: Array | None = None
    clip: Array | None = None
    enabled: bool = True
    posture: Array | None = None


@dataclass(frozen=True)
class Abilities:
    """What a backend can do; a task that needs more is refused with the reason (`controllers.cells.open_cell`).

    law: what turns a target into motion, in a word or two. signed_clips: a bound of the pose error per axis and sign.
    gains: stiffness and damping as the task asks. feed_forward: `PoseTarget.twist`. lockstep: time waits for `wait`.
    scene: `reset_scene` draws the scene anew by itself; elsewhere a person does. posture: `PoseTarget.posture`.
    """

    law: str
    signed_clips: bool = True
    gains: bool = True
    feed_forward: bool = True
    lockstep: bool = False
    scene: bool = False
    posture: bool = False


@dataclass(frozen=True)
class Health:
    """What a driver says of itself, once a second on `/diagnostics`. level: `ok`, `warn` or `error`."""

    level: str
    message: str
    values: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Reading:
    """All that a cell knows at one tick.

    tick: control steps since the cell was started. images: camera name -> (h, w, 3) uint8.
    features: camera name -> float16 maps of its frame, where something in the cell looks at pictures.
    sim: what only a simulator knows (SI); for rewards, experts and evaluation, never for a policy.
    safety: state of the filter (`hold`, `track`, `frozen`, `ramp`, `latched`), `reason` of a latch.
    partner: what the second arm of two measures, in its own base.
    """

    tick: int
    stamp: float
    arm: ArmState
    gripper: GripperState | None = None
    images: Mapping[str, Image] = field(default_factory=dict)
    features: Mapping[str, NDArray[np.float16]] = field(default_factory=dict)
    sim: Mapping[str, Array] = field(default_factory=dict)
    safety: str = "track"
    reason: str = ""
    partner: Reading | None = None


class Cell(Protocol):
    """An arm, its gripper and cameras behind one clock: the twin, or a proxy over ROS.

    `command` then `wait` is one tick of `period` seconds: in lockstep `wait` returns when the
    world has advanced by it, in real time at the next point of the absolute schedule.
    """

    period: float

    def acquire(self, owner: str) -> None:
        """Hand the arm to `owner`; the reference is re-seeded at the measured pose."""

    def command(self, target: PoseTarget, gripper_width: float | None = None) -> None:
        """Send a target for the coming tick. Raises `CommandRejected` or `ArmLatched`."""

    def wait(self) -> Reading:
        """The reading at the end of the tick. Raises `CellTimeout`."""

    def read(self) -> Reading:
        """The newest reading, without advancing."""

    def reset_scene(self, seed: int) -> None:
        """Draw the scene anew (twin), or do nothing where only a person can."""

    def tare(self) -> None:
        """Make the present wrench the zero of `ArmState.wrench`."""

    def stop(self, reason: str = "stop requested") -> None:
        """Latch: the arm holds compliantly until `recover`. Not a safety-rated stop."""

    def recover(self) -> None:
        """A person clears the latch; the reference is re-seeded at the measured pose."""

    def close(self) -> None:
        """Release everything; a moving arm is brought to a hold first."""


@runtime_checkable
class TwoArmed(Cell, Protocol):
    """A cell whose first arm this is; partner: the other one, with the same time, scene and latch."""

    partner: Cell | None


def partner_of(cell: Cell) -> Cell:
    """The second arm. Raises TypeError where the cell has one arm."""
    if not isinstance(cell, TwoArmed) or cell.partner is None:
        raise TypeError(f"{type(cell).__name__} has one arm, and two are to move; use the twin of a task with two")
    return cell.partner


class Backend(Cell, Protocol):
    """A cell that owns its arm: what the arm node hosts, and `RosCell` is the proxy of.

    joint_names: of the arm, in the order of `ArmState.q`. robot_description: URDF of the robot, for TF and tools.
    """

    joint_names: tuple[str, ...]
    robot_description: str
    abilities: Abilities

    def health(self) -> Health:
        """State, counters and timing of the driver; cheap, and never an error of its own."""
