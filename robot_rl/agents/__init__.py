"""Learning algorithms: immutable pytrees with one compiled update."""

from __future__ import annotations

from robot_rl.agents.base import Agent
from robot_rl.agents.bc import BC
from robot_rl.agents.frame_stack import FrameStack
from robot_rl.agents.grasp import GraspSAC
from robot_rl.agents.iql import IQL
from robot_rl.agents.policy import Policy, policy_from_bytes
from robot_rl.agents.sac import SAC
from robot_rl.data.transition import Observation
from robot_rl.exceptions import ConfigError
from robot_rl.learner_config import LearnerConfig, validate_learner
from robot_rl.nets.observation import ObservationSpec
from tasks.spec import GripperSpec

__all__ = ["AGENTS", "Agent", "FrameStack", "Policy", "make_agent", "policy_from_bytes"]

AGENTS: dict[str, type[SAC] | type[BC] | type[IQL]] = {
    "rlpd": SAC,
    "sac": SAC,
    "bc": BC,
    "dagger": BC,
    "hg_dagger": BC,
    "iql": IQL,
}
"""`sac` is `rlpd` without demonstrations: the same networks, every batch from the robot's own experience. DAgger (Ross
et al., 2011) and HG-DAgger (Kelly et al., 2019) clone, too: what they clone grows (`robot_rl.experience`)."""


def make_agent(
    name: str,
    config: LearnerConfig,
    observation: Observation,
    action_dim: int,
    seed: int,
    *,
    gripper: GripperSpec | None = None,
) -> Agent:
    """A fresh agent, which sees `config.stack` observations at once. ConfigError: an unknown name or a bad value.

    observation: an example of one, for names and shapes. gripper: of the task, which its last action moves.
    """
    if name not in AGENTS:
        raise ConfigError(f"unknown agent {name!r}; choose one of {', '.join(sorted(AGENTS))}")
    validate_learner(config)
    spec = ObservationSpec.of(observation).stacked(config.stack)
    if config.grasp_critic and AGENTS[name] is SAC:
        return GraspSAC.create(config, spec, action_dim, seed, gripper)
    return AGENTS[name].create(config, spec, action_dim, seed)
