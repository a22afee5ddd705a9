"""Recorded episodes whose pictures or features show whether they succeeded."""

import numpy as np

from robot_rl.data.journal import Journal
from robot_rl.data.schema import Schema
from robot_rl.data.transition import Transition

SHAPE = (2, 4, 4, 64)
THEIRS = "0123456789abcdef"
ACTIONS = ("x", "y")


def features(rng, shows):
    """Noise; a success shows in the channels of one cell."""
    maps = rng.normal(size=SHAPE)
    maps[:, 1, 2] += 4.0 if shows else 0.0
    return {"wrist_features": maps.astype(np.float16)}


def pictures(rng, shows):
    """A dark room; a success is a bright square in the middle."""
    picture = rng.integers(0, 60, (64, 64, 3), np.uint8)
    if shows:
        picture[20:44, 20:44] = 230
    return {"wrist": picture}


def record(
    folder, episodes=40, length=6, seed=0, observe=features, task="reach", successes=0.6, flip=0.0, backbone=THEIRS
):
    """Of the episodes a part succeeds, with the last step. flip: part of the frames that show the opposite."""
    rng = np.random.default_rng(seed)
    example = observe(rng, False)
    notes = {name: ("1", f"of the frame, by backbone {backbone}") for name in example if name.endswith("features")}
    with Journal(folder, Schema.from_example(task, example, ACTIONS, notes), sync=False) as journal:
        for episode in range(episodes):
            succeeds = rng.random() < successes
            seen = observe(rng, False)
            for step in range(length):
                last = step == length - 1
                success = succeeds and last
                after = observe(rng, success != (rng.random() < flip))
                action = rng.uniform(-1, 1, 2).astype(np.float32)
                journal.append(
                    Transition(
                        "actor0", journal.next_sequence, f"{seed}-{episode}", step, step / 10, step / 10 + 0.1,
                        seen, after, action, action, False, float(success), success, last and not success, success, 0,
                    )
                )  # fmt: skip
                seen = after
    return folder
