"""Taking over where a reference value says that the policy errs (RLIF, Luo et al., 2023, arXiv 2311.12996, sec. 5).

A turn begins where Q(s, pi(s)) < alpha Q(s, a_expert), with a decision flipped in 1 - beta of the cases; it lasts 4
steps, and one step of the policy follows. A factor means little where values are negative: there an additive threshold
serves, Q(s, pi(s)) < Q(s, a_expert) - delta.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from controllers.exceptions import SettingsError
from controllers.settings import option
from robot_rl.agents import FrameStack, make_agent
from robot_rl.agents.sac import SAC, critic_values
from robot_rl.checkpoint import AGENT_FILE, newest_checkpoint
from robot_rl.config import RunConfig
from robot_rl.data.transition import Observation
from robot_rl.exceptions import ConfigError, DataError
from robot_rl.interveners.experts import Expert
from robot_rl.interveners.rule import Rule
from robot_rl.nets.pytree import from_named_leaves
from robot_rl.runs import RunFolder
from robot_rl.spaces import describe, differences


@dataclass(frozen=True)
class ValueSettings:
    """Of the rule. reference: whose critic judges, unless given the expert's own run."""

    reference: str = option("", "the run whose critic judges; the expert's own unless given")
    alpha: float = option(0.97, "factor on the value of the expert's action")
    delta: float | None = option(None, "additive threshold instead of the factor, for values below 0")
    beta: float = option(0.95, "share of the decisions that are right")
    length: int = option(4, "steps of a turn")

    def __post_init__(self) -> None:
        if not 0 <= self.beta <= 1:
            raise SettingsError(f"beta is {self.beta}; it is a share, between 0 and 1.")
        if self.length < 1:
            raise SettingsError(f"length is {self.length}; a turn lasts 1 step at least.")


class Reference:
    """Values of actions by the critic of another run: the mean of its ensemble."""

    def __init__(self, run: RunFolder) -> None:
        """Raises `ConfigError` where the run has no such critic, `DataError` where it has no checkpoint."""
        from robot_rl.problem import problem_of

        config = run.config()
        problem = problem_of(config)
        sees, does = problem.example, problem.action_dim
        agent = make_agent(config.agent, config.learner, sees, does, 0, gripper=problem.gripper)
        if not isinstance(agent, SAC):
            raise ConfigError(f"the run {run.path} learnt by {config.agent} and has no critic of whole actions to ask.")
        checkpoint = newest_checkpoint(run.checkpoints, only=(AGENT_FILE,))
        if checkpoint is None:
            raise DataError(f"the run {run.path} has no checkpoint whose critic could judge; train it first")
        self._agent: SAC = from_named_leaves(agent, checkpoint.arrays(AGENT_FILE))
        self.stack = config.learner.stack
        self._frames = FrameStack(self.stack)
        self.spaces = describe(self._agent.settings.spec, problem.action_dim)

    def begin(self) -> None:
        """An episode begins."""
        self._frames.begin()

    def __call__(self, observation: Observation, actions: NDArray) -> NDArray:
        """Of `actions` (n, action_dim) where `observation` is seen: (n,)."""
        seen = self._frames(observation)
        spec = self._agent.settings.spec
        spec.check(seen)
        return np.asarray(_values(self._agent, {name: np.atleast_1d(seen[name]) for name in spec.arrays}, actions))


@jax.jit
def _values(agent: SAC, observation: dict[str, Array], actions: Array) -> Array:
    batch = jax.tree.map(lambda leaf: jnp.repeat(leaf[None], actions.shape[0], axis=0), observation)
    return critic_values(agent, batch, actions).mean(0)


class Value(Rule):
    """Takes over where the reference thinks better of the expert's action."""

    def __init__(self, settings: ValueSettings, reference: Reference, expert: Expert, seed: int) -> None:
        self._settings, self._reference = settings, reference
        super().__init__(expert, seed)

    def begin(self, episode: int) -> None:
        self._reference.begin()
        super().begin(episode)

    def takes_over(self, observation: Observation, proposed: NDArray, advice: NDArray) -> bool:
        policy, expert = self._reference(observation, np.stack([proposed, advice]))
        right = self.rng.random() < self._settings.beta
        delta = self._settings.delta
        level = self._settings.alpha * expert if delta is None else expert - delta
        return bool((policy < level) == right)

    def length(self) -> int:
        return self._settings.length


def make_value(config: RunConfig, settings: ValueSettings, expert: Expert) -> Value:
    """The rule for a run. Raises `ConfigError`, `DataError`, `RunFolderError`."""
    from robot_rl.nets.observation import ObservationSpec
    from robot_rl.problem import problem_of

    path = settings.reference or config.expert.partition(",")[0].partition("@")[0]
    if path == "scripted":
        raise ConfigError("intervener value asks a critic, and the scripted expert has none; add reference=RUN.")
    reference, problem = Reference(RunFolder.open(Path(path))), problem_of(config)
    seen, there = ObservationSpec.of(problem.example).stacked(reference.stack), reference.spaces
    here = describe(seen, problem.action_dim)
    if odd := differences({name: size for name, size in here.items() if name in there}, there, path):
        raise ConfigError(f"the critic of {path} judges other observations or actions: {odd}")
    return Value(settings, reference, expert, config.seed)
