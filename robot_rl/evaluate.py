"""Evaluation: fresh episodes with a fixed policy, counted with an interval."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from robot_rl.actor import Episode, fold_in
from robot_rl.agents import FrameStack, Policy
from robot_rl.aggregate import estimate
from robot_rl.envs.environment import Environment
from robot_rl.seeds import derive

Act = Callable[[Mapping[str, NDArray], Any, int], NDArray]
"""What acts in an evaluation: (observation, the environment's reading, step of the whole evaluation) -> action."""


@dataclass(frozen=True)
class Evaluation:
    """The episodes of one evaluation of `task`, drawn by `seed`.

    false_successes: episodes that the reward called a success and the simulator did not; they count as failures.
    """

    task: str
    seed: int
    episodes: Sequence[Episode]
    false_successes: int = 0

    @property
    def successes(self) -> int | None:
        """None where the environment does not tell."""
        told = [episode.success for episode in self.episodes if episode.success is not None]
        return sum(told) if told else None

    @property
    def mean_cycle(self) -> float | None:
        """Mean robot time of the successful episodes in s; None without one."""
        cycles = [episode.cycle for episode in self.episodes if episode.success]
        return float(np.mean(cycles)) if cycles else None

    def summary(self) -> dict[str, object]:
        """What `robot-rl eval --json` prints."""
        count, successes = len(self.episodes), self.successes
        returns = np.array([[episode.total] for episode in self.episodes])
        mean = estimate(returns, lambda drawn: float(drawn.mean()))
        return {
            "task": self.task,
            "episodes": count,
            "successes": successes,
            "success_rate": None if successes is None else successes / count,
            "ci95": None if successes is None else [round(bound, 4) for bound in wilson(successes, count)],
            "mean_cycle_s": None if self.mean_cycle is None else round(self.mean_cycle, 3),
            "mean_return": round(mean.value, 4),
            "return_ci95": [round(mean.low, 4), round(mean.high, 4)],
            "seed": self.seed,
            "false_successes": self.false_successes,
        }


def wilson(successes: int, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a success rate (Wilson, 1927)."""
    z, rate = 1.959964, successes / count
    centre = (rate + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(rate * (1 - rate) / count + z**2 / (4 * count**2))
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


OnReading = Callable[[int, Any], None]
"""Sees every reading with its episode's index."""


def evaluate(
    env: Environment,
    act: Act,
    episodes: int,
    seed: int,
    *,
    stack: int = 1,
    on_episode: Callable[[Episode], None] = lambda episode: None,
    on_reading: OnReading = lambda episode, reading: None,
) -> Evaluation:
    """Run `episodes` episodes whose scenes and starts are drawn by `seed`; stops early when the arm latches.

    stack: how many successive observations `act` sees at once. on_reading: for videos.
    """
    done: list[Episode] = []
    step = false = 0
    for index in range(episodes):
        episode, cheated = run_episode(env, act, index, seed, step, stack=stack, on_reading=on_reading)
        done.append(episode)
        step, false = step + episode.steps, false + cheated
        on_episode(episode)
        if episode.fault:
            break
    return Evaluation(env.name, seed, done, false)


def run_episode(
    env: Environment,
    act: Act,
    index: int,
    seed: int,
    step: int,
    *,
    stack: int = 1,
    on_reading: OnReading = lambda episode, reading: None,
) -> tuple[Episode, bool]:
    """Episode `index` of an evaluation that has made `step` steps; and whether it cheated.

    A success counts only where the environment agrees that it is a true one, as a twin can tell.
    """
    observation, info = env.reset(seed=derive(seed, "eval", index))
    frames = FrameStack(stack)
    on_reading(index, env.reading)
    began, total, count, over = info["stamp"], 0.0, 0, False
    while not over:
        action = act(frames(observation), env.reading, step + count)
        observation, reward, terminated, truncated, info = env.step(action)
        on_reading(index, env.reading)
        total, count, over = total + reward, count + 1, terminated or truncated
    cheated = bool(info["success"]) and not env.verified()
    success = False if cheated else info["success"]
    return Episode(index, count, total, success, info["stamp"] - began, 0, info.get("fault", "")), cheated


def policy_act(policy: Policy, seed: int, stochastic: bool = False) -> Act:
    """Acting with a policy: its mode, or with its own noise drawn by `seed`."""
    key = jax.random.key(derive(seed, "eval actions"))

    def act(observation: Mapping[str, NDArray], reading: Any, step: int) -> NDArray:
        return policy.act(observation, fold_in(key, step) if stochastic else None)

    return act
