"""Run by the peer's own Python: d3rlpy's IQL. Arguments: DATA.npz, gradient steps, seed, POLICY.pt, RESULT.json.

Its own defaults, which are the paper's, but for what both are given: 256x2, two critics, expectile 0.7, beta 3,
discount 0.99, rewards as the data has them. In RESULT.json: seconds of training.
"""

import json
import sys
import time
from pathlib import Path

import d3rlpy
import numpy as np


def main(data: Path, steps: int, seed: int, policy: Path, result: Path) -> None:
    d3rlpy.seed(seed)
    with np.load(data) as arrays:
        dataset = d3rlpy.dataset.MDPDataset(
            arrays["observations"], arrays["actions"], arrays["rewards"], arrays["terminals"], arrays["timeouts"]
        )
    algorithm = d3rlpy.algos.IQLConfig(
        batch_size=256, gamma=0.99, expectile=0.7, weight_temp=3.0, actor_learning_rate=3e-4, critic_learning_rate=3e-4
    ).create(device="cpu:0")
    began = time.monotonic()
    quiet = d3rlpy.logging.NoopAdapterFactory()
    algorithm.fit(
        dataset, n_steps=steps, n_steps_per_epoch=steps, logger_adapter=quiet, show_progress=False, save_interval=10**9
    )
    wall = time.monotonic() - began
    algorithm.save_policy(str(policy))
    result.write_text(json.dumps({"wall_s": wall}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]), Path(sys.argv[5]))
