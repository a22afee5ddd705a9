"""Carries out what `tasks.domain` draws: in the physics of a scene, and in how it looks.

Every value is set from what the model said when it was compiled, so that no draw is left in the next one.
"""

from __future__ import annotations

from collections.abc import Sequence

import mujoco
import numpy as np

from controllers import spatial
from controllers.interface import Array
from tasks.domain import Drawn

_CONTACTS = ("geom_friction", "pair_friction", "geom_solref", "pair_solref")
_JOINTS = ("dof_damping", "dof_frictionloss")
_MASSES = ("body_mass", "body_inertia")
_LIGHTS = ("light_ambient", "light_diffuse", "light_specular")
_CAMERAS = ("cam_pos", "cam_quat", "cam_fovy")
_HEADLIGHT = ("ambient", "diffuse", "specular")


class Physics:
    """Contacts, masses and joints of a world. arms: what the names of bodies that are no scene's begin with.

    A contact is between two surfaces, and MuJoCo takes the one or the larger: so all surfaces get the same factor.
    """

    def __init__(self, model: mujoco.MjModel, arms: Sequence[str]) -> None:
        self._model = model
        self._usual = {name: getattr(model, name).copy() for name in (*_CONTACTS, *_JOINTS, *_MASSES)}
        names = [model.body(i).name for i in range(model.nbody)]
        self.own = [i for i, name in enumerate(names) if i and not name.startswith(tuple(arms))]
        self.held = [i for i in self.own if model.body_rootid[i] not in self.own]
        self._dofs = np.flatnonzero(np.isin(model.dof_bodyid, self.own))
        self._scratch: mujoco.MjData | None = None
        self._mass = 1.0

    def apply(self, drawn: Drawn, data: mujoco.MjData) -> None:
        """Make the model of `data` as `drawn` says; what is derived of the state must be brought up to date after."""
        model, usual = self._model, self._usual
        for name in ("geom_friction", "pair_friction"):
            getattr(model, name)[:] = usual[name] * drawn.friction
        for name in ("geom_solref", "pair_solref"):
            getattr(model, name)[:] = _softened(usual[name], drawn.contact)
        for name in _JOINTS:
            getattr(model, name)[self._dofs] = usual[name][self._dofs] * drawn.joints
        self._set_mass(drawn.mass)
        # the payload that the arm knows of is the usual one: it does not hold the difference up
        more = (drawn.mass - 1.0) * usual["body_mass"][self.held] * (1.0 - model.body_gravcomp[self.held])
        data.xfrc_applied[self.held, :3] = more[:, None] * model.opt.gravity

    def _set_mass(self, factor: float) -> None:
        """Masses, and the constants that MuJoCo derives from them."""
        if factor == self._mass:
            return
        model, self._mass = self._model, factor
        for name in _MASSES:
            getattr(model, name)[self.own] = self._usual[name][self.own] * factor
        self._scratch = self._scratch or mujoco.MjData(model)
        mujoco.mj_setConst(model, self._scratch)


class Appearance:
    """Lights and cameras of a model that is rendered."""

    def __init__(self, model: mujoco.MjModel) -> None:
        self._model = model
        self._usual = {name: getattr(model, name).copy() for name in ("light_dir", *_LIGHTS, *_CAMERAS)}
        self._headlight = {name: getattr(model.vis.headlight, name).copy() for name in _HEADLIGHT}

    def restore(self) -> None:
        """As the model's file says."""
        for name, value in self._usual.items():
            getattr(self._model, name)[:] = value
        for name, value in self._headlight.items():
            getattr(self._model.vis.headlight, name)[:] = value

    def apply(self, drawn: Drawn) -> None:
        """As `drawn` says."""
        self.restore()
        model = self._model
        turn = spatial.exp(drawn.light_turn)
        for i in range(model.nlight):
            model.light_dir[i] = spatial.rotate(turn, self._usual["light_dir"][i])
        for name in _LIGHTS:
            getattr(model, name)[:] *= drawn.brightness
        for name in _HEADLIGHT:
            getattr(model.vis.headlight, name)[:] *= drawn.brightness
        for name, (shift, turn) in drawn.cameras.items():
            self.move_camera(model.camera(name).id, shift, turn)

    def move_camera(self, index: int, shift: Array, turn: Array, zoom: float = 1.0) -> None:
        """From its file's place by `shift` (3,), m, in its body's axes; turned by a rotation vector in its own, rad.

        zoom: factor of its angle of view.
        """
        model, usual = self._model, self._usual
        model.cam_pos[index] = usual["cam_pos"][index] + shift
        w, x, y, z = usual["cam_quat"][index]
        x, y, z, w = spatial.multiply(np.array([x, y, z, w]), spatial.exp(turn))
        model.cam_quat[index] = w, x, y, z
        model.cam_fovy[index] = usual["cam_fovy"][index] * zoom


def _softened(solref: Array, factor: float) -> Array:
    """Contacts (n, 2) of a time constant `factor` times as long. Below 0 they are stiffness and damping."""
    direct = solref[:, :1] <= 0
    scale = np.where(direct, [1 / factor**2, 1 / factor], [factor, 1.0])
    softened: Array = solref * scale
    return softened
