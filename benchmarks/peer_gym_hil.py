"""Run by the peer's own Python: policy steps/s of gym-hil's PandaPickCube. Arguments: state|pixels, seconds."""

import json
import sys
import time

import gym_hil  # noqa: F401  (registers the environments)
import gymnasium


def main() -> None:
    """Random actions; only the steps are timed."""
    pixels, seconds = sys.argv[1] == "pixels", float(sys.argv[2])
    env = gymnasium.make("gym_hil/PandaPickCubeBase-v0", image_obs=pixels, random_block_position=True)
    env.action_space.seed(0)
    env.reset(seed=0)
    env.step(env.action_space.sample())
    steps, spent = 0, 0.0
    while spent < seconds:
        action = env.action_space.sample()
        start = time.perf_counter()
        _, _, terminated, truncated, _ = env.step(action)
        spent += time.perf_counter() - start
        steps += 1
        if terminated or truncated:
            env.reset()
    print(json.dumps({"rate": steps / spent}))


main()
