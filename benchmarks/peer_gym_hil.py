"""Run by the peer's own Python: policy steps of gym-hil's PandaPickCube per second, and per CPU second.

Arguments: state|pixels, seconds. Prints a JSON list.
"""

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
    steps, spent, busy = 0, 0.0, 0.0
    while spent < seconds:
        action = env.action_space.sample()
        start, start_busy = time.perf_counter(), time.process_time()
        _, _, terminated, truncated, _ = env.step(action)
        spent += time.perf_counter() - start
        busy += time.process_time() - start_busy
        steps += 1
        if terminated or truncated:
            env.reset()
    print(json.dumps([steps / spent, steps / busy]))


main()
