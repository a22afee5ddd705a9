"""How an agent learns: part of a run's configuration, which a task overrides where it needs to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from controllers.settings import option
from robot_rl.exceptions import ConfigError


@dataclass(frozen=True)
class LearnerConfig:
    """SAC with RLPD's parts (Ball et al., 2023). A task overrides what it needs."""

    critics: int = option(10, "critics in the ensemble")
    critic_subset: int = option(2, "critics whose minimum is the target")
    hidden: tuple[int, ...] = option((256, 256), "widths of the hidden layers")
    layer_norm: bool = option(True, "layer normalisation in the critics")
    learning_rate: float = option(3e-4, "step size of every optimiser")
    discount: float = option(0.97, "discount per environment step")
    tau: float = option(0.005, "share of the new critic in the target critic, per update")
    batch: int = option(256, "transitions per update")
    utd: int = option(4, "critic updates per environment step")
    demo_share: float = option(0.5, "part of each batch from demonstrations")
    imported_share: float = option(0.0, "part of each batch from the sets that --imported names")
    initial_temperature: float = option(0.01, "entropy temperature at the start")
    entropy_backup: bool = option(False, "entropy in the critic's target")
    grasp_critic: bool = option(False, "choose among open, stay and close for the gripper, by values of their own")
    grasp_penalty: float = option(0.02, "what changing the gripper costs, in the values of that choice alone")
    start: int = option(300, "environment steps before the first update")
    random_steps: int = option(0, "uniform actions at first; 0: the untrained policy acts")
    noiseless_share: float = option(0.0, "part of the episodes that act as an evaluation does, without noise")
    block: int = option(10, "environment steps between two broadcasts of weights")
    capacity: int = option(200_000, "transitions in the replay buffer")
    stack: int = option(1, "successive observations that the policy sees at once")
    n_step: int = option(1, "rewards summed ahead of a value; fewer where an episode or a person's turn ends")
    act_budget_ms: float | None = option(None, "time from an observation to an action; half the control period")
    bc_steps: int = option(5000, "gradient steps of behaviour cloning")
    offline_steps: int = option(100_000, "gradient steps of offline learning (iql)")
    expectile: float = option(0.7, "for iql: which expectile of Q over the recorded actions the value is")
    beta: float = option(3.0, "for iql: how much an action's advantage counts when it is cloned")
    huber: float = option(0.0, "for iql: error of a critic from which its loss grows linearly; 0: never")
    quantile: float = option(0.0, "for iql: quantile of the critics' target values; 0: their minimum")
    normalise: bool = option(False, "for iql: observations' numbers less their mean over the set, by their deviation")
    reward_scaling: bool = option(False, "for iql: rewards times 1000 over the range of the set's returns")
    reward_shift: float = option(0.0, "for iql: what is added to each reward, behind the scaling")
    return_temperature: float = option(0.0, "for iql and bc: episodes of higher return more often; 0: all alike")
    precision: Literal["float32", "bfloat16"] = option("float32", "the critics' products; all else is float32")
    devices: int = option(1, "devices that share each batch; 0: all that there are")
    checkpoint_every: int = option(1000, "environment steps between two checkpoints")
    keep_every: int = option(0, "environment steps between two policies kept for `eval --kept`; 0: none")


def validate_learner(learner: LearnerConfig) -> None:
    """Refuse values that no learner can use. Raises `ConfigError`."""
    positive = (
        "critics", "batch", "utd", "start", "block", "capacity", "stack", "n_step", "bc_steps", "offline_steps",
        "checkpoint_every",
    )  # fmt: skip
    for key in positive:
        check_range(f"learner.{key}", getattr(learner, key), 1, math.inf)
    for key in ("discount", "demo_share", "imported_share", "noiseless_share", "tau", "expectile", "quantile"):
        check_range(f"learner.{key}", getattr(learner, key), 0, 1)
    for key in (
        "devices", "random_steps", "keep_every", "learning_rate", "initial_temperature", "grasp_penalty", "beta",
        "huber", "return_temperature",
    ):  # fmt: skip
        check_range(f"learner.{key}", getattr(learner, key), 0, math.inf)
    if learner.act_budget_ms is not None:
        check_range("learner.act_budget_ms", learner.act_budget_ms, 0.1, math.inf)
    check_range("learner.critic_subset", learner.critic_subset, 1, learner.critics)
    if learner.grasp_critic and learner.n_step > 1:
        raise ConfigError(
            f"learner.n_step is {learner.n_step}, but with learner.grasp_critic must be 1: "
            "a sum of rewards has lost what changing the gripper cost between."
        )
    for width in learner.hidden:
        check_range("a width in learner.hidden", width, 1, math.inf)


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Raise `ConfigError` unless `low` <= `value` <= `high`."""
    if not low <= value <= high:
        allowed = f"at least {low:g}" if high == math.inf else f"from {low:g} to {high:.10g}"
        raise ConfigError(f"{name} is {value}, but must be {allowed}.")
