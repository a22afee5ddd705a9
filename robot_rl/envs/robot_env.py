"""The Gymnasium environment of a task: the same object before the twin, a ROS graph, or in a test."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from controllers.exceptions import ArmLatched
from controllers.interface import Array, Cell, Image, Reading
from robot_rl.data.schema import Schema
from robot_rl.envs.arms import arms_of
from robot_rl.envs.observation import Observer
from robot_rl.perception import Encoder
from robot_rl.resets.base import Reset
from robot_rl.resets.both import scripted_reset
from robot_rl.rewards import RewardModel, TaskReward
from robot_rl.rewards.base import Late
from tasks.spec import CameraSpec, TaskSpec

FILM = CameraSpec("front", 640, 480)
"""Of the pictures of a twin's film."""


class LateStep(NamedTuple):
    """What is said of an earlier step, by its number. before: it is of the episode before."""

    step: int
    value: float
    success: bool
    before: bool = False


@runtime_checkable
class Renderable(Protocol):
    """A cell whose scene can be shown as it was: only a twin's can."""

    def state_vector(self) -> Array: ...

    def set_state_vector(self, state: Array) -> None: ...

    def render(self, camera: CameraSpec) -> Image: ...


class RobotEnv(gymnasium.Env[Any, Any]):
    """One task on one cell, at the task's rate.

    settle: called between a reset and the first observation of its episode, if given; it may wait.

    Actions are in [-1, 1], shape (task.action_dim,). An episode is *terminated* by success alone, and
    *truncated* by the horizon or by a latch of the arm; nothing recovers a latched arm here.
    info: `success`, `stamp` (s), `tick`, `clamped` (float32 (2,), m and rad: how far the reference at the step's end
    is from the one that the action asked for, of two arms the larger; leash, box and filter did that, the filter's
    smoothing included), `late`
    (`LateStep`s: what a slow reward now says of earlier steps), and `fault` (the latch's reason) when there is one; of
    a reset `reset` (`Outcome`: how it went).
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"]}  # noqa: RUF012 -- Gymnasium declares it so

    def __init__(
        self,
        task: TaskSpec,
        cell: Cell,
        reward: RewardModel | None = None,
        reset: Reset | None = None,
        *,
        observer: Observer | None = None,
        perception: Encoder | None = None,
        render_mode: str | None = None,
    ) -> None:
        """observer: unless given, of the state. perception: looks where the cell's readings have no features."""
        self.task, self.cell, self.render_mode = task, cell, render_mode
        self.metadata = {**self.metadata, "render_fps": round(1.0 / task.period)}
        self._reward = reward or TaskReward(task)
        self._reset = reset or scripted_reset(task)
        self._observe, self._perception = observer or Observer(task), perception
        self._arms = arms_of(task, cell)
        self.observation_space = self._observe.space
        self.action_space = spaces.Box(-1.0, 1.0, (task.action_dim,), np.float32)
        self._steps = 0
        self._step_of: dict[int, int] = {}  # of each tick that was judged in this episode, its step
        self._step_before: dict[int, int] = {}  # the same of the episode before
        self._reading: Reading | None = None
        self.settle: Callable[[], None] | None = None

    @property
    def name(self) -> str:
        """Of the task."""
        return self.task.name

    @property
    def action_dim(self) -> int:
        """Numbers in an action."""
        return self.task.action_dim

    @property
    def period(self) -> float:
        """Of a step, s."""
        return self.cell.period

    @property
    def reading(self) -> Reading:
        """The reading behind the last observation: SI units, images, and `sim` where there is a simulator."""
        if self._reading is None:
            raise gymnasium.error.ResetNeeded("call reset() before using the environment")
        return self._reading

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, NDArray], dict[str, Any]]:
        """Start an episode. The same seed gives the same scene and start pose in the twin."""
        super().reset(seed=seed)
        episode_seed = int(self.np_random.integers(2**31))
        reading = self._reset(self.cell, episode_seed)
        if self.settle is not None:
            self.settle()
            reading = self.cell.read()  # what was measured before is old by now
        self._reading = self._seen(reading)
        for arm in self._arms:
            arm.reset()
        self._steps, self._step_before, self._step_of = 0, self._step_of, {}
        info = self._info(success=False, clamped=np.zeros(2, np.float32))
        return self._observe(self._reading), info | {"reset": self._reset.outcome}

    def step(self, action: NDArray) -> tuple[dict[str, NDArray], float, bool, bool, dict[str, Any]]:
        """One control period. Raises ValueError for an action that is not finite or of another shape."""
        before = self.reading
        action = self._checked(action)
        try:
            for arm in self._arms:
                arm.command(action, before)
            reading = self.cell.wait()
        except ArmLatched:
            reading = self.cell.read()
        self._reading = reading = self._seen(reading)
        self._step_of[reading.tick] = self._steps
        self._steps += 1
        result = self._reward(reading)
        latched = [own.reason for arm in self._arms if (own := arm.of(reading)).safety == "latched"]
        truncated = not result.success and (bool(latched) or self._steps >= self.task.horizon)
        clamped = np.maximum.reduce([arm.clamped(action, before, reading) for arm in self._arms])
        info = self._info(result.success, clamped)
        if latched:
            info["fault"] = latched[0]
        info["late"] = [late for one in result.late if (late := self._late(one)) is not None]
        return self._observe(reading), float(result.value), result.success, truncated, info

    def render(self) -> NDArray[np.uint8] | None:
        """The front camera, else the first: as the cell delivers it, or as the twin renders it."""
        if self.render_mode != "rgb_array":
            return None
        images = self.reading.images
        if images:
            return images.get("front", next(iter(images.values())))
        cameras = {camera.name: camera for camera in self.task.cameras}
        return self.cell.render(cameras.get("front", self.task.cameras[0]))  # type: ignore[attr-defined]

    def verified(self) -> bool:
        """Whether a success is a true one, as far as the simulator, where there is one, can tell."""
        return self.task.verify is None or not self.reading.sim or self.task.verify(self.reading)

    def look(self) -> Array | Image | None:
        """This moment, for `show`: the state of a twin, else a picture that a camera took, else None."""
        if isinstance(self.cell, Renderable):
            return self.cell.state_vector()
        images = self.reading.images
        return images.get(FILM.name, next(iter(images.values()))) if images else None

    def show(self, look: Any) -> Image:
        """A picture of what `look` kept. Raises `RenderingError`."""
        if not isinstance(self.cell, Renderable):
            return np.asarray(look, np.uint8)
        self.cell.set_state_vector(look)
        return self.cell.render(FILM)

    def close(self) -> None:
        """Release the cell."""
        self.cell.close()

    def schema(self) -> Schema:
        """The schema of this environment's records."""
        return self._observe.schema()

    def _late(self, said: Late) -> LateStep | None:
        """Which step it is about; None where that is longer ago than the episode before."""
        for steps, before in ((self._step_of, False), (self._step_before, True)):
            if said.tick in steps:
                return LateStep(steps[said.tick], said.result.value, said.result.success, before)
        return None

    def _seen(self, reading: Reading) -> Reading:
        """With features, where they are wanted and nobody looked before."""
        if self._perception is None or reading.features:
            return reading
        return dataclasses.replace(reading, features=self._perception.encode(reading.images, reading.tick))

    def _checked(self, action: NDArray) -> NDArray:
        action = np.asarray(action, np.float32)
        if action.shape != self.action_space.shape or not np.isfinite(action).all():
            raise ValueError(
                f"action {action.tolist()} of {self.task.name} must be {self.action_space.shape[0]} finite numbers"  # type: ignore[index]
            )
        return np.clip(action, -1.0, 1.0)

    def _info(self, success: bool, clamped: NDArray[np.float32]) -> dict[str, Any]:
        reading = self.reading
        return {"success": success, "stamp": reading.stamp, "tick": reading.tick, "clamped": clamped}
