"""A recorded set in which a bright square goes to the right, or nowhere in particular."""

import numpy as np

from robot_rl.data.journal import Journal
from robot_rl.data.schema import Schema
from robot_rl.data.transition import Transition

SIZE = 64


def picture(rng, x):
    """The square at x, 0 to 1."""
    shown = rng.integers(0, 50, (SIZE, SIZE, 3), np.uint8)
    column = int(x * (SIZE - 16))
    shown[24:40, column : column + 16] = 235
    return shown


def record(folder, episodes=8, length=10, seed=0, task="reach"):
    """The action moves the square; the reward is left out: nobody said anything."""
    rng = np.random.default_rng(seed)
    form = Schema.from_example(task, {"wrist": picture(rng, 0), "x": np.zeros(1, np.float32)}, ("x",))
    with Journal(folder, form, sync=False) as journal:
        for episode in range(episodes):
            x = rng.random()
            seen = {"wrist": picture(rng, x), "x": np.array([x], np.float32)}
            for step in range(length):
                action = rng.uniform(-1, 1, 1).astype(np.float32)
                x = float(np.clip(x + 0.2 * action[0], 0, 1))
                after = {"wrist": picture(rng, x), "x": np.array([x], np.float32)}
                last = step == length - 1
                journal.append(
                    Transition(
                        "actor0", journal.next_sequence, f"{seed}-{episode}", step, step / 10, step / 10 + 0.1,
                        seen, after, action, action, False, 0.0, False, last, False, 0,
                    )
                )  # fmt: skip
                seen = after
    return folder
