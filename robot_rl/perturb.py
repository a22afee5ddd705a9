"""Evaluation under perturbations in the twin: the same episodes as the nominal ones, each disturbed once.

A perturbation acts on the simulated world alone; targets, filter and watchdog are what they always are.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from controllers.interface import Array, Reading
from controllers.settings import suggest
from controllers.twin import TwinCell
from robot_rl.actor import Episode
from robot_rl.envs.robot_env import RobotEnv
from robot_rl.evaluate import Act, Evaluation, run_episode
from robot_rl.exceptions import ConfigError
from robot_rl.seeds import derive
from tasks.spec import TaskSpec

ALL = "all"


def _sideways(rng: np.random.Generator) -> Array:
    """A horizontal direction (3,)."""
    angle = rng.uniform(0, 2 * np.pi)
    return np.array([np.cos(angle), np.sin(angle), 0.0])


class Perturbation(ABC):
    """One kind. early: it is there from an episode's first observation on, else it comes in its first half."""

    name: ClassVar[str]
    early: ClassVar[bool] = False

    def why_not(self, task: TaskSpec, obs: str) -> str:
        """Why it can change nothing for a policy that sees `obs`; empty where it can."""
        return ""

    @abstractmethod
    def begin(self, cell: TwinCell, rng: np.random.Generator) -> None:
        """Disturb the cell from now on, as `rng` draws it."""

    def succeeded(self, task: TaskSpec, reading: Reading) -> bool:
        """Whether the task is done where its own reward may not see it."""
        return False


class Moved(Perturbation):
    """The task's goal is moved sideways while the arm is on its way, as if somebody had bumped against it.

    A reward that measures against the goal's nominal place is then wrong: the simulator judges too (`verify`).
    """

    name = "moved"
    DISTANCE, SECONDS = 0.005, 0.1

    def why_not(self, task: TaskSpec, obs: str) -> str:
        return "" if task.goal else f"task {task.name} names no body as its goal"

    def begin(self, cell: TwinCell, rng: np.random.Generator) -> None:
        cell.shift(cell.task.goal, self.DISTANCE * _sideways(rng), self.SECONDS)

    def succeeded(self, task: TaskSpec, reading: Reading) -> bool:
        return task.verify is not None and task.verify(reading)


class Pushed(Perturbation):
    """Somebody pushes the tool sideways."""

    name = "pushed"
    FORCE, SECONDS = 20.0, 0.2

    def begin(self, cell: TwinCell, rng: np.random.Generator) -> None:
        cell.push(self.FORCE * _sideways(rng), self.SECONDS)


class _Seen(Perturbation):
    """What changes pictures alone."""

    early = True

    def why_not(self, task: TaskSpec, obs: str) -> str:
        return "the policy sees no pictures" if obs == "state" else ""


class Lights(_Seen):
    """The lamp hangs elsewhere, and all lights are brighter or darker."""

    name = "lights"
    TURN, BRIGHTNESS = 0.8, (0.6, 1.4)

    def begin(self, cell: TwinCell, rng: np.random.Generator) -> None:
        drawn = cell.world.drawn
        bright = drawn.brightness * rng.uniform(*self.BRIGHTNESS)
        cell.vary(replace(drawn, light_turn=drawn.light_turn + self.TURN * _sideways(rng), brightness=bright))


class Camera(_Seen):
    """Each of the task's cameras is displaced in a direction of its own."""

    name = "camera"
    SHIFT = 0.01

    def begin(self, cell: TwinCell, rng: np.random.Generator) -> None:
        drawn, cameras = cell.world.drawn, dict(cell.world.drawn.cameras)
        for camera in (cell.arm.camera(camera).name for camera in cell.task.cameras):
            shift, turn = cameras.get(camera, (np.zeros(3), np.zeros(3)))
            way = rng.standard_normal(3)
            cameras[camera] = shift + self.SHIFT * way / np.linalg.norm(way), turn
        cell.vary(replace(drawn, cameras=cameras))


KINDS: dict[str, Perturbation] = {kind.name: kind for kind in (Moved(), Pushed(), Lights(), Camera())}


def perturbations(text: str) -> tuple[Perturbation, ...]:
    """Those that `--perturb` names. Raises `ConfigError` naming the choices."""
    names = tuple(KINDS) if text == ALL else tuple(dict.fromkeys(text.split(",")))
    for name in names:
        if name not in KINDS:
            raise ConfigError(f"--perturb has {name!r}, which is none; {suggest(name, (*KINDS, ALL))}.")
    return tuple(KINDS[name] for name in names)


class Trial:
    """One perturbed episode, as `run_episode` tells of it (`on_reading`).

    at: steps after which it begins. happened: whether the policy acted after that. done: s of the first reading in
    which the task was done where its reward may not see it, None: in none.
    """

    def __init__(self, kind: Perturbation, env: RobotEnv, rng: np.random.Generator, length: int) -> None:
        """length: steps of the nominal episode: the perturbation comes in the first half of them."""
        if not isinstance(env.cell, TwinCell):
            raise ConfigError("--perturb disturbs the twin's world; use --robot twin.")
        self._kind, self._task, self._cell, self._rng = kind, env.task, env.cell, rng
        self.at = 0 if kind.early else int(rng.integers(1, max(2, length // 2 + 1)))
        self.happened = False
        self.done: float | None = None
        self._readings, self._began = 0, 0.0
        env.settle = self._begin if kind.early else None

    def __call__(self, index: int, reading: Reading) -> None:
        if self._readings == 0:
            self._began = reading.stamp
        if self._readings > self.at:
            self.happened = True
            if self.done is None and self._kind.succeeded(self._task, reading):
                self.done = reading.stamp - self._began
        if self._readings == self.at and not self._kind.early:
            self._begin()
        self._readings += 1

    def _begin(self) -> None:
        self._before = self._cell.world.drawn
        self._kind.begin(self._cell, self._rng)

    def end(self, episode: Episode) -> Episode:
        """The episode as it is judged; the cell is left as it was."""
        self._cell.undisturb()
        if self._kind.early:
            self._cell.vary(self._before)
        if self.done is None or episode.success:
            return episode
        return dataclasses.replace(episode, success=True, cycle=self.done)


@dataclass(frozen=True)
class Perturbed:
    """An evaluation under one perturbation beside the nominal one; happened: in which episodes it came in time."""

    name: str
    evaluation: Evaluation
    nominal: Evaluation
    happened: Sequence[bool]

    def summary(self) -> dict[str, Any]:
        """As `Evaluation.summary`, and what became of the perturbed episodes.

        recovered: those of the `perturbed` that succeeded. extra_s: mean robot time that they took longer than the
        nominal ones, of the episodes that succeeded in both. latched: how many ended so, by reason.
        """
        pairs = list(zip(self.evaluation.episodes, self.nominal.episodes, self.happened, strict=True))
        perturbed = [episode for episode, _, happened in pairs if happened]
        recovered = sum(bool(episode.success) for episode in perturbed)
        both = [(one, usual) for one, usual, came in pairs if came and one.success and usual.success]
        return self.evaluation.summary() | {
            "perturbation": self.name,
            "perturbed": len(perturbed),
            "recovered": recovered,
            "extra_s": round(float(np.mean([one.cycle - usual.cycle for one, usual in both])), 3) if both else None,
            "latched": dict(Counter(episode.fault for episode in self.evaluation.episodes if episode.fault)),
        }


def evaluate_perturbed(
    kind: Perturbation,
    open_env: Callable[[], RobotEnv],
    act: Act,
    nominal: Evaluation,
    *,
    stack: int = 1,
    on_episode: Callable[[Episode], None] = lambda episode: None,
) -> Perturbed:
    """The nominal episodes again, each perturbed. One in which the arm latches has failed, and a new twin goes on."""
    done: list[Episode] = []
    happened: list[bool] = []
    seed, step, false, env = nominal.seed, 0, 0, open_env()
    try:
        for index, usual in enumerate(nominal.episodes):
            rng = np.random.default_rng(derive(seed, f"perturbed {kind.name}", index))
            trial = Trial(kind, env, rng, usual.steps)
            episode, cheated = run_episode(env, act, index, seed, step, stack=stack, on_reading=trial)
            step, false = step + episode.steps, false + cheated
            done.append(trial.end(episode))
            happened.append(trial.happened)
            on_episode(done[-1])
            if episode.fault:
                env.close()
                env = open_env()
    finally:
        env.close()
    return Perturbed(kind.name, Evaluation(env.name, seed, done, false), nominal, happened)
