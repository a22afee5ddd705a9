"""A discrete grasp critic beside the continuous actor (HIL-SERL, Luo et al., 2024, arXiv 2410.21845).

Soft actor-critic moves the arm; whether the gripper opens, stays or closes is chosen by a double DQN (van Hasselt et
al., 2016), whose reward alone has a penalty for changing the gripper. The penalty is no column of the replay that a
data set could lack: it follows from the executed action and the observed gripper, which every batch holds. From these
follows too which choices would have done the same (`equivalents`), and all of them learn what was executed: else a
demonstrator who orders again what is done already leaves the value of staying to chance.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from robot_rl.agents.gripper import GRIPPER, as_choice, changes, choice_values, equivalents, init_choices
from robot_rl.agents.guard import accept
from robot_rl.agents.policy import Params, Policy
from robot_rl.agents.sac import SAC
from robot_rl.config import LearnerConfig
from robot_rl.data.replay import Batch
from robot_rl.exceptions import ConfigError
from robot_rl.nets.devices import replicate, split
from robot_rl.nets.encoder import augment, convolve
from robot_rl.nets.observation import ObservationSpec
from tasks.spec import GripperSpec

OPENED = 0.9
"""Share of its travel above which a gripper is open, as in HIL-SERL."""


@dataclass(frozen=True)
class Settings:
    """What the compiled update depends on. threshold: see `as_choice`; opened: see `changes`."""

    spec: ObservationSpec
    learning_rate: float
    tau: float
    penalty: float
    threshold: float
    opened: float


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class GraspSAC:
    """arm: the agent of all actions but the last. grasp, target: values of the three choices for the last."""

    arm: SAC
    grasp: Params
    target: Params
    optimiser: optax.OptState
    key: Array
    settings: Settings = field(metadata={"static": True})

    @classmethod
    def create(
        cls, config: LearnerConfig, spec: ObservationSpec, action_dim: int, seed: int, gripper: GripperSpec | None
    ) -> GraspSAC:
        """ConfigError: there is no gripper, nothing else to move, or no measurement of the gripper."""
        if gripper is None or action_dim < 2 or GRIPPER not in dict(spec.vectors):
            raise ConfigError(
                "learner.grasp_critic is on, but the task has no gripper that is moved and observed; turn it off"
            )
        closed = gripper.closed / gripper.open
        settings = Settings(
            spec, config.learning_rate, config.tau, config.grasp_penalty,
            gripper.threshold, closed + OPENED * (1 - closed),
        )  # fmt: skip
        arm = SAC.create(config, spec, action_dim - 1, seed)
        return _create(settings, tuple(config.hidden), arm, np.uint32(seed % 2**32))

    def update(self, batch: Batch) -> tuple[GraspSAC, dict[str, Array]]:
        """SAC's update of the arm, and a step of the grasp critic per slice of `batch` (slices, batch, ...)."""
        return _update(self, split(batch, self.arm.settings.devices))

    def policy(self) -> Policy:
        arm = self.arm.policy()
        return replace(arm, action_dim=arm.action_dim + 1, grasp=jax.tree.map(jnp.copy, self.grasp))


@partial(jax.jit, static_argnums=(0, 1))
def _create(s: Settings, hidden: tuple[int, ...], arm: SAC, seed: np.uint32) -> GraspSAC:
    key, grasp_key = jax.random.split(jax.random.fold_in(jax.random.PRNGKey(seed), 1))
    grasp = init_choices(grasp_key, s.spec, hidden)
    return GraspSAC(arm, grasp, jax.tree.map(jnp.copy, grasp), optax.adam(s.learning_rate).init(grasp), key, s)


@partial(jax.jit, donate_argnums=0)
def _update(agent: GraspSAC, batch: Batch) -> tuple[GraspSAC, dict[str, Array]]:
    arm, metrics = agent.arm.update(batch._replace(action=batch.action[..., :-1]))
    new, grasp_metrics = jax.lax.scan(_update_grasp, replace(agent, arm=arm), batch)
    accepted = accept(agent, new, metrics | jax.tree.map(jnp.mean, grasp_metrics))
    return replicate(accepted, agent.arm.settings.devices)


def _update_grasp(agent: GraspSAC, batch: Batch) -> tuple[GraspSAC, dict[str, Array]]:
    s = agent.settings
    key, *crop_keys = jax.random.split(agent.key, 3)
    observation = augment(crop_keys[0], s.spec, batch.observation)
    next_observation = augment(crop_keys[1], s.spec, batch.next_observation)
    convolutions = agent.arm.critic["convolutions"]
    features, next_features = convolve(convolutions, observation), convolve(convolutions, next_observation)

    best = choice_values(s.spec, agent.grasp, next_features, next_observation).argmax(-1)
    next_q = _of(choice_values(s.spec, agent.target, next_features, next_observation), best)
    choice, gripper = as_choice(batch.action[..., -1], s.threshold), batch.observation[GRIPPER]
    same, changed = equivalents(choice, gripper, s.opened), changes(choice, gripper, s.opened)
    reward = batch.reward - s.penalty * changed
    target_q = reward + batch.discount * (1 - batch.terminated) * next_q

    def loss(grasp: Params) -> tuple[Array, Array]:
        q = choice_values(s.spec, grasp, features, observation)
        return (same * jnp.square(q - target_q[:, None])).sum(-1).mean(), _of(q, choice).mean()

    (grasp_loss, q), gradient = jax.value_and_grad(loss, has_aux=True)(agent.grasp)
    updates, optimiser = optax.adam(s.learning_rate).update(gradient, agent.optimiser)
    grasp = optax.apply_updates(agent.grasp, updates)
    target = optax.incremental_update(grasp, agent.target, s.tau)
    agent = replace(agent, grasp=grasp, target=target, optimiser=optimiser, key=key)
    return agent, {"grasp_loss": grasp_loss, "grasp_q": q, "grasp_changes": changed.mean()}


def _of(values: Array, choice: Array) -> Array:
    """The value (batch,) of each choice among (batch, 3)."""
    return jnp.take_along_axis(values, choice[..., None], axis=-1)[..., 0]
