"""Who acts once a rule has taken over: a task's scripted expert or another run's policy, as good as is wanted."""

from __future__ import annotations

import dataclasses
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from controllers.exceptions import SettingsError
from controllers.interface import Pose, Reading
from controllers.settings import option
from robot_rl.agents import FrameStack, Policy
from robot_rl.config import RunConfig
from robot_rl.data.transition import Observation
from robot_rl.envs.environment import Environment
from robot_rl.exceptions import ConfigError
from robot_rl.interveners import text
from robot_rl.runs import RunFolder
from robot_rl.seeds import derive
from tasks.spec import Expert as TaskExpert

SCRIPTED = "scripted"


class Expert(Protocol):
    """Asked at every step, also where it does not act: it may remember what it saw."""

    def begin(self, episode: int) -> None:
        """The `episode`-th episode has been reset."""

    def __call__(self, env: Environment, observation: Observation) -> NDArray[np.float32]:
        """Its action, (action_dim,) in [-1, 1]."""


@dataclass(frozen=True)
class Flaws:
    """How much worse an expert is made: a person errs, too, and RLIF is about what can be learnt from those who do."""

    noise: float = option(0.0, "deviation of Gaussian noise on each action")
    delay: int = option(0, "steps by which it is late")
    bias: float = option(0.0, "length of an error that stays for an episode, in any direction, on each action")
    wrong: float = option(0.0, "share of the episodes in which it goes for a goal `away` from the right one")
    away: float = option(0.02, "distance of a wrong goal, m")

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            if not 0 <= value < float("inf"):
                raise SettingsError(f"{name} is {value}; it must not be below 0.")
        if self.wrong > 1:
            raise SettingsError(f"wrong is {self.wrong}; it is a share, 1 at most.")


class Scripted:
    """The task's own expert, which reads what only a simulator knows. seed: of its noise."""

    def __init__(self, seed: int, flaws: Flaws) -> None:
        self._seed, self._flaws = seed, flaws
        self._shift, self._drawn = np.zeros(3), 0
        self._expert: TaskExpert | None = None

    def begin(self, episode: int) -> None:
        rng = np.random.default_rng(derive(self._seed, "wrong goals", episode))
        direction = rng.normal(size=3)
        wrong = rng.random() < self._flaws.wrong
        self._shift = wrong * self._flaws.away * direction / np.linalg.norm(direction)
        self._expert, self._drawn = None, derive(self._seed, "intervening expert", episode)

    def __call__(self, env: Environment, observation: Observation) -> NDArray[np.float32]:
        expert = self._expert
        if expert is None:  # the task comes with the environment
            expert = self._expert = env.task.expert(env.task)  # type: ignore[attr-defined]
            expert.reset(np.random.default_rng(self._drawn))
        reading: Reading = env.reading
        tool = reading.arm.pose
        arm = dataclasses.replace(reading.arm, pose=Pose(tool.position - self._shift, tool.quaternion))
        return np.asarray(expert.act(dataclasses.replace(reading, arm=arm)), np.float32)


class Cloned:
    """A policy that another run has learnt, without noise. stack: observations that it sees at once."""

    def __init__(self, policy: Policy, stack: int) -> None:
        self._policy, self._frames = policy, FrameStack(stack)

    def begin(self, episode: int) -> None:
        self._frames.begin()

    def __call__(self, env: Environment, observation: Observation) -> NDArray[np.float32]:
        return self._policy.act(self._frames(observation), None)


class Flawed:
    """Another expert with noise, delay and bias on its actions, drawn by `seed` and the episode alone."""

    def __init__(self, expert: Expert, flaws: Flaws, seed: int) -> None:
        self._expert, self._flaws, self._seed = expert, flaws, seed
        self._late: deque[NDArray[np.float32]] = deque(maxlen=flaws.delay + 1)

    def begin(self, episode: int) -> None:
        self._expert.begin(episode)
        self._late.clear()
        self._rng = np.random.default_rng(derive(self._seed, "flaws", episode))
        self._bias: NDArray[np.float64] | None = None

    def __call__(self, env: Environment, observation: Observation) -> NDArray[np.float32]:
        self._late.append(self._expert(env, observation))
        action = self._late[0]
        if self._bias is None:
            direction = self._rng.normal(size=action.shape)
            self._bias = self._flaws.bias * direction / np.linalg.norm(direction)
        noisy = action + self._bias + self._flaws.noise * self._rng.normal(size=action.shape)
        return np.clip(noisy, -1, 1).astype(np.float32)


def make_expert(config: RunConfig) -> Expert:
    """Whom `config.expert` names. Raises `ConfigError` where there is none such, or it sees or does something else."""
    name, values = text.read(config.expert, "expert")
    flaws = text.build(Flaws, values, "expert")
    if name == SCRIPTED:
        expert: Expert = Scripted(config.seed, flaws)
    elif flaws.wrong:
        raise ConfigError(f"expert is {config.expert!r}, but only the scripted expert has a goal to get wrong.")
    else:
        expert = Cloned(*load_policy(config, name))
    return Flawed(expert, flaws, config.seed) if any((flaws.noise, flaws.delay, flaws.bias)) else expert


def load_policy(config: RunConfig, name: str) -> tuple[Policy, int]:
    """The policy of the run `name`, or RUN@STEP, one that it kept, and its stack. Raises `ConfigError`, `DataError`."""
    from robot_rl.problem import problem_of
    from robot_rl.spaces import refuse_policy
    from robot_rl.training import best_policy, kept_policies

    path, _, step = name.partition("@")
    run = RunFolder.open(Path(path))
    stack = run.config().learner.stack
    policies: dict[Any, Policy] = kept_policies(run) if step else {"": best_policy(run)}
    chosen = int(step) if step.isdigit() else step
    if chosen not in policies:
        raise ConfigError(f"expert is {name!r}, but that run kept policies of steps {', '.join(map(str, policies))}.")
    problem = problem_of(config)
    refuse_policy(policies[chosen], problem.example, problem.action_dim, stack)
    return policies[chosen], stack
