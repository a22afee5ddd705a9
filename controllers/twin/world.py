"""A simulated world: arms at their mounts and one scene, with nothing that controls them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import mujoco
import numpy as np

from controllers.exceptions import SceneError
from controllers.interface import Array, Image
from controllers.twin import loop
from controllers.twin.arm import TwinArm
from controllers.twin.compose import Mount, Scene, build
from controllers.twin.domain import Appearance, Physics
from controllers.twin.render import Stage
from tasks.domain import NOMINAL, Domain, Drawn
from tasks.spec import CameraSpec

_STATE = mujoco.mjtState
STATE = (
    _STATE.mjSTATE_TIME | _STATE.mjSTATE_PHYSICS | _STATE.mjSTATE_WARMSTART | _STATE.mjSTATE_CTRL
    | _STATE.mjSTATE_MOCAP_POS | _STATE.mjSTATE_MOCAP_QUAT
)  # fmt: skip
"""What `World.state_vector` holds: time, positions, velocities, the solver's warm start, finger targets, mocap."""


@contextmanager
def _naming(scene: Scene) -> Iterator[None]:
    """A name that a task's own functions ask for and its scene lacks is told in a sentence. Raises `SceneError`."""
    try:
        yield
    except KeyError as error:
        said = " ".join(str(error.args[0]).split())
        what = f"task {scene.name} asks its scene {scene.file} for what it lacks ({said})"
        raise SceneError(f"{what}: add it there, or correct the task") from error


class World:
    """MuJoCo's model and data of a scene and its arms; one clock, which only subclasses advance.

    randomise: False leaves the scene as its file has it. collide: see `compose.build`. domain: what each draw of the
    scene changes besides poses; None: nothing. drawn: its present values.
    Raises `SceneError`; `RenderingError` at the first picture.
    """

    def __init__(
        self,
        scene: Scene,
        mounts: Sequence[Mount],
        *,
        randomise: bool = True,
        collide: bool = False,
        domain: Domain | None = None,
    ) -> None:
        self.scene, self.mounts, self.randomise = scene, tuple(mounts), randomise
        self.domain, self.drawn, self._seed = domain, NOMINAL, -1
        self.model = build(scene, mounts, shapes=False, collide=collide)
        self.data = mujoco.MjData(self.model)
        self.arms = tuple(TwinArm(self.model, self.data, mount) for mount in mounts)
        self._loose = np.setdiff1d(np.arange(self.model.nq), [i for arm in self.arms for i in arm.places])
        self._loose_dofs = np.setdiff1d(np.arange(self.model.nv), [i for arm in self.arms for i in arm.dofs])
        self._physics = Physics(self.model, [mount.name("") for mount in mounts])
        self._stage: Stage | None = None
        self._appearance: Appearance | None = None
        self.teleport_home()

    @property
    def time(self) -> float:
        """Simulated time, s."""
        return float(self.data.time)

    def sim(self) -> Mapping[str, Array]:
        """The scene's own values of `sim/*`."""
        if self.scene.sim is None:
            return {}
        with _naming(self.scene):
            return self.scene.sim(self.model, self.data)

    def render(self, camera: CameraSpec, *, pretty: bool = False) -> Image:
        """Picture (height, width, 3) uint8 of the present state; pretty: with shadows, for people."""
        if self._stage is None:
            shown = build(self.scene, self.mounts)
            self._stage, self._appearance = Stage(shown), Appearance(shown)
            self._appearance.apply(self.drawn)
        return self._stage.render(self.data, camera.name, camera.width, camera.height, pretty=pretty)

    def reset_scene(self, seed: int) -> None:
        """Draw the scene anew; arms and grippers stay where they are."""
        model, data = self.model, self.data
        data.qpos[self._loose] = model.qpos0[self._loose]
        data.qvel[self._loose_dofs] = 0.0
        mocap = model.body_mocapid >= 0
        data.mocap_pos[model.body_mocapid[mocap]] = model.body_pos[mocap]
        data.mocap_quat[model.body_mocapid[mocap]] = model.body_quat[mocap]
        data.qacc_warmstart[:] = 0.0
        self._draw(seed)
        if self.randomise and self.scene.randomise is not None:
            with _naming(self.scene):
                self.scene.randomise(model, data, np.random.default_rng(seed))
        self._join()
        self._refresh()

    def vary(self, drawn: Drawn) -> None:
        """Make the world as `drawn` says, until the next draw of a domain or the next call; everything stays in place.

        Its latency and errors of measurement are the affair of who controls the arms.
        """
        self._apply(drawn)
        self._refresh()

    def shift_body(self, name: str, by: Array) -> None:
        """Move a mocap body, or one on a free joint, by (3,), m, as it stands."""
        place_of(self.model, self.data, name)[0][:] += by
        self._refresh()

    def teleport_home(self) -> None:
        """Put the arms at their tasks' homes at rest."""
        for arm in self.arms:
            arm.place_home()
        self._join()
        self._settle()

    def restart(self) -> None:
        """As new: at home at rest, time zero. What follows does not depend on what was before."""
        mujoco.mj_resetData(self.model, self.data)
        self._physics.apply(self.drawn, self.data)
        self.teleport_home()

    def state_vector(self) -> Array:
        """The scene (k,): what `set_state_vector` of an equal world needs to show or continue it (see `STATE`).

        With a domain, the seed of its draw is the last number.
        """
        state = np.empty(mujoco.mj_stateSize(self.model, STATE))
        mujoco.mj_getState(self.model, self.data, state, STATE)
        return state if self.domain is None else np.append(state, self._seed)

    def set_state_vector(self, state: Array) -> None:
        """Restore a `state_vector`; no wrench is felt yet. Raises ValueError for a wrong size."""
        size = mujoco.mj_stateSize(self.model, STATE) + (self.domain is not None)
        if state.shape != (size,):
            raise ValueError(f"state of shape {state.shape} for the scene of {self.scene.name}, which needs ({size},)")
        if self.domain is not None:
            if state[-1] not in (-1, self._seed):  # -1: nothing was drawn there yet
                self._draw(int(state[-1]))
            state = state[:-1]
        mujoco.mj_setState(self.model, self.data, np.ascontiguousarray(state), STATE)
        self._settle()

    def close(self) -> None:
        """Free what the pictures needed."""
        if self._stage is not None:
            self._stage.close()

    def _join(self) -> None:
        """Arms or scene have jumped: what hangs between them follows."""
        if self.scene.join is not None:
            with _naming(self.scene):
                self.scene.join(self.model, self.data)

    def _draw(self, seed: int) -> None:
        """The domain's values of that seed, where there is a domain."""
        if self.domain is not None:
            self._seed = seed
            self._apply(self.domain.draw(seed, [self.model.camera(i).name for i in range(self.model.ncam)]))

    def _apply(self, drawn: Drawn) -> None:
        self.drawn = drawn
        self._physics.apply(drawn, self.data)
        if self._appearance is not None:
            self._appearance.apply(drawn)

    def _refresh(self) -> None:
        """Everything derived anew, after the state was set."""
        loop.refresh(self.arms[0].views)
        for arm in self.arms:
            loop.observe(arm.views)
            loop.see_from_base(arm.views)

    def _settle(self) -> None:
        """The arms have jumped."""
        self._refresh()
        for arm in self.arms:
            arm.settle()


def place_of(model: mujoco.MjModel, data: mujoco.MjData, name: str) -> tuple[Array, Array]:
    """Views of position (m) and quaternion (w first) of a mocap body, or of one on a free joint.

    Raises ValueError for a body that stays where it is.
    """
    body = model.body(name)
    if body.mocapid[0] >= 0:
        return data.mocap_pos[body.mocapid[0]], data.mocap_quat[body.mocapid[0]]
    if not body.jntnum[0] or model.jnt_type[body.jntadr[0]] != int(mujoco.mjtJoint.mjJNT_FREE):
        raise ValueError(f"the body {name!r} cannot be put elsewhere: make it a mocap body, or give it a free joint")
    at = int(model.jnt_qposadr[body.jntadr[0]])
    return data.qpos[at : at + 3], data.qpos[at + 3 : at + 7]
