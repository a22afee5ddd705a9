"""Off-screen pictures of a MuJoCo scene. Nothing here touches OpenGL before the first picture is asked for."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Any

import mujoco
import numpy as np

from controllers.exceptions import RenderingError
from controllers.interface import Image

# Mesa's software renderer without helper threads: faster for small pictures, and the learner needs the other core.
os.environ.setdefault("LP_NUM_THREADS", "0")

MEND = "apt-get install libegl1 libgl1-mesa-dri"
PRETTY = {"numslices": 48, "numstacks": 24, "numquads": 4, "offsamples": 8, "shadowsize": 4096}
"""Quality of pictures for people; policies see what the model says."""


class Renderer:
    """Renders cameras of one model, of any size up to the model's off-screen buffer, in the thread that made it.

    pretty: smooth shapes, shadows and antialiasing, for videos; slower by an order of magnitude.
    Raises `RenderingError` where the machine has no EGL, for an unknown camera, or for too large a picture.
    """

    def __init__(self, model: mujoco.MjModel, *, pretty: bool = False) -> None:
        self._model = model
        quality = model.vis.quality
        usual = {name: getattr(quality, name) for name in PRETTY}
        self._gl = _context(model)
        self._gl.make_current()
        for name, value in (PRETTY if pretty else usual).items():
            setattr(quality, name, value)
        try:
            self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        except mujoco.FatalError as error:
            raise RenderingError(f"off-screen rendering failed ({error}): {MEND}") from error
        finally:
            for name, value in usual.items():
                setattr(quality, name, value)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._scene = mujoco.MjvScene(model, maxgeom=model.ngeom + 50)
        for flag in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION):
            self._scene.flags[flag] = pretty
        self._option = mujoco.MjvOption()
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED

    def render(self, data: mujoco.MjData, camera: str | mujoco.MjvCamera, width: int, height: int) -> Image:
        """Picture (height, width, 3) uint8 of the scene at `data`, whose kinematics are up to date."""
        buffer = self._model.vis.global_
        if width > buffer.offwidth or height > buffer.offheight:
            raise RenderingError(
                f"a picture of {width} x {height} is larger than {buffer.offwidth} x {buffer.offheight}: ask for less"
            )
        self._gl.make_current()
        view = self._view(camera) if isinstance(camera, str) else camera
        category = mujoco.mjtCatBit.mjCAT_ALL
        mujoco.mjv_updateScene(self._model, data, self._option, None, view, category, self._scene)
        area = mujoco.MjrRect(0, 0, width, height)
        mujoco.mjr_render(area, self._scene, self._context)
        image = np.empty((height, width, 3), dtype=np.uint8)
        mujoco.mjr_readPixels(image, None, area, self._context)
        return np.ascontiguousarray(image[::-1])

    def _view(self, name: str) -> mujoco.MjvCamera:
        index = mujoco.mj_name2id(self._model, mujoco.mjtObj.mjOBJ_CAMERA, name)
        if index < 0:
            known = [self._model.camera(i).name for i in range(self._model.ncam)]
            raise RenderingError(f"the scene has no camera {name!r}: choose one of {', '.join(known)}")
        self._camera.fixedcamid = index
        return self._camera

    def upload(self, texture: int) -> None:
        """Bring the model's present data of a texture, by its index, to the pictures that follow."""
        self._gl.make_current()
        mujoco.mjr_uploadTexture(self._model, self._context, texture)

    def close(self) -> None:
        """Free the OpenGL context."""
        self._gl.make_current()
        self._context.free()
        self._gl.free()

    def __enter__(self) -> Renderer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Stage:
    """A scene with all its shapes, posed like a simulation of the same scene that leaves some out.

    Pictures come from `Renderer`s, each made when first needed; see there for what is raised.
    """

    def __init__(self, model: mujoco.MjModel) -> None:
        model.opt.enableflags &= ~int(mujoco.mjtEnableBit.mjENBL_SLEEP)  # else fixed cameras and lights stay for ever
        self._model, self._data = model, mujoco.MjData(model)
        self._renderers: dict[bool, Renderer] = {}

    def render(self, data: mujoco.MjData, camera: str, width: int, height: int, *, pretty: bool = False) -> Image:
        """Picture (height, width, 3) uint8 of the state in `data`."""
        if pretty not in self._renderers:
            self._renderers[pretty] = Renderer(self._model, pretty=pretty)
        self._data.qpos[:] = data.qpos
        self._data.mocap_pos[:] = data.mocap_pos
        self._data.mocap_quat[:] = data.mocap_quat
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_comPos(self._model, self._data)
        mujoco.mj_camlight(self._model, self._data)
        return self._renderers[pretty].render(self._data, camera, width, height)

    def close(self) -> None:
        """Free the renderers."""
        for renderer in self._renderers.values():
            renderer.close()
        self._renderers.clear()


def _context(model: mujoco.MjModel) -> Any:
    """An OpenGL context: EGL, imported only now, unless the user's `MUJOCO_GL` names another kind."""
    kind = os.environ.get("MUJOCO_GL", "egl").lower()
    try:
        if kind == "egl":
            from mujoco.egl import GLContext
        else:
            from mujoco import GLContext
        return GLContext(int(model.vis.global_.offwidth), int(model.vis.global_.offheight))
    except (ImportError, RuntimeError, AttributeError, OSError) as error:
        raise RenderingError(f"no off-screen rendering with MUJOCO_GL={kind} ({error}): {MEND}") from error
