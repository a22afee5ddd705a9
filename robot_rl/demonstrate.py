"""Recording demonstrations with a task's scripted expert."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import numpy as np

from robot_rl.byhand import Recording
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
    """`count` successful episodes of the task's expert, in memory. on_episode gets (kept, whether this one was).

    Raises `DataError` when the expert fails too often.
    """
    kept: list[list[Transition]] = []
    for _, episode in _tried(env, count, seed, 0, lambda: sum(map(len, kept))):
        if episode[-1].success:
            kept.append(episode)
        on_episode(len(kept), episode[-1].success)
        if len(kept) == count:
            return kept
    raise _failed(env, len(kept), count)


def record_into(
    env: RobotEnv,
    recording: Recording,
    count: int,
    seed: int,
    *,
    on_episode: Callable[[int, bool], None] = lambda kept, success: None,
    stop: Callable[[], bool] = lambda: False,
) -> int:
    """The same, each episode on the disk before the next: until `count` are kept, or `stop()`; returns how many are.

    A recording that was begun before goes on with the episodes that come next. Raises `DataError`, `DiskError`.
    """
    kept = len(recording.kept)
    tried = _tried(env, count, seed, recording.journal.episodes(), lambda: recording.next_sequence)
    while kept < count and not stop():
        try:
            _, episode = next(tried)
        except StopIteration:
            raise _failed(env, kept, count) from None
        for step in episode:
            recording.send(step)
        kept += episode[-1].success
        on_episode(kept, episode[-1].success)
    return kept


def _tried(
    env: RobotEnv, count: int, seed: int, first: int, sequence: Callable[[], int]
) -> Iterator[tuple[int, list[Transition]]]:
    """Number and steps of each episode that may be tried, from the `first` on. sequence: of the next step."""
    run = str(uuid.uuid4())
    for index in range(first, ATTEMPTS * count):
        yield index, list(_episode(env, seed, index, sequence(), run))


def _failed(env: RobotEnv, kept: int, count: int) -> DataError:
    return DataError(
        f"the expert of {env.task.name} succeeded in {kept} of {ATTEMPTS * count} episodes where {count} "
        "successes are wanted; mend the expert, or ask for fewer with --demos"
    )


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
