"""Domain randomisation (Tobin et al. 2017): how a scene looks is drawn anew, in place, between pictures.

Colours, textures, lights, cameras and distractors are fields of the compiled model; a camera's own faults are put onto
its picture. Where things are is not drawn here, but in `scenes`.
"""

from __future__ import annotations

from collections.abc import Callable

import mujoco
import numpy as np

from controllers.interface import Array, Image
from controllers.twin.domain import Appearance

DISTRACTORS = 4
"""Loose shapes on the table that have no meaning."""
TEXTURE = 64
"""Height and width of a texture."""
PATTERNS = (1, 2, 4, 8, 16, 64)
"""Patches along each side of a texture: 1 and 8 make stripes, 64 grain."""
CAMERA_TURN, CAMERA_SHIFT, CAMERA_ZOOM = 0.05, 0.05, 0.05
"""Largest error of a camera's direction, rad, of its place, as part of its distance to the tool, and of its angle."""
STRANGE = 0.6
"""Part of a scene's colours that are anything, at most; each picture draws its own part."""
SHAPES = (
    mujoco.mjtGeom.mjGEOM_BOX, mujoco.mjtGeom.mjGEOM_SPHERE, mujoco.mjtGeom.mjGEOM_CYLINDER,
    mujoco.mjtGeom.mjGEOM_ELLIPSOID, mujoco.mjtGeom.mjGEOM_CAPSULE,
)  # fmt: skip
AWAY = np.array([0.0, 0.0, -9.0])
"""Where a distractor is that is not in the picture, m."""
CLEAR = 0.08
"""Distance from the tool's and the objects' places, on the table, that distractors keep, m."""


def prepare(spec: mujoco.MjSpec) -> None:
    """Add what can be varied later: a texture to each material, distractors, all white and out of sight."""
    for material in spec.materials:
        if not any(material.textures):
            texture = spec.add_texture(name=f"random_{material.name}", type=mujoco.mjtTexture.mjTEXTURE_2D)
            texture.builtin, texture.width, texture.height = mujoco.mjtBuiltin.mjBUILTIN_FLAT, TEXTURE, TEXTURE
            texture.rgb1 = texture.rgb2 = [1.0, 1.0, 1.0]
            textures = list(material.textures)
            textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = texture.name
            material.textures = textures
    for i in range(DISTRACTORS):
        body = spec.worldbody.add_body(name=f"distractor_{i}", mocap=True, pos=AWAY)
        body.add_geom(name=f"distractor_{i}", size=[0.02] * 3, contype=0, conaffinity=0, group=1, mass=0)


class Look:
    """How a prepared model looks; what it is drawn around is what the model says when this is made.

    upload: tells the renderer that a texture, by its index, has changed.
    """

    def __init__(self, model: mujoco.MjModel, upload: Callable[[int], None]) -> None:
        self._model, self._upload = model, upload
        names = [model.texture(i).name for i in range(model.ntex)]
        self._textures = [i for i, name in enumerate(names) if name.startswith("random_")]
        self._distractors = [model.geom(f"distractor_{i}").id for i in range(DISTRACTORS)]
        self._mocap = [int(model.body(f"distractor_{i}").mocapid[0]) for i in range(DISTRACTORS)]
        self._usual = {name: getattr(model, name).copy() for name in ("mat_rgba", "geom_rgba")}
        self._reach = np.minimum(np.linalg.norm(model.cam_pos, axis=1), 0.5)
        self._appearance = Appearance(model)

    def draw(self, data: mujoco.MjData, rng: np.random.Generator, near: Array, textures: int = 2) -> None:
        """Another look. near: places (n, 3) that distractors leave free, m. textures: how many change."""
        model, usual = self._model, self._usual
        strange = rng.uniform(0.0, STRANGE)
        model.mat_rgba[:] = _recolour(usual["mat_rgba"], rng, strange)
        bare = model.geom_matid < 0  # a colour of its own would hide a shape's material
        model.geom_rgba[bare] = _recolour(usual["geom_rgba"][bare], rng, strange)
        for texture in rng.choice(self._textures, min(textures, len(self._textures)), replace=False):
            self._paint(int(texture), rng)
        self._light(rng)
        self._move_cameras(rng)
        self._scatter(data, rng, near)

    def draw_textures(self, rng: np.random.Generator) -> None:
        """All textures anew, so that nothing of what was before is left."""
        for texture in self._textures:
            self._paint(texture, rng)

    def restore(self, data: mujoco.MjData) -> None:
        """As the model's file says."""
        for name, value in self._usual.items():
            getattr(self._model, name)[:] = value
        self._appearance.restore()
        for texture in self._textures:
            self._view(texture)[:] = 255
            self._upload(texture)
        data.mocap_pos[self._mocap] = AWAY

    def _view(self, texture: int) -> Image:
        start, channels = self._model.tex_adr[texture], int(self._model.tex_nchannel[texture])
        size = TEXTURE * TEXTURE * channels
        view: Image = self._model.tex_data[start : start + size].reshape(TEXTURE, TEXTURE, channels)
        return view

    def _paint(self, texture: int, rng: np.random.Generator) -> None:
        """Patches of different lightness and tint; half of the textures are plain."""
        rows, columns = rng.choice(PATTERNS, 2)
        contrast = rng.uniform(0.1, 0.8) * (rng.random() < 0.5)
        patches = 255 * (1 - contrast * rng.random((rows, columns, 1)) - 0.15 * rng.random((rows, columns, 3)))
        if contrast == 0.0:
            patches[:] = 255
        tile = np.clip(patches, 0, 255).astype(np.uint8)
        self._view(texture)[..., :3] = tile.repeat(TEXTURE // rows, axis=0).repeat(TEXTURE // columns, axis=1)
        self._upload(texture)

    def _light(self, rng: np.random.Generator) -> None:
        model, head = self._model, self._model.vis.headlight
        for i in range(model.nlight):
            turn = rng.uniform(0, 2 * np.pi)
            slant = rng.uniform(0.0, 1.2)
            model.light_dir[i] = np.array([np.cos(turn) * np.sin(slant), np.sin(turn) * np.sin(slant), -np.cos(slant)])
            tint = 1 + rng.uniform(-0.15, 0.15, 3)
            model.light_diffuse[i] = rng.uniform(0.1, 0.7) * tint
            model.light_specular[i] = rng.uniform(0.0, 0.5)
        head.ambient[:] = rng.uniform(0.25, 0.6) * (1 + rng.uniform(-0.1, 0.1, 3))
        head.diffuse[:] = rng.uniform(0.1, 0.45)

    def _move_cameras(self, rng: np.random.Generator) -> None:
        for i in range(self._model.ncam):
            shift = rng.uniform(-1, 1, 3) * CAMERA_SHIFT * self._reach[i]
            turn = rng.uniform(-1, 1, 3) * CAMERA_TURN
            self._appearance.move_camera(i, shift, turn, zoom=1 + rng.uniform(-1, 1) * CAMERA_ZOOM)

    def _scatter(self, data: mujoco.MjData, rng: np.random.Generator, near: Array) -> None:
        """Some shapes on the table, not where the task takes place."""
        model, count = self._model, rng.integers(0, DISTRACTORS + 1)
        for i, (geom, mocap) in enumerate(zip(self._distractors, self._mocap, strict=True)):
            size = rng.uniform(0.008, 0.045, 3)
            place = np.array([*rng.uniform((0.3, -0.35), (0.8, 0.35)), size[2]])
            crowded = np.linalg.norm(near[:, :2] - place[:2], axis=1).min() < CLEAR
            data.mocap_pos[mocap] = AWAY if i >= count or crowded else place
            yaw = rng.uniform(-np.pi, np.pi) / 2
            data.mocap_quat[mocap] = np.cos(yaw), 0.0, 0.0, np.sin(yaw)
            model.geom_type[geom], model.geom_size[geom] = rng.choice(SHAPES), size
            model.geom_rgba[geom] = [*rng.random(3), 1.0]


def _recolour(usual: Array, rng: np.random.Generator, strange: float) -> Array:
    """Colours (n, 4): a part `strange` of them anything, the others near the usual ones; what is clear stays so."""
    n = len(usual)
    anything = rng.random((n, 1)) < strange
    beside = usual[:, :3] * rng.uniform(0.75, 1.25, (n, 1)) + rng.uniform(-0.06, 0.06, (n, 3))
    colours = np.where(anything, rng.random((n, 3)) ** 0.7, beside)
    return np.concatenate([np.clip(colours, 0.02, 1.0), usual[:, 3:]], axis=1)


def expose(image: Image, rng: np.random.Generator) -> Image:
    """A camera's own faults: gain, offset, white balance, now and then a blur, noise. Picture (h, w, 3) uint8."""
    gain = rng.uniform(0.75, 1.25) * (1 + rng.uniform(-0.06, 0.06, 3))
    picture = image.astype(np.float32) * gain.astype(np.float32) + np.float32(rng.uniform(-15, 15))
    if rng.random() < 0.2:
        picture[1:] = (picture[1:] + picture[:-1]) / 2
        picture[:, 1:] = (picture[:, 1:] + picture[:, :-1]) / 2
    noise = rng.integers(-128, 128, image.shape, dtype=np.int8)
    picture += noise * np.float32(rng.uniform(0.0, 0.1))
    return np.clip(picture, 0, 255).astype(np.uint8)
