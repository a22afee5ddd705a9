"""Recording demonstrations with a task's scripted expert."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import numpy as np

from robot_rl.data.transition import Transition
from robot_rl.envs.robot_env import RobotEnv
from robot_rl.exceptions import DataError
from robot_rl.seeds import derive, episode_id

ATTEMPTS = 3
"""Episodes tried for each demonstration wanted: the expert is noisy, and only successes are kept."""


def record_demos(
    env: RobotEnv,
    count: int,
    seed: int,
    *,
    on_episode: Callable[[int, bool], None] = lambda kept, success: None,
) -> list[list[Transition]]:
    """`count` successful episodes of the task's expert. on_episode gets (kept so far, whether this one was).

    Raises `DataError` when the expert fails too often.
    """
    kept: list[list[Transition]] = []
    sequence, run = 0, str(uuid.uuid4())
    for index in range(ATTEMPTS * count):
        if len(kept) == count:
            break
        episode = list(_episode(env, seed, index, sequence, run))
        if episode[-1].success:
            kept.append(episode)
            sequence += len(episode)
        on_episode(len(kept), episode[-1].success)
    if len(kept) < count:
        raise DataError(
            f"the expert of {env.task.name} succeeded in {len(kept)} of {ATTEMPTS * count} episodes where {count} "
            "successes are wanted; mend the expert, or ask for fewer with --demos"
        )
    return kept


def _episode(env: RobotEnv, seed: int, index: int, sequence: int, run: str) -> Iterator[Transition]:
    expert = env.task.expert(env.task)
    expert.reset(np.random.default_rng(derive(seed, "expert", index)))
    observation, info = env.reset(seed=derive(seed, "demos", index))
    identity, step, done = episode_id(run, "expert", index), 0, False
    while not done:
        action = np.clip(expert.act(env.reading), -1, 1).astype(np.float32)
        following, reward, terminated, truncated, after = env.step(action)
        done = terminated or truncated
        yield Transition(
            actor="expert",
            sequence=sequence + step,
            episode=identity,
            step=step,
            stamp=info["stamp"],
            next_stamp=after["stamp"],
            observation=observation,
            next_observation=following,
            policy_action=action,
            action=action,
            intervened=False,
            reward=reward,
            terminated=terminated,
            truncated=truncated,
            success=after["success"],
            policy_version=0,
            clamped=after["clamped"],
        )
        observation, info, step = following, after, step + 1
