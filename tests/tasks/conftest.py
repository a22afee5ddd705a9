from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from controllers.interface import Reading
from robot_rl.envs import RobotEnv, make


@dataclass
class Run:
    success: bool = False
    readings: list[Reading] = field(default_factory=list)


@pytest.fixture(scope="session")
def environments():
    made: dict[str, RobotEnv] = {}
    yield lambda name: made[name] if name in made else made.setdefault(name, make(name))
    for env in made.values():
        env.close()


@pytest.fixture
def episodes(environments) -> Callable[..., Run]:
    """`episodes(task, seed, act=None)` runs one episode, of the expert unless `act(env)` gives actions."""

    def run(name: str, seed: int, act: Callable[[RobotEnv], np.ndarray] | None = None) -> Run:
        env = environments(name)
        env.reset(seed=seed)
        expert = env.task.expert(env.task)
        expert.reset(np.random.default_rng(seed))
        result, over = Run(), False
        while not over:
            action = act(env) if act else expert.act(env.reading)
            _, _, terminated, truncated, info = env.step(np.asarray(action, np.float32))
            result.readings.append(env.reading)
            result.success, over = info["success"], terminated or truncated
        return result

    return run
