"""Other people's environments: any Gymnasium id, as `gym:ID`."""

from __future__ import annotations

import difflib
import importlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from controllers.exceptions import RenderingError
from robot_rl.config import GYM, RunConfig
from robot_rl.data.schema import Schema
from robot_rl.data.transition import Observation
from robot_rl.envs.flatten import Actions, Flattened, checked, names
from robot_rl.exceptions import ConfigError
from tasks.spec import GripperSpec

LONGEST = 10_000
"""Steps of an episode where the environment's own registration says nothing."""
LEARNER: Mapping[str, Any] = {
    "critics": 2,
    "discount": 0.99,
    "entropy_backup": True,
    "initial_temperature": 1.0,
    "start": 1000,
    "random_steps": 1000,
    "capacity": 1_000_000,
    "checkpoint_every": 10_000,
}
"""RLPD's settings for locomotion, but for two critics (it has 10) and 1,000 steps at random (it has 5,000)."""
SUCCESS = ("success", "is_success")
"""Keys of `info` that say whether an episode succeeded."""


class GymEnv:
    """One Gymnasium environment as an `Environment`.

    `next_observation` is always what `step` returned, at an episode's end too, since nothing resets by itself.
    Simulated time goes on from episode to episode.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], name: str) -> None:
        """Raises `ConfigError` for spaces that cannot be learnt."""
        self.name, self.period = name, _period(env)
        self._env = env
        self._flatten = Flattened.of(env.observation_space, name)
        self._actions = Actions.of(env.action_space, name)
        self.action_dim = self._actions.size
        self.reading: Any = None
        self._time = 0.0

    def reset(self, *, seed: int | None = None) -> tuple[dict[str, NDArray], dict[str, Any]]:
        """Begin an episode."""
        self.reading, info = self._env.reset(seed=seed)
        return self._flatten(self.reading), self._info(info)

    def step(self, action: NDArray) -> tuple[dict[str, NDArray], float, bool, bool, dict[str, Any]]:
        """One step. action: (action_dim,) in [-1, 1]."""
        self.reading, reward, terminated, truncated, info = self._env.step(self._actions(action))
        self._time += self.period
        return self._flatten(self.reading), float(reward), bool(terminated), bool(truncated), self._info(info)

    def example(self) -> dict[str, NDArray]:
        """An observation of zeros: its names, shapes and types."""
        drawn = self._flatten(self._env.observation_space.sample())
        return {name: np.zeros_like(value) for name, value in checked(drawn).items()}

    def verified(self) -> bool:
        """There is nobody to ask."""
        return True

    def look(self) -> NDArray | None:
        """The picture that the environment renders, where it was opened for that."""
        if self._env.render_mode != "rgb_array":
            return None
        try:
            return np.asarray(self._env.render(), np.uint8)
        except Exception as error:  # whatever library draws it
            raise RenderingError(f"{self.name} cannot be rendered: {error}") from error

    def show(self, look: NDArray) -> NDArray:
        """The picture itself."""
        return look

    def close(self) -> None:
        self._env.close()

    def _info(self, info: Mapping[str, Any]) -> dict[str, Any]:
        told = next((bool(info[key]) for key in SUCCESS if key in info), None)
        return {"success": told, "stamp": self._time, "clamped": np.zeros(2, np.float32)}


def _period(env: gymnasium.Env[Any, Any]) -> float:
    """Of a step, s: what a simulation says (`dt`), else its pictures' rate; 1 where nothing does."""
    for value in (getattr(env.unwrapped, "dt", None), 1 / (env.metadata.get("render_fps") or 1)):
        if isinstance(value, int | float) and 0 < value < np.inf:
            return float(value)
    return 1.0


@dataclass(frozen=True)
class GymTask:
    """What a run of `gym:ID` learns on. Made by `load`."""

    name: str
    example: Observation
    action_dim: int
    summary: str
    steps: int = 50_000
    learner: Mapping[str, Any] = field(default_factory=lambda: dict(LEARNER))
    gripper: GripperSpec | None = None

    @property
    def schema(self) -> Schema:
        """Of the run's records."""
        return Schema.from_example(self.name, self.example, names(self.action_dim))

    def defaults(self, layers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """What a run of an environment without a robot has unless `layers` say else."""
        wants_demos = any(layer.get("demos", "0") != "0" for layer in layers)
        agent = "rlpd" if wants_demos else "sac"
        return {"transport": "inprocess", "demos": "0", "agent": agent, "sync": "checkpoint"}

    def check(self, config: RunConfig) -> None:
        """Raise `ConfigError` for what such a run cannot have."""
        if config.transport != "inprocess":
            raise ConfigError(f"transport is {config.transport}, but {self.name} has no robot; leave --transport out.")
        if config.cell is not None:
            raise ConfigError(f"cell is {config.cell.name}, but {self.name} has no robot; leave --cell out.")
        if config.obs != RunConfig.obs:
            raise ConfigError(f"obs is {config.obs}, but {self.name} shows what it shows; leave --obs out.")
        if config.demos.isdigit() and int(config.demos):
            raise ConfigError(f"demos is {config.demos}, but {self.name} has no expert; name the path of a set.")
        if config.teleop != "none":
            raise ConfigError(f"teleop is {config.teleop}, but {self.name} has no tool to move; leave --teleop out.")
        if config.reward == "human":
            raise ConfigError(f"reward is human, but {self.name} has rewards of its own; leave --reward out.")

    def facts(self, config: RunConfig) -> dict[str, str]:
        """What `--dry-run` says of it."""
        shapes = ", ".join(f"{name} {value.dtype} {value.shape}" for name, value in self.example.items())
        return {"observes": shapes, "acts": f"{self.action_dim} numbers in [-1, 1]", "envs": str(config.actors)}

    def open_env(
        self, config: RunConfig, *, seed: int | None = None, film: bool = False, training: bool = False
    ) -> GymEnv:
        """The environment. film: it can be looked at, where it renders at all. Episodes have seeds of their own."""
        return open_gym(self.name, film=film)


@lru_cache(maxsize=8)
def load(name: str) -> GymTask:
    """The task of a name such as `gym:Hopper-v5`. Raises `ConfigError`: no such id, or spaces that do not fit."""
    env = open_gym(name)
    try:
        example, what = env.example(), f"{type(env._env.unwrapped).__name__}, {env.period:g} s a step"
        return GymTask(name, example, env.action_dim, what)
    finally:
        env.close()


def open_gym(name: str, *, film: bool = False) -> GymEnv:
    """The environment of `gym:ID`. Raises `ConfigError`, with ids that are near where there is none."""
    module, _, identity = name.removeprefix(GYM).rpartition(":")
    try:
        if module:
            importlib.import_module(module)  # which registers its environments
        spec = gymnasium.spec(identity)
        wanted: dict[str, Any] = {} if spec.max_episode_steps else {"max_episode_steps": LONGEST}
        if film and "rgb_array" in _render_modes(identity):
            wanted["render_mode"] = "rgb_array"
            os.environ.setdefault("MUJOCO_GL", "egl")  # as the twin renders; MuJoCo itself would look for a screen
        env = gymnasium.make(identity, **wanted)
    except gymnasium.error.UnregisteredEnv as error:
        raise ConfigError(f"there is no environment {identity!r}; {_near(identity)}.") from error
    except ModuleNotFoundError as error:
        raise ConfigError(f"{name} needs the module {error.name!r}, which is not installed; install it.") from error
    except gymnasium.error.Error as error:
        raise ConfigError(f"{name} cannot be made: {' '.join(str(error).split()).rstrip('.')}.") from error
    try:
        return GymEnv(env, name)
    except ConfigError:
        env.close()
        raise


def _render_modes(identity: str) -> list[str]:
    env = gymnasium.make(identity)
    try:
        return list(env.metadata.get("render_modes", ()))
    finally:
        env.close()


def _near(identity: str) -> str:
    """Ids like this one, as words."""
    known = sorted(gymnasium.registry)
    lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(identity.lower(), lower, n=3, cutoff=0.5)
    if not near:
        return "`python -c 'import gymnasium; gymnasium.pprint_registry()'` lists what there is"
    return f"did you mean {' or '.join(GYM + lower[name] for name in near)}?"
