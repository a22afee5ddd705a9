"""Small transitions and configurations for the tests of learning."""

import numpy as np

from robot_rl.config import LearnerConfig, RunConfig
from robot_rl.data.transition import Transition

ACTIONS = 2
SMALL = LearnerConfig(
    critics=3, critic_subset=2, hidden=(16, 16), batch=8, utd=2, start=6, block=3, capacity=100, bc_steps=30
)


def observe(rng, image=None):
    observation = {"pose": rng.normal(size=3).astype(np.float32), "twist": rng.normal(size=2).astype(np.float32)}
    return observation if image is None else observation | {"wrist": rng.integers(0, 255, image, np.uint8)}


def transition(sequence=0, *, actor="actor0", observation=None, following=None, action=None, image=None, **changes):
    """A transition drawn from its sequence number; `changes` replace other fields."""
    rng = np.random.default_rng([sequence, *actor.encode()])
    action = rng.uniform(-1, 1, ACTIONS).astype(np.float32) if action is None else action
    fields = {
        "actor": actor,
        "sequence": sequence,
        "episode": "episode",
        "step": sequence,
        "stamp": sequence / 10,
        "next_stamp": sequence / 10 + 0.1,
        "observation": observe(rng, image) if observation is None else observation,
        "next_observation": observe(rng, image) if following is None else following,
        "policy_action": action,
        "action": action,
        "intervened": False,
        "reward": float(rng.random() < 0.2),
        "terminated": False,
        "truncated": False,
        "success": False,
        "policy_version": 0,
    }
    return Transition(**(fields | changes))


def run_config(agent="rlpd", seed=0, learner=SMALL):
    return RunConfig("reach", agent=agent, seed=seed, learner=learner)
