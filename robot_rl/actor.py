"""The actor: runs the policy in the environment, and hands on every step.

The same object acts in one process or as a ROS node; what differs is where its steps go (`ExperienceSink`)
and where its weights come from (`WeightSource`).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import jax
import numpy as np
from numpy.typing import NDArray

from robot_rl.agents import FrameStack, Policy
from robot_rl.config import LearnerConfig
from robot_rl.data.transition import Observation, Transition
from robot_rl.envs.robot_env import RobotEnv
from robot_rl.exceptions import DiskError, RobotRLError
from robot_rl.seeds import derive, episode_id

fold_in = jax.jit(jax.random.fold_in)
"""A random key's child by number; compiled, since the call is made at every step."""


class ArmFault(RobotRLError):
    """The arm latched in the middle of a run; the episode is kept, and a person must recover the arm."""


class ExperienceSink(Protocol):
    """Where steps go. `send` returns once the step is safe on this machine; it never waits for the learner."""

    @property
    def steps(self) -> int:
        """How many steps were sent so far."""
        ...

    @property
    def next_sequence(self) -> int:
        """The sequence of the next one: labels count in it too."""
        ...

    def send(self, transition: Transition) -> None: ...


class WeightSource(Protocol):
    """Where weights come from."""

    def get(self, version: int) -> tuple[Policy, int]:
        """The policy to act with and its version.

        In lockstep exactly `version`, waiting for it; in real time the newest there is, at once.
        """


def version_due(step: int, config: LearnerConfig) -> int:
    """The version of the weights that acts at environment step `step`: one block behind the data.

    Version j + 1 is learnt from the first start + j block steps and acts from step start + (j + 1) block on,
    so that actor and learner work at the same time and a run is still reproducible.
    """
    return max(0, (step - config.start) // config.block)


def ends_block(steps: int, config: LearnerConfig) -> bool:
    """Whether a block of updates is due when `steps` environment steps have been made."""
    return steps >= config.start and (steps - config.start) % config.block == 0


@dataclass(frozen=True)
class Episode:
    """How one episode went. fault: why the arm latched, else empty. cycle: s of robot time.

    complete: False where the run ended first; whether it would have succeeded, nobody knows.
    """

    index: int
    steps: int
    total: float
    success: bool
    cycle: float
    interventions: int
    fault: str = ""
    complete: bool = True


class Actor:
    """Acts in `env` and sends every step to `sink`.

    Exploration noise is keyed by the step's number, so a resumed or repeated run draws the same.
    run: UUID of the run, which names its episodes; None: of a run of this object's own.
    """

    def __init__(
        self,
        env: RobotEnv,
        weights: WeightSource,
        sink: ExperienceSink,
        config: LearnerConfig,
        *,
        seed: int,
        name: str = "actor0",
        run: str | None = None,
        first_episode: int = 0,
    ) -> None:
        self._env, self._weights, self._sink, self._config = env, weights, sink, config
        self._seed, self.name = seed, name
        self._identity = run or str(uuid.uuid4())
        self._episode = first_episode
        self._frames = FrameStack(config.stack)
        self._key = jax.random.key(derive(seed, "actions"))

    def run(
        self,
        steps: int,
        *,
        on_step: Callable[[int], None] = lambda step: None,
        on_episode: Callable[[Episode], None] = lambda episode: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Act until `steps` steps are in the journal, or `stop()`. Raises `ArmFault` when the arm latches.

        on_step is called with the number of steps after each; on_episode at the end of each episode, also of one that
        the sink cut off because it has no room for a step (`DiskError`, which is then raised).
        """
        while self._sink.steps < steps and not stop():
            episode, full = self._run_episode(steps, on_step, stop)
            try:
                on_episode(episode)
            finally:
                if full is not None:
                    raise full  # before what the same disk does to whoever writes of the episode
            if episode.fault:
                raise ArmFault(
                    f"the arm latched: {episode.fault}; clear the cause, call the arm's recover service, "
                    "then go on with --resume"
                )

    def _run_episode(
        self, steps: int, on_step: Callable[[int], None], stop: Callable[[], bool]
    ) -> tuple[Episode, DiskError | None]:
        """The episode, and why its next step could not be kept."""
        index, self._episode = self._episode, self._episode + 1
        observation: Observation
        observation, info = self._env.reset(seed=derive(self._seed, "train", index))
        self._frames.begin()
        identity, began, total = episode_id(self._identity, self.name, index), info["stamp"], 0.0
        step, done = 0, False
        full: DiskError | None = None
        while not done and self._sink.steps < steps and not stop():
            transition, after = self._step(identity, step, observation, info)
            try:
                self._sink.send(transition)
            except DiskError as error:
                full = error
                break
            info = after
            on_step(self._sink.steps)
            observation, total, step = transition.next_observation, total + transition.reward, step + 1
            done = transition.terminated or transition.truncated
        fault = info.get("fault", "")
        return Episode(index, step, total, info["success"], info["stamp"] - began, 0, fault, complete=done), full

    def _step(
        self, episode: str, step: int, observation: Observation, info: Mapping[str, Any]
    ) -> tuple[Transition, dict[str, Any]]:
        number = self._sink.steps
        policy, version = self._weights.get(version_due(number, self._config))
        proposed = self._propose(policy, observation, number)
        following, reward, terminated, truncated, after = self._env.step(proposed)
        transition = Transition(
            actor=self.name,
            sequence=self._sink.next_sequence,
            episode=episode,
            step=step,
            stamp=info["stamp"],
            next_stamp=after["stamp"],
            observation=observation,
            next_observation=following,
            policy_action=proposed,
            action=proposed,
            intervened=False,
            reward=reward,
            terminated=terminated,
            truncated=truncated,
            success=after["success"],
            policy_version=version,
            clamped=after["clamped"],
        )
        return transition, after

    def _propose(self, policy: Policy, observation: Observation, number: int) -> NDArray[np.float32]:
        seen = self._frames(observation)
        if number < self._config.random_steps:
            rng = np.random.default_rng(derive(self._seed, "random", number))
            return rng.uniform(-1, 1, self._env.action_space.shape).astype(np.float32)
        return policy.act(seen, fold_in(self._key, number))
