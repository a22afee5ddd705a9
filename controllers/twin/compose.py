"""A task's scene put together: world, arm, hand and the task's own bodies, by editing models, not text."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mujoco

from controllers.exceptions import SceneError
from tasks.spec import TaskSpec

MODELS = Path(__file__).with_name("models")
PREFIX = "fr3_"
"""Before every name of the arm and hand (`fr3_joint1`), as Franka's own ROS packages have it."""
JOINTS = tuple(f"{PREFIX}joint{i}" for i in range(1, 8))
FINGERS = (f"{PREFIX}finger_joint1", f"{PREFIX}finger_joint2")
GRASPED = "grasped"
FINGER_WIDTH = 0.02
"""Opening of the hand, m, in a scene without a gripper; `<numeric name="finger_width">` of the scene replaces it."""


def compose(task: TaskSpec, *, shapes: bool = True) -> mujoco.MjModel:
    """Compile the cell of `task`. The arm's joints come first; names of the task's scene stay as written.

    shapes: False leaves out what is only looked at, a quarter of the time of a step in free space.

    Frames: site `tool` (tool point, z out of the hand), cameras `wrist` and `front` and the scene's own.
    Raises `SceneError` when a part does not load or compile, or when a frame that the task names is missing.
    """
    world, scene = _load(MODELS / "world.xml"), _load(task.scene)
    with _quiet():
        _mount_arm(world)
        try:
            if scene.body(GRASPED) is not None:
                world.site("tool").attach_body(scene.body(GRASPED), "", "")
                scene = _without_grasped(world, task.scene)
            world.attach(scene, frame=world.worldbody.add_frame(), prefix="")
            if task.gripper is None:
                _weld_fingers(world)
            if task.edit is not None:
                task.edit(world)
            world.compiler.discardvisual = not shapes
            model = world.compile()
        except (ValueError, KeyError, AttributeError) as error:
            raise SceneError(
                f"the scene of task {task.name} ({task.scene}) does not compile: {_line(error)}"
            ) from error
    _check_frames(task, model)
    return model


def _load(path: Path) -> mujoco.MjSpec:
    if not path.is_file():
        raise SceneError(f"the scene file {path} does not exist: correct `scene` of the task")
    try:
        return mujoco.MjSpec.from_file(str(path))
    except ValueError as error:
        raise SceneError(f"the scene file {path} cannot be read: {_line(error)}") from error


def _mount_arm(world: mujoco.MjSpec) -> None:
    """Arm on the world's origin, hand on its flange."""
    arm, hand = _load(MODELS / "fr3.xml"), _load(MODELS / "hand.xml")
    world.attach(arm, frame=world.worldbody.add_frame(), prefix=PREFIX)
    world.attach(hand, site=world.site(f"{PREFIX}flange"), prefix=PREFIX)
    world.site(f"{PREFIX}tool").name = "tool"
    world.camera(f"{PREFIX}wrist").name = "wrist"


def _without_grasped(world: mujoco.MjSpec, path: Path) -> mujoco.MjSpec:
    """Read the scene again, less what the hand holds.

    Contact rules between the two parts are carried over here: an attached subtree keeps only those within it.
    """
    scene = _load(path)
    held = {body.name for body in [scene.body(GRASPED), *scene.body(GRASPED).find_all("body")]}
    crossing = [
        (rule.bodyname1, rule.bodyname2)
        for rule in scene.excludes
        if (rule.bodyname1 in held) != (rule.bodyname2 in held)
    ]
    for first, second in crossing:
        world.add_exclude(bodyname1=first, bodyname2=second)
    scene.delete(scene.body(GRASPED))
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


def _weld_fingers(world: mujoco.MjSpec) -> None:
    """No gripper in the task: the fingers stand still, which saves two joints, a tendon and two actuators."""
    declared = [numeric.data[0] for numeric in world.numerics if numeric.name == "finger_width"]
    half = (declared[0] if declared else FINGER_WIDTH) / 2
    for actuator in list(world.actuators):
        if actuator.name in FINGERS:
            world.delete(actuator)
    world.delete(world.tendon(f"{PREFIX}finger_gear"))
    for name, side in zip(FINGERS, (1, -1), strict=True):
        joint = world.joint(name)
        joint.parent.pos[1] += side * half
        world.delete(joint)


def _check_frames(task: TaskSpec, model: mujoco.MjModel) -> None:
    cameras = [model.camera(i).name for i in range(model.ncam)]
    for camera in task.cameras:
        if camera.name not in cameras:
            raise SceneError(f"task {task.name} names the camera {camera.name!r}, but its scene has {cameras}")
    if task.home.shape != (len(JOINTS),):
        raise SceneError(f"`home` of task {task.name} has shape {task.home.shape}: give ({len(JOINTS)},) joint angles")


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
