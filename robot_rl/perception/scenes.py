"""Pictures of the tasks in the twin with the truth about them: where tool and objects are, as each camera sees them.

Nothing is simulated: arm, hand and objects are put into places that a run of the task may come by, and beyond. Frames
of cameras here have x to the right, y down and z ahead of the lens, as ROS's optical frames.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace

import mujoco
import numpy as np
from numpy.typing import NDArray

from controllers import spatial
from controllers.exceptions import ControllersError, SceneError
from controllers.interface import Array, Image, Pose
from controllers.kinematics import Kinematics
from controllers.twin.compose import FINGERS, GRASPED, Mount, compose
from controllers.twin.render import Renderer
from controllers.twin.world import place_of
from robot_rl.perception.crops import shift
from robot_rl.perception.randomise import Look, expose, prepare
from tasks.place import inverse, multiply
from tasks.spec import TaskSpec

Floats = NDArray[np.floating]

SIZE = 128
"""Height and width of the pictures."""
POSES = 96
"""Poses of the tool that the arm is brought to by inverse kinematics; the pictures' own are around them."""
ARM = 0.03
"""Length of a landmark's axes, m."""
SHIFT = 7
"""Largest shift of a picture, pixels, 6 % of it: somewhat more than `crops` shifts one by when a policy learns."""
DEEPEST = 0.0015
"""Depth in m to which things may stand in one another."""
TRIES = 20
MISSES = 500
"""Places out of the arm's reach, as the corners of a box may be, after which a task is given up."""
HELD = 0.35
"""Part of the pictures of a task with a gripper in which it holds the object."""


@dataclass(frozen=True)
class Landmark:
    """Something whose pose is asked for: a site of the model, or a body where an object has no named site."""

    name: str
    site: bool
    index: int

    def pose(self, data: mujoco.MjData) -> tuple[Array, Array]:
        """Position (3,), m, and rotation matrix (3, 3) in the world."""
        if self.site:
            return data.site_xpos[self.index], data.site_xmat[self.index].reshape(3, 3)
        return data.xpos[self.index], data.xmat[self.index].reshape(3, 3)


@dataclass
class Frames:
    """n pictures and what is true of them, for l landmarks.

    images: (n, h, w, 3) uint8. points: (n, l, 3, 3), origin and tips of the x and y axes (`ARM` long) in the camera's
    frame, m. pixels: (n, l, 3, 2), the same points' columns and rows, -1 to 1. offsets: (n, l, 3), origin in the
    tool's frame, m. seen: (n, l), whether the origin is within the picture. grasped: (n,), 1 or 0, or NaN without a
    gripper. camera: (n,), its index among the cameras.
    """

    images: Image
    points: Floats
    pixels: Floats
    offsets: Floats
    seen: NDArray[np.bool_]
    grasped: Floats
    camera: NDArray[np.int64]

    @classmethod
    def join(cls, parts: Sequence[Frames]) -> Frames:
        """All of them in one."""
        return cls(*(np.concatenate([getattr(part, item.name) for part in parts]) for item in fields(cls)))

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class Stance:
    """Joint angles near which to look (n,), and how they move the tool: (n, 6). near: by the task's goal."""

    q: Floats
    inverse: Floats
    near: bool


class Studio:
    """One task's scene, ready to be photographed. seed: of the arm's stances.

    Raises `SceneError` and `RenderingError` of the twin.
    """

    def __init__(self, task: TaskSpec, seed: int) -> None:
        own = mujoco.MjSpec.from_file(str(task.scene)).worldbody.bodies
        self._tops = [body.name for body in own if body.name != GRASPED]
        self.task = task
        self.model = compose(replace(task, edit=self._edit))
        self.model.opt.enableflags &= ~int(mujoco.mjtEnableBit.mjENBL_SLEEP)
        self.data = mujoco.MjData(self.model)
        self._loose = [name for name in self._tops if self.model.body(name).mocapid[0] < 0]
        self.landmarks = self._find_landmarks([body.name for body in own])
        self.cameras = [camera.name for camera in task.cameras]
        self._renderer = Renderer(self.model)
        self._look = Look(self.model, self._renderer.upload)
        arm, *beside = Mount.all_of(task)
        self._arm = self._places(arm)
        self._beside = [(self._places(mount), mount.task.home) for mount in beside]
        fingers = [arm.name(finger) for finger in FINGERS] if task.gripper else []
        self._fingers = [int(self.model.joint(name).qposadr[0]) for name in fingers]
        moving = self._arm + self._fingers
        small = self.model.jnt_type >= int(mujoco.mjtJoint.mjJNT_SLIDE)
        self._give = [i for i in np.flatnonzero(small) if self.model.jnt_qposadr[i] not in moving]
        self._stances = _stances(task, np.random.default_rng([seed, 1]))

    def _places(self, mount: Mount) -> list[int]:
        """Indices of the arm's joints in `qpos`."""
        return [int(self.model.joint(name).qposadr[0]) for name in mount.arm.joint_names(mount.prefix)]

    def fresh(self, rng: np.random.Generator) -> None:
        """Forget what was drawn before: the pictures that follow depend on what is drawn from now on only."""
        self._look.draw_textures(rng)

    def shoot(self, rng: np.random.Generator, *, plain: bool = False) -> Frames:
        """A picture by each camera of the task. plain: in the task's own looks and draws, not randomised."""
        held = self._pose(rng, plain)
        if plain:
            self._look.restore(self.data)
        else:
            near = np.array([mark.pose(self.data)[0] for mark in self.landmarks])
            self._look.draw(self.data, rng, near)
        mujoco.mj_fwdPosition(self.model, self.data)
        return Frames.join([self._picture(i, rng, held, plain) for i in range(len(self.cameras))])

    def close(self) -> None:
        """Free the renderer."""
        self._renderer.close()

    def _edit(self, spec: mujoco.MjSpec) -> None:
        """The task's own edit; every object can be put elsewhere; what can be varied."""
        if self.task.edit is not None:
            self.task.edit(spec)
        for name in self._tops:
            if not spec.body(name).joints:
                spec.body(name).mocap = True
        prepare(spec)

    def _find_landmarks(self, tops: Sequence[str]) -> list[Landmark]:
        """The tool, and of each object its named sites, or itself."""
        model, found = self.model, [Landmark("tool", True, self.model.site("tool").id)]
        for top in tops:
            body = model.body(top).id
            within = [i for i in range(model.nsite) if _is_in(model, int(model.site_bodyid[i]), body)]
            named = [i for i in within if model.site(i).name]
            found += [Landmark(model.site(i).name, True, i) for i in named] or [Landmark(top, False, body)]
        return found

    def _pose(self, rng: np.random.Generator, plain: bool) -> bool:
        """Draw where everything is, until nothing stands in anything else; whether the gripper holds the object."""
        held = bool(self._fingers and self._loose) and rng.random() < HELD
        for _ in range(TRIES):
            self._draw(rng, plain, held)
            mujoco.mj_fwdPosition(self.model, self.data)
            if not self.data.ncon or self.data.contact.dist.min() > -DEEPEST:
                break
        return held

    def _draw(self, rng: np.random.Generator, plain: bool, held: bool) -> None:
        model, data, task = self.model, self.data, self.task
        mujoco.mj_resetData(model, data)
        for places, home in self._beside:
            data.qpos[places] = home
        task.randomise(model, data, rng)
        stance = self._stances[rng.integers(len(self._stances))]
        if not (plain or stance.near):
            for name in self._tops:
                self._displace(name, rng)
        for joint in self._give:
            most = 0.001 if model.jnt_type[joint] == int(mujoco.mjtJoint.mjJNT_SLIDE) else 0.03
            data.qpos[model.jnt_qposadr[joint]] += 0.0 if plain else rng.uniform(-most, most)
        reach = np.array([0.006, 0.006, 0.006, 0.02, 0.02, 0.1] if stance.near else [0.02, 0.02, 0.02, 0.08, 0.08, 0.2])
        move = rng.uniform(-1, 1, 6) * reach
        if stance.near and self._tops:
            position, nominal = self._place(self._tops[0])[0], model.body(self._tops[0]).pos
            move[:3] += position - nominal
        data.qpos[self._arm] = stance.q + stance.inverse @ move
        if task.join is not None:
            task.join(model, data)
        if held:
            self._hold(rng)
        elif task.gripper is not None:
            travel = task.gripper.open - task.gripper.closed
            data.qpos[self._fingers] = (task.gripper.open - travel * max(0.0, rng.uniform(-1, 1))) / 2

    def _place(self, name: str) -> tuple[Array, Array]:
        return place_of(self.model, self.data, name)

    def _displace(self, name: str, rng: np.random.Generator) -> None:
        """Somewhere else on the table, or in the air what hangs there, turned about the vertical."""
        position, quaternion = self._place(name)
        fixed = self.model.body(name).mocapid[0] >= 0
        position += rng.uniform(-1, 1, 3) * [0.04, 0.04, 0.01 * fixed]
        pose = Pose(position, quaternion[[1, 2, 3, 0]])
        turned = spatial.multiply(spatial.exp(np.array([0.0, 0.0, rng.uniform(-0.35, 0.35)])), pose.quaternion)
        quaternion[:] = turned[[3, 0, 1, 2]]

    def _hold(self, rng: np.random.Generator) -> None:
        """Put an object between the fingers as it is at the task's anchor, and close them on it."""
        model, data = self.model, self.data
        mujoco.mj_kinematics(model, data)
        position, rotation = self.landmarks[0].pose(data)
        quaternion = np.empty(4)
        mujoco.mju_mat2Quat(quaternion, rotation.flatten())
        body = model.body(self._loose[0])
        usual = multiply(inverse(self.task.anchor), Pose(body.pos, body.quat[[1, 2, 3, 0]]))
        usual = Pose(usual.position + rng.uniform(-1, 1, 3) * [0.008, 0.0005, 0.008], usual.quaternion)
        there = multiply(Pose(position, quaternion[[1, 2, 3, 0]]), usual)
        place, turn = self._place(self._loose[0])
        place[:], turn[:] = there.position, there.quaternion[[3, 0, 1, 2]]
        data.qpos[self._fingers] = model.geom_aabb[body.geomadr[0], 4]

    def _picture(self, index: int, rng: np.random.Generator, held: bool, plain: bool) -> Frames:
        name = self.cameras[index]
        image = self._renderer.render(self.data, name, SIZE, SIZE)
        right, down = (0, 0) if plain else rng.integers(-SHIFT, SHIFT + 1, 2)
        if not plain:
            image = expose(shift(image, right, down), rng)
        points = np.array([_seen_by(self.model, self.data, name, mark) for mark in self.landmarks])
        focal = 1 / np.tan(np.radians(float(self.model.camera(name).fovy[0])) / 2)
        pixels = focal * points[..., :2] / np.maximum(points[..., 2:], 1e-3) + np.array([right, down]) * (2 / SIZE)
        seen = (np.abs(pixels[:, 0]) < 1).all(axis=1) & (points[:, 0, 2] > 0.01)
        tool, turn = self.landmarks[0].pose(self.data)
        offsets = np.array([(mark.pose(self.data)[0] - tool) @ turn for mark in self.landmarks])
        grasped = float(held) if self._fingers else np.nan
        points, pixels, offsets = (array.astype(np.float32)[None] for array in (points, pixels, offsets))
        return Frames(
            image[None], points, pixels, offsets, seen[None], np.array([grasped], np.float32), np.array([index])
        )


class Crew:
    """A studio for each of several tasks; their landmarks and cameras in one common order."""

    def __init__(self, tasks: Sequence[TaskSpec], seed: int) -> None:
        self._seed = seed
        self.studios = [Studio(task, seed) for task in tasks]
        self.landmarks = list(dict.fromkeys(mark.name for studio in self.studios for mark in studio.landmarks))
        self.cameras = list(dict.fromkeys(name for studio in self.studios for name in studio.cameras))

    def batch(self, index: int, size: int) -> Frames:
        """`size` randomised pictures of all tasks in turn: the same for a seed and index, whatever was before."""
        rng = np.random.default_rng([self._seed, 2, index])
        for studio in self.studios:
            studio.fresh(rng)
        return self._take(rng, index, size, plain=False)

    def plain(self, studio: int, size: int) -> Frames:
        """`size` pictures of one task in its own looks and draws."""
        rng = np.random.default_rng([self._seed, 3, studio])
        return _first(Frames.join(list(self._shots(rng, studio, size, plain=True))), size)

    def close(self) -> None:
        """Free the renderers."""
        for studio in self.studios:
            studio.close()

    def _take(self, rng: np.random.Generator, start: int, size: int, *, plain: bool) -> Frames:
        shots: list[Frames] = []
        while sum(map(len, shots)) < size:
            studio = (start + len(shots)) % len(self.studios)
            shots.append(next(self._shots(rng, studio, 1, plain=plain)))
        return _first(Frames.join(shots), size)

    def _shots(self, rng: np.random.Generator, studio: int, size: int, *, plain: bool) -> Iterator[Frames]:
        """Shots of a studio in the common order of landmarks and cameras, until there are `size` pictures."""
        there, count = self.studios[studio], 0
        places = [self.landmarks.index(mark.name) for mark in there.landmarks]
        cameras = np.array([self.cameras.index(name) for name in there.cameras])
        while count < size:
            shot = there.shoot(rng, plain=plain)
            wide = {}
            for name in ("points", "pixels", "offsets", "seen"):
                own = getattr(shot, name)
                wide[name] = np.zeros((len(shot), len(self.landmarks), *own.shape[2:]), own.dtype)
                wide[name][:, places] = own
            count += len(shot)
            yield replace(shot, **wide, camera=cameras[shot.camera])


def _first(frames: Frames, size: int) -> Frames:
    return Frames(*(getattr(frames, item.name)[:size] for item in fields(Frames)))


def _stances(task: TaskSpec, rng: np.random.Generator) -> list[Stance]:
    """Half of them in the workspace, half above the task's anchor. Raises `SceneError` out of the arm's reach."""
    kinematics, box = Kinematics(Mount(task).arm), task.workspace
    found: list[Stance] = []
    missed = 0
    while len(found) < POSES:
        if missed > MISSES:
            raise SceneError(
                f"the {task.arm} hardly reaches {'the anchor' if len(found) % 2 else 'the workspace'} of {task.name} "
                f"(not at {missed} places): move the task to where the arm gets, or make the workspace smaller"
            )
        near = len(found) % 2 == 1
        if near:
            back = rng.uniform(0.0, 0.1)
            place = multiply(task.anchor, Pose(np.array([0.0, 0.0, -back]), _yaw(0.0))).position
        else:
            place = rng.uniform(box.low, box.high)
        turn = rng.uniform(-1, 1) * min(box.yaw, 0.6)
        goal = Pose(place, spatial.multiply(task.start.quaternion, _yaw(turn)))
        try:
            q = kinematics.solve(goal, seeds=1)
        except ControllersError:
            missed += 1  # the box may have corners that the arm does not reach
            continue
        found.append(Stance(q, np.linalg.pinv(kinematics.jacobian(q)), near))
    return found


def _yaw(angle: float) -> Array:
    return spatial.exp(np.array([0.0, 0.0, angle]))


def _is_in(model: mujoco.MjModel, body: int, top: int) -> bool:
    while body not in (0, top):
        body = int(model.body_parentid[body])
    return body == top


def _seen_by(model: mujoco.MjModel, data: mujoco.MjData, camera: str, mark: Landmark) -> Array:
    """Origin and tips of the x and y axes, (3, 3), in the camera's frame, m."""
    position, rotation = mark.pose(data)
    points = np.array([position, position + ARM * rotation[:, 0], position + ARM * rotation[:, 1]])
    eye = data.camera(camera)
    return (points - eye.xpos) @ eye.xmat.reshape(3, 3) * [1.0, -1.0, -1.0]
