"""A scene put together: world, arms, hands and the task's own bodies, by editing models, not text."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import cos, sin
from pathlib import Path

import mujoco
import numpy as np

from controllers.exceptions import SceneError
from controllers.interface import Array, Pose
from controllers.maker import chain
from controllers.models import ArmModel, arm_model
from tasks.spec import Randomise, TaskSpec

MODELS = Path(__file__).with_name("models")
SHELLS = {"panda": "fr3"}
"""Arms whose frames are another's: its shapes are drawn, with the arm's own inertias and limits."""
FINGERS = ("finger_joint1", "finger_joint2")
GRASPED = "grasped"
PARTNER = "partner_"
"""Before the names of a task's second arm."""
LINK = "link"
"""Class of an arm's collision shapes, which touch nothing unless asked to."""
PAIR_FIELDS = (
    "geomname1", "geomname2", "condim", "solref", "solreffriction", "solimp", "margin", "gap", "friction"
)  # fmt: skip
"""What an explicit contact pair says."""
FINGER_WIDTH = 0.02
"""Opening of the hand, m, in a scene without a gripper; `<numeric name="finger_width">` of the scene replaces it."""


@dataclass(frozen=True)
class Mount:
    """One arm of a scene. task: what it does there, in its own base frame; its scene is not looked at.

    prefix: before all names of this arm (`left_fr3_joint1`, `left_tool`, `left_wrist`, `left_grasped`).
    position (m) and yaw (rad): of its base in the world.
    """

    task: TaskSpec
    prefix: str = ""
    position: tuple[float, float, float] = (0.0, 0.0, 0.0)
    yaw: float = 0.0

    @property
    def arm(self) -> ArmModel:
        """The arm's model."""
        return arm_model(self.task.arm)

    @property
    def base(self) -> Pose:
        """The base in the world."""
        return Pose(np.array(self.position), np.array([0.0, 0.0, sin(self.yaw / 2), cos(self.yaw / 2)]))

    def name(self, part: str) -> str:
        """A part of the arm or hand by its full name."""
        return f"{self.prefix}{self.arm.prefix}{part}"

    @classmethod
    def all_of(cls, task: TaskSpec) -> tuple[Mount, ...]:
        """Of the task's arm at the world's origin, and of its partner."""
        beside = task.partner
        second = () if beside is None else (cls(beside.task, PARTNER, beside.position, beside.yaw),)
        return (cls(task), *second)


@dataclass(frozen=True)
class Scene:
    """What the arms of a world share; see `TaskSpec` for the fields."""

    name: str
    file: Path
    edit: Callable[[mujoco.MjSpec], None] | None = None
    randomise: Randomise | None = None
    sim: Callable[[mujoco.MjModel, mujoco.MjData], Mapping[str, Array]] | None = None
    join: Callable[[mujoco.MjModel, mujoco.MjData], None] | None = None

    @classmethod
    def of(cls, task: TaskSpec) -> Scene:
        """The scene of a task with one arm."""
        return cls(task.name, task.scene, task.edit, task.randomise, task.sim, task.join)


def compose(task: TaskSpec, *, shapes: bool = True, collide: bool = False) -> mujoco.MjModel:
    """Compile the cell of `task`: `build` with its arms, the first at the world's origin."""
    return build(Scene.of(task), Mount.all_of(task), shapes=shapes, collide=collide)


def build(scene: Scene, mounts: Sequence[Mount], *, shapes: bool = True, collide: bool = False) -> mujoco.MjModel:
    """Compile a world of arms. Their joints come first; names of the scene stay as written.

    shapes: False leaves out what is only looked at, a quarter of the time of a step in free space.
    collide: the arms' links touch the scene and other arms; else only hands and what they hold do.

    Frames: site `tool` (tool point, z out of the hand), cameras `wrist` and `front` and the scene's own.
    Raises `SceneError` when a part does not load or compile, or when a frame that a task names is missing.
    """
    world, parts = _load(MODELS / "world.xml"), _load(scene.file)
    with _quiet():
        for mount in mounts:
            _mount_arm(world, mount)
        try:
            held = [mount for mount in mounts if parts.body(f"{mount.prefix}{GRASPED}") is not None]
            for mount in held:
                world.site(f"{mount.prefix}tool").attach_body(parts.body(f"{mount.prefix}{GRASPED}"), "", "")
            if held:
                parts = _without_grasped(world, scene.file, held)
            world.attach(parts, frame=world.worldbody.add_frame(), prefix="")
            for mount in mounts:
                if mount.task.gripper is None:
                    _weld_fingers(world, mount)
            if collide:
                _let_links_touch(world, mounts)
            if scene.edit is not None:
                scene.edit(world)
            world.compiler.discardvisual = not shapes
            model = world.compile()
        except (ValueError, KeyError, AttributeError) as error:
            raise SceneError(
                f"the scene of task {scene.name} ({scene.file}) does not compile: {_line(error)}"
            ) from error
    for mount in mounts:
        _check_frames(mount, model)
    return model


def _load(path: Path) -> mujoco.MjSpec:
    if not path.is_file():
        raise SceneError(f"the scene file {path} does not exist: correct `scene` of the task")
    try:
        return mujoco.MjSpec.from_file(str(path))
    except ValueError as error:
        raise SceneError(f"the scene file {path} cannot be read: {_line(error)}") from error


def _mount_arm(world: mujoco.MjSpec, mount: Mount) -> None:
    """Arm on its base, hand on its flange."""
    base, yaw = mount.base, mount.arm.hand_yaw / 2
    hand = _load(MODELS / "hand.xml")
    hand.body("hand").quat = [cos(yaw), 0.0, 0.0, sin(yaw)]
    frame = world.worldbody.add_frame(pos=base.position, quat=base.quaternion[[3, 0, 1, 2]])
    world.attach(_arm(mount.arm), frame=frame, prefix=mount.name(""))
    world.attach(hand, site=world.site(mount.name("flange")), prefix=mount.name(""))
    world.site(mount.name("tool")).name = f"{mount.prefix}tool"
    world.camera(mount.name("wrist")).name = f"{mount.prefix}wrist"


def _arm(arm: ArmModel) -> mujoco.MjSpec:
    """The arm's file, or the one that lends its shells with this arm's numbers written over."""
    spec = _load(MODELS / f"{SHELLS.get(arm.name, arm.name)}.xml")
    if arm.name in SHELLS:
        for part in chain(arm):
            if part.inertia is not None:
                body = spec.body(part.link)
                body.mass, body.ipos = part.inertia.mass, part.inertia.xyz
                body.fullinertia = _possible(part.inertia.moments)
        for name, low, high in zip(arm.joints, arm.limits.low, arm.limits.high, strict=True):
            spec.joint(name).range = [low, high]
    return spec


def _possible(moments: tuple[float, ...]) -> list[float]:
    """Moments (xx, yy, zz, xy, xz, yz) of a real body, by as much more about every axis as it takes.

    The Panda's fourth link needs it: as published, its principal moments break the triangle inequality by 0.0011 kg m2.
    """
    xx, yy, zz, xy, xz, yz = moments
    low, middle, high = np.linalg.eigvalsh([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    lack = 0.0 if low + middle >= high else (high - low - middle) * (1 + 1e-6)
    return [xx + lack, yy + lack, zz + lack, xy, xz, yz]


def _without_grasped(world: mujoco.MjSpec, path: Path, mounts: Sequence[Mount]) -> mujoco.MjSpec:
    """Read the scene again, less what the hands hold.

    Contact rules between the parts are carried over here: an attached subtree keeps only those within it.
    """
    scene = _load(path)
    for mount in mounts:
        held = scene.body(f"{mount.prefix}{GRASPED}")
        bodies = [held, *held.find_all("body")]
        names = {body.name for body in bodies}
        geoms = {geom.name for body in bodies for geom in body.geoms}
        for rule in scene.excludes:
            if (rule.bodyname1 in names) != (rule.bodyname2 in names):
                world.add_exclude(bodyname1=rule.bodyname1, bodyname2=rule.bodyname2)
        for pair in scene.pairs:
            if (pair.geomname1 in geoms) != (pair.geomname2 in geoms):
                world.add_pair(**{field: getattr(pair, field) for field in PAIR_FIELDS})
        scene.delete(held)
    # attaching what is held has brought these along already
    for mine, there in (
        (scene.materials, world.materials),
        (scene.textures, world.textures),
        (scene.numerics, world.numerics),
    ):
        taken = {element.name for element in there}
        for element in [element for element in mine if element.name in taken]:
            scene.delete(element)
    return scene


def _weld_fingers(world: mujoco.MjSpec, mount: Mount) -> None:
    """No gripper in the task: the fingers stand still, which saves two joints, a tendon and two actuators."""
    declared = [numeric.data[0] for numeric in world.numerics if numeric.name == "finger_width"]
    half = (declared[0] if declared else FINGER_WIDTH) / 2
    names = [mount.name(finger) for finger in FINGERS]
    for actuator in list(world.actuators):
        if actuator.name in names:
            world.delete(actuator)
    world.delete(world.tendon(mount.name("finger_gear")))
    for name, side in zip(names, (1, -1), strict=True):
        joint = world.joint(name)
        joint.parent.pos[1] += side * half
        world.delete(joint)


def _let_links_touch(world: mujoco.MjSpec, mounts: Sequence[Mount]) -> None:
    """A contact bit for each arm's links: they touch all that collides, but for their own arm and hand."""
    bits = {mount.name(""): 2 << i for i, mount in enumerate(mounts)}
    links = [mount.name(LINK) for mount in mounts]
    for geom in world.geoms:
        names = [geom.parent.name, *(body.name for body in _above(geom.parent))]
        own = next((bit for prefix, bit in bits.items() if any(name.startswith(prefix) for name in names)), 0)
        others = sum(bits.values()) - own
        if geom.classname.name in links:
            geom.contype, geom.conaffinity = own, others
        elif geom.contype or geom.conaffinity:
            geom.conaffinity |= others


def _above(body: mujoco.MjsBody) -> Iterator[mujoco.MjsBody]:
    while body.parent is not None:
        body = body.parent
        yield body


def _check_frames(mount: Mount, model: mujoco.MjModel) -> None:
    task, n = mount.task, len(mount.arm.joints)
    cameras = [model.camera(i).name for i in range(model.ncam)]
    for camera in task.cameras:
        if camera.name not in cameras and f"{mount.prefix}{camera.name}" not in cameras:
            raise SceneError(f"task {task.name} names the camera {camera.name!r}, but its scene has {cameras}")
    if task.home.shape != (n,):
        raise SceneError(
            f"`home` of task {task.name} has shape {task.home.shape}: give ({n},) joint angles for the {task.arm}"
        )


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


@contextmanager
def _quiet() -> Iterator[None]:
    """Attaching without a prefix is on purpose; MuJoCo's warning about it would also write a log file."""
    previous = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(lambda message: None)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Attaching a spec with an empty prefix")
            yield
    finally:
        mujoco.set_mju_user_warning(previous)
