"""The actor: runs the policy in the environment, and hands on every step.

The same object acts in one process or as a ROS node; what differs is where its steps go (`ExperienceSink`)
and where its weights come from (`WeightSource`).
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import jax
import numpy as np
from numpy.typing import NDArray

from controllers.exceptions import ResetFailed
from robot_rl.agents import FrameStack, Policy
from robot_rl.config import LearnerConfig
from robot_rl.data.label import Record
from robot_rl.data.transition import Observation, Transition
from robot_rl.envs.environment import Environment
from robot_rl.exceptions import DiskError, RobotRLError
from robot_rl.intervene import Intervener, Nobody
from robot_rl.operator import NoOperator, Operator
from robot_rl.oversight import Oversight
from robot_rl.pacing import Pacing
from robot_rl.resets.base import Outcome
from robot_rl.resets.configuration import ResetConfig
from robot_rl.resets.help import Help
from robot_rl.seeds import derive, episode_id

PAUSE = 0.05
"""How often a pausing actor looks whether it may go on, s."""

fold_in = jax.jit(jax.random.fold_in)
"""A random key's child by number; compiled, since the call is made at every step."""


class ArmFault(RobotRLError):
    """The arm latched in the middle of a run; the episode is kept, and a person must recover the arm."""


class ExperienceSink(Protocol):
    """Where steps, and what is judged of them, go.

    `send` returns once a record is safe on this machine, without waiting for the learner.
    """

    @property
    def steps(self) -> int:
        """How many steps were sent so far."""
        ...

    @property
    def next_sequence(self) -> int:
        """The sequence of the next one: labels count in it too."""
        ...

    def send(self, record: Record) -> None: ...


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


def is_noiseless(episode: int, share: float) -> bool:
    """Whether the `episode`-th acts without noise: `share` of all do, evenly spread, the last of each group first."""
    return int((episode + 1) * share) > int(episode * share)


def ends_block(steps: int, config: LearnerConfig) -> bool:
    """Whether a block of updates is due when `steps` environment steps have been made."""
    return steps >= config.start and (steps - config.start) % config.block == 0


def take_turns(turns: Sequence[Iterator[None]]) -> None:
    """Advance each of them by one, again and again, until all have ended."""
    over = object()
    while turns:
        turns = [turn for turn in turns if next(turn, over) is not over]


@dataclass(frozen=True)
class Episode:
    """How one episode went. fault: why the arm latched, else empty. cycle: s of robot time.

    success: None where the environment does not tell. interventions: steps that somebody else acted in.
    complete: False where the run ended first; whether it would have succeeded, nobody knows.
    ended_by: the operator's command that ended it, else empty. total: of the rewards as the operator judged them.
    reset: how the reset before it went; None where nobody tells.
    timing: how the actor kept up (`Pacing.numbers`); empty where nobody measured.
    """

    index: int
    steps: int
    total: float
    success: bool | None
    cycle: float
    interventions: int
    fault: str = ""
    complete: bool = True
    timing: Mapping[str, float] = field(default_factory=dict)
    ended_by: str = ""
    reset: Outcome | None = None


class Actor:
    """Acts in `env` and sends every step to `sink`.

    Exploration noise is keyed by the step's number, so a resumed or repeated run draws the same.
    run: UUID of the run, which names its episodes; None: of a run of this object's own.
    tell: hears, in a sentence, of what a person should know. all_steps: of all actors of the run, where there are
    others. intervener: may act in the policy's place. operator: judges episodes, pauses and stops; penalise: how
    (`Oversight`). rest: waits so many seconds in a pause. help: a person who puts things right between episodes.
    """

    def __init__(
        self,
        env: Environment,
        weights: WeightSource,
        sink: ExperienceSink,
        config: LearnerConfig,
        *,
        seed: int,
        name: str = "actor0",
        run: str | None = None,
        first_episode: int = 0,
        tell: Callable[[str], None] = lambda text: None,
        all_steps: Callable[[], int] | None = None,
        intervener: Intervener | None = None,
        operator: Operator | None = None,
        penalise: bool = False,
        rest: Callable[[float], None] = time.sleep,
        help: Help | None = None,
    ) -> None:
        self._oversight, self._rest = Oversight(operator or NoOperator(), sink, name, penalise=penalise), rest
        self._intervener = intervener or Nobody()
        self._help = help or Help(ResetConfig(), env.name, tell)
        self._env, self._weights, self._sink, self._config = env, weights, sink, config
        self._seed, self.name = seed, name
        self._identity = run or str(uuid.uuid4())
        self._episode = first_episode
        self._noiseless = False
        self._frames = FrameStack(config.stack)
        self._pacing = Pacing(config, env.period, tell, all_steps)
        self._key = jax.random.key(derive(seed, "actions"))

    def run(
        self,
        steps: int,
        *,
        on_step: Callable[[int], None] = lambda step: None,
        on_episode: Callable[[Episode], None] = lambda episode: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Act until `steps` steps are in the journal, `stop()`, or the operator's stop.

        Raises `ArmFault` when the arm latches.

        on_step is called with the number of steps after each; on_episode at the end of each episode, also of one that
        the sink cut off because it has no room for a step (`DiskError`, which is then raised).
        """
        take_turns([self.turns(steps, on_step=on_step, on_episode=on_episode, stop=stop)])

    def turns(
        self,
        steps: int,
        *,
        on_step: Callable[[int], None] = lambda step: None,
        on_episode: Callable[[Episode], None] = lambda episode: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[None]:
        """As `run`, one step at a time: several actors may take turns (`take_turns`)."""
        self.warm_up()
        while self._goes_on(steps, stop):
            self._oversight.between()
            if self._help.wanted():
                self._oversight.pause()
            if self._oversight.paused or self._oversight.stopping:
                self._help.check()
                self._rest(PAUSE)
                yield
                continue
            self._help.resumed()
            try:
                start = self._reset()
            except ResetFailed as error:
                self._help.failed(error)
                continue
            episode, full = yield from self._run_episode(start, steps, on_step, stop)
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
            yield

    def warm_up(self) -> None:
        """Compile, for one observation, all that acting computes: nothing compiles once the robot moves."""
        policy, _ = self._weights.get(version_due(self._sink.steps, self._config))
        policy.act(policy.spec.example(), fold_in(self._key, 0))
        if self._config.noiseless_share:
            policy.act(policy.spec.example(), None)

    @property
    def stopped(self) -> bool:
        """Whether the operator ended the run."""
        return self._oversight.stopping

    def _goes_on(self, steps: int, stop: Callable[[], bool]) -> bool:
        return self._sink.steps < steps and not stop() and not self._oversight.stopping

    def _reset(self) -> tuple[Observation, dict[str, Any]]:
        """The first observation of the next episode. Raises `ResetFailed`: the same one is to be tried again."""
        start = self._env.reset(seed=derive(self._seed, "train", self._episode))
        self._help.began()
        return start

    def _run_episode(
        self,
        start: tuple[Observation, dict[str, Any]],
        steps: int,
        on_step: Callable[[int], None],
        stop: Callable[[], bool],
    ) -> Generator[None, None, tuple[Episode, DiskError | None]]:
        """Returns the episode, and why its next step could not be kept."""
        index, self._episode = self._episode, self._episode + 1
        self._noiseless = is_noiseless(index, self._config.noiseless_share)
        (observation, info), reset = start, start[1].get("reset")
        self._frames.begin()
        self._pacing.begin()
        self._intervener.begin(index)
        identity, began, total = episode_id(self._identity, self.name, index), info["stamp"], 0.0
        step, taken, done = 0, 0, False
        full: DiskError | None = None
        self._oversight.begin(index, identity)
        while not done and self._goes_on(steps, stop):
            transition, after = self._step(identity, step, observation, info)
            transition = self._oversight.look(transition, after.get("fault", ""), after.get("late", ()))
            try:
                self._sink.send(transition)
                total += self._oversight.sent(transition)
            except DiskError as error:
                full = error
                break
            info = after
            taken += transition.intervened
            on_step(self._sink.steps)
            observation, step = transition.next_observation, step + 1
            done = transition.terminated or transition.truncated
            yield
        episode = Episode(
            index,
            step,
            total,
            self._oversight.success(info["success"]),
            info["stamp"] - began,
            taken,
            info.get("fault", ""),
            complete=done,
            timing=self._pacing.numbers(),
            ended_by=self._oversight.ended_by,
            reset=reset,
        )
        return episode, full

    def _step(
        self, episode: str, step: int, observation: Observation, info: Mapping[str, Any]
    ) -> tuple[Transition, dict[str, Any]]:
        number = self._sink.steps
        policy, version = self._weights.get(version_due(number, self._config))
        self._pacing.weights(version, number)
        with self._pacing.acting():
            proposed = self._propose(policy, observation, number)
        instead = self._intervener(self._env, observation, proposed)
        action = proposed if instead is None else instead
        following, reward, terminated, truncated, after = self._env.step(action)
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
            action=action,
            intervened=instead is not None,
            reward=reward,
            terminated=terminated,
            truncated=truncated,
            success=bool(after["success"]),
            policy_version=version,
            clamped=after["clamped"],
        )
        return transition, after

    def _propose(self, policy: Policy, observation: Observation, number: int) -> NDArray[np.float32]:
        seen = self._frames(observation)
        if number < self._config.random_steps:
            rng = np.random.default_rng(derive(self._seed, "random", number))
            return rng.uniform(-1, 1, self._env.action_dim).astype(np.float32)
        return policy.act(seen, None if self._noiseless else fold_in(self._key, number))
