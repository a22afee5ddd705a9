"""What a task is: one description that the twin, the environment, the learner and the docs read.

A task is a folder `tasks/NAME` with `task.py` (a `TaskSpec` named `SPEC`), `scene.xml` and `README.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from controllers.interface import Array, Pose, Reading
from controllers.kinematics import Kinematics
from controllers.models import arm_model
from tasks.domain import Domain

if TYPE_CHECKING:
    import mujoco


AXES = ("x", "y", "z", "rx", "ry", "rz")
"""Of the tool frame: translations, then turns about them."""
BASES = ("measured", "reference")


@dataclass(frozen=True)
class Gains:
    """Cartesian impedance in the compliance frame (the tool frame unless a task says otherwise).

    stiffness: (6,) N/m and Nm/rad. damping: (6,) N s/m and Nm s/rad.
    clip: (12,) bounds of the pose error in m and rad: six lower (negative), six upper.
    filter_time: time constant of the reference filter, s.
    """

    stiffness: Array
    damping: Array
    clip: Array
    filter_time: float = 0.02


@dataclass(frozen=True)
class Workspace:
    """Box for the tool point in base, m; `tilt` bounds its axis against the start pose's, rad; `yaw` the turn."""

    low: Array
    high: Array
    tilt: float = 0.3
    yaw: float = np.pi


@dataclass(frozen=True)
class ActionSpec:
    """How an action in [-1, 1] moves the reference, in the tool frame (design: control law).

    Raises ValueError for an axis or a base that there is not.
    axes: which of x y z rx ry rz the policy moves, in that order; the others hold the start pose's value.
    translation: m, rotation: rad, at an action of 1. base: `measured` or `reference` (then leashed).
    """

    axes: tuple[str, ...] = ("x", "y", "z", "rx", "ry", "rz")
    translation: float = 0.01
    rotation: float = 0.05
    base: str = "measured"
    leash: tuple[float, float] = (0.02, 0.1)

    def __post_init__(self) -> None:
        if len(set(self.axes)) != len(self.axes) or not set(self.axes) <= set(AXES):
            raise ValueError(f"the axes of an action are {self.axes}: choose from {', '.join(AXES)}, each once")
        if self.base not in BASES:
            raise ValueError(f"the base of an action is {self.base!r}: choose one of {', '.join(BASES)}")


@dataclass(frozen=True)
class ObservationSpec:
    """Scales of the observation. Poses are seen from the task's `anchor` frame.

    position: m that map to 1 (coarse); fine: m of the tanh feature that shows the smallest length;
    rotation: rad of the fine rotation feature; force: N; torque: Nm; speed: m/s, rad/s.
    privileged: `sim/*` names shown to the policy, each (3,): m over `position`, or a unit vector if the name ends with
    `_axis`; a task with any says that it is privileged.
    """

    position: float = 0.05
    fine: float = 0.004
    rotation: float = 0.1
    force: float = 10.0
    torque: float = 1.0
    linear_speed: float = 0.1
    angular_speed: float = 0.5
    privileged: tuple[str, ...] = ()


@dataclass(frozen=True)
class GripperSpec:
    """Width commanded when the last action is above `threshold` (close) or below its negative (open)."""

    closed: float = 0.0
    open: float = 0.08
    threshold: float = 0.3
    start: float = 0.08


@dataclass(frozen=True)
class CameraSpec:
    """A camera by its name in the composed scene (`wrist`, `front`), with the image's size in pixels."""

    name: str
    width: int = 128
    height: int = 128


class Expert(Protocol):
    """A scripted demonstrator. It may read `sim/*`; the environment gives it one reading a step."""

    def reset(self, rng: np.random.Generator) -> None: ...

    def act(self, reading: Reading) -> Array:
        """Action in [-1, 1], shape (action dimension,), as a policy would give it."""


Randomise = Callable[["mujoco.MjModel", "mujoco.MjData", np.random.Generator], None]
"""Draws an episode's scene in the twin: it may move mocap bodies and the task's own joints."""


@dataclass(frozen=True)
class Partner:
    """A second arm in a task's scene.

    task: of that arm, in its own base frame: model, home, start, workspace, gains, action, gripper and scales of what
    it observes; what all share (scene, reward, expert, horizon, ...) is asked of the first arm's task alone.
    position (m), yaw (rad): of its base in the first arm's.
    """

    task: TaskSpec
    position: tuple[float, float, float]
    yaw: float


@dataclass(frozen=True)
class TaskSpec:
    """One task. `reward` sees one reading and returns (reward, success).

    scene: MJCF of the task alone. Its top-level bodies go into the world, except one named `grasped`, which
    is put on the hand's tool point; one named `carried` lies free on that. `edit` changes the scene before it compiles
    (variants of a task).
    randomise: draws an episode in the twin, (model, data, rng) -> None; mocap bodies and joint positions only.
    verify: whether a success is a true one, from `sim/*`; evaluation asks it, so that a reward that can be cheated is
    found out. sim: computes `sim/*` values, (model, data) -> name to array. arm: that the task is written for, by its
    name in `controllers.models`; `on` moves the task to another. home: joint angles (n,) of that arm near `start`.
    start: nominal start pose of the tool; each episode offsets it within `start_noise` (x, y, z m, yaw rad).
    anchor: the taught frame that observed poses are relative to. horizon: steps until truncation.
    ttl: age of a target, s, at which the arm freezes. domain: what else an episode may draw, where a run asks for it.
    goal: the scene's body that success depends on, mocap or on a free joint, which evaluation may move.
    learner: overrides of the learner's defaults, by field name.
    reverse: name of the task that undoes this one, if there is one: each begins wherever the other's success ends, and
    that one's `reverse` is this task. lost: whether what the task is about lies where no policy gets it back, from
    `sim/*`; a reset that leaves the scene as it is asks that.
    partner: the second of two arms; its reading is `Reading.partner`, its part of an action comes after the first
    arm's, and its names in the scene begin with `partner_`.
    pull_free: every reset begins with a lift to the workspace's top, limp aside: what is held must be drawn out of
    something, or keeps the tool from going straight up.
    join: puts what hangs between hand and scene where both are, by joint positions; called whenever one of them jumped.
    """

    name: str
    summary: str
    scene: Path
    home: Array
    start: Pose
    start_noise: Array
    anchor: Pose
    workspace: Workspace
    gains: Gains
    reward: Callable[[Reading], tuple[float, bool]]
    expert: Callable[[TaskSpec], Expert]
    randomise: Randomise
    sim: Callable[[mujoco.MjModel, mujoco.MjData], Mapping[str, Array]]
    edit: Callable[[mujoco.MjSpec], None] | None = None
    verify: Callable[[Reading], bool] | None = None
    action: ActionSpec = field(default_factory=ActionSpec)
    observation: ObservationSpec = field(default_factory=ObservationSpec)
    gripper: GripperSpec | None = None
    cameras: tuple[CameraSpec, ...] = (CameraSpec("wrist"), CameraSpec("front"))
    horizon: int = 100
    steps: int = 4000
    period: float = 0.1
    ttl: float = 0.3
    domain: Domain = field(default_factory=Domain)
    goal: str = ""
    learner: Mapping[str, Any] = field(default_factory=dict)
    arm: str = "fr3"
    reverse: str = ""
    lost: Callable[[Reading], bool] | None = None
    partner: Partner | None = None
    pull_free: bool = False
    join: Callable[[mujoco.MjModel, mujoco.MjData], None] | None = None

    def on(self, arm: str) -> TaskSpec:
        """This task for another arm: home near the same start pose, gains within what that arm allows.

        Raises `ControllersError` for an arm that there is not, or that cannot reach the start pose.
        """
        model = arm_model(arm)
        if arm == self.arm:
            return self
        stiffest, most_damped = np.repeat(model.limits.stiffness, 3), np.repeat(model.limits.damping, 3)
        gains = replace(
            self.gains,
            stiffness=np.minimum(self.gains.stiffness, stiffest),
            damping=np.minimum(self.gains.damping, most_damped),
        )
        return replace(self, arm=arm, home=Kinematics(model).solve(self.start), gains=gains)

    @property
    def arms(self) -> tuple[TaskSpec, ...]:
        """What each arm does: this task, and its partner's."""
        return (self,) if self.partner is None else (self, self.partner.task)

    @property
    def action_dim(self) -> int:
        """Of each arm the axes moved, plus one for the gripper where the task uses it."""
        return sum(len(arm.action.axes) + (arm.gripper is not None) for arm in self.arms)
