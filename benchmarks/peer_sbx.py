"""Run by the peer's own Python: sbx's SAC. Arguments: environment, steps, seed, evaluation every, episodes, RESULT.

Its own defaults, but four gradient steps a step. In RESULT.json: steps and mean returns of its deterministic policy on
fresh episodes, and seconds of training without them.
"""

import json
import sys
import time
from pathlib import Path

import gymnasium
import numpy as np
from sbx import SAC
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.evaluation import evaluate_policy


class Evaluate(BaseCallback):
    """Evaluates every so many steps, always on the same episodes."""

    def __init__(self, name: str, every: int, episodes: int) -> None:
        super().__init__()
        self.name, self.every, self.episodes = name, every, episodes
        self.found: list[dict[str, float]] = []
        self.seconds = 0.0

    def _on_step(self) -> bool:
        if self.num_timesteps % self.every:
            return True
        began = time.monotonic()
        env = gymnasium.make(self.name)
        env.reset(seed=1000)
        returns, _ = evaluate_policy(
            self.model, env, self.episodes, deterministic=True, return_episode_rewards=True, warn=False
        )
        self.found.append({"step": self.num_timesteps, "mean_return": float(np.mean(returns))})
        env.close()
        self.seconds += time.monotonic() - began
        return True


def main(name: str, steps: int, seed: int, every: int, episodes: int, result: Path) -> None:
    evaluate = Evaluate(name, every, episodes)
    began = time.monotonic()
    SAC("MlpPolicy", name, gradient_steps=4, seed=seed).learn(steps, callback=evaluate)
    wall = time.monotonic() - began - evaluate.seconds
    result.write_text(json.dumps({"kept": evaluate.found, "wall_s": wall, "steps": steps}))


if __name__ == "__main__":
    asked, counts, to = sys.argv[1], map(int, sys.argv[2:6]), Path(sys.argv[6])
    steps, seed, every, episodes = counts
    main(asked, steps, seed, every, episodes, to)
