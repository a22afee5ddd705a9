"""Transitions for the tests of this folder: episodes of a small environment with and without a camera."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from robot_rl.data.label import Label, Record
from robot_rl.data.schema import Schema
from robot_rl.data.transition import Transition

ACTIONS = ("x", "y", "gripper")


def observation(rng: np.random.Generator, images: bool, features: bool = False) -> dict[str, np.ndarray]:
    """Two vectors, one of them with a slash in its name, a frame, and a frozen backbone's features of one."""
    values: dict[str, np.ndarray] = {
        "tool_position": rng.normal(size=3).astype(np.float32),
        "sim/cube": rng.normal(size=(2, 3)).astype(np.float32),
    }
    if images:
        values["wrist"] = rng.integers(0, 256, (6, 5, 3), dtype=np.uint8)
    if features:
        values["wrist_features"] = rng.normal(size=(2, 1, 2, 3)).astype(np.float16)
    return values


def schema(images: bool = False, task: str = "reach", features: bool = False) -> Schema:
    units = {"tool_position": ("1", "over 0.05 m")}
    return Schema.from_example(task, observation(np.random.default_rng(0), images, features), ACTIONS, units)


def stream(
    count: int,
    images: bool = False,
    seed: int = 0,
    length: int = 4,
    actor: str = "actor0",
    first: int = 0,
    clamps: bool = True,
    features: bool = False,
) -> Iterator[Transition]:
    """`count` transitions in episodes of `length`, whose last is terminated or truncated in turn."""
    rng = np.random.default_rng(seed)
    before = observation(rng, images, features)
    for index in range(count):
        step, episode = index % length, index // length
        last = step == length - 1
        after = observation(rng, images, features)
        yield Transition(
            actor=actor,
            sequence=first + index,
            episode=f"{seed}-{first}-{episode}",
            step=step,
            stamp=0.1 * (first + index),
            next_stamp=0.1 * (first + index + 1),
            observation=before,
            next_observation=after,
            policy_action=rng.uniform(-1, 1, len(ACTIONS)).astype(np.float32),
            action=rng.uniform(-1, 1, len(ACTIONS)).astype(np.float32),
            intervened=bool(rng.integers(2)),
            reward=float(rng.normal()),
            terminated=last and episode % 2 == 0,
            truncated=last and episode % 2 == 1,
            success=last and episode % 2 == 0,
            policy_version=index // 3,
            clamped=rng.uniform(0, 0.01, 2).astype(np.float32) if clamps else np.zeros(2, np.float32),
        )
        before = observation(rng, images, features) if last else after


def judged(
    count: int, images: bool = False, seed: int = 0, length: int = 4, actor: str = "actor0", every: int = 3
) -> Iterator[Record]:
    """As `stream`, numbered anew with a label behind every `every` transitions."""
    sequence = 0
    for index, transition in enumerate(stream(count, images, seed, length, actor)):
        yield dataclasses.replace(transition, sequence=sequence)
        sequence += 1
        if index % every == every - 1:
            step, kind = (transition.step, "reward") if index % 2 else (-1, "success")
            stamp = transition.next_stamp + 0.01
            yield Label(actor, sequence, stamp, transition.episode, step, "human", index, kind, 1.0)
            sequence += 1


def same(left: Record, right: Record) -> bool:
    """Equal to the bit, dtypes included."""
    if isinstance(left, Label) or isinstance(right, Label):
        return left == right
    for name in Transition.__dataclass_fields__:
        a, b = getattr(left, name), getattr(right, name)
        if isinstance(a, dict):
            if a.keys() != b.keys() or not all(_equal(a[key], b[key]) for key in a):
                return False
        elif isinstance(a, np.ndarray):
            if not _equal(a, b):
                return False
        elif a != b or type(a) is not type(b):
            return False
    return True


def _equal(left: np.ndarray, right: np.ndarray) -> bool:
    return left.dtype == right.dtype and left.shape == right.shape and left.tobytes() == right.tobytes()
