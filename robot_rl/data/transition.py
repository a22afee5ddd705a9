"""One record per environment step: what the actor saw, did and got."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

Observation = Mapping[str, NDArray]
"""Named arrays: float32 for measurements, uint8 (h, w, 3) for images, float16 (crops, h, w, c) for their features."""


@dataclass(frozen=True)
class Transition:
    """Step `step` of `episode`: from `observation` by `action` to `next_observation`.

    sequence: position in the actor's journal, from 0, without holes: the unit of delivery.
    policy_action: what the policy proposed; action: what was executed (the policy's or a person's), both
    float32 in [-1, 1] before leash, box and filter. intervened: `action` was a person's.
    next_observation: really observed at step + 1, at a time limit too.
    terminated stops bootstrapping, truncated does not. stamp, next_stamp: s, of the two observations.
    clamped: float32 (2,), m and rad, by which leash, box and filter changed the reference that `action` asked for.
    """

    actor: str
    sequence: int
    episode: str
    step: int
    stamp: float
    next_stamp: float
    observation: Observation
    next_observation: Observation
    policy_action: NDArray[np.float32]
    action: NDArray[np.float32]
    intervened: bool
    reward: float
    terminated: bool
    truncated: bool
    success: bool
    policy_version: int
    clamped: NDArray[np.float32] = field(default_factory=lambda: np.zeros(2, np.float32))


def endless(step: Transition) -> Transition:
    """A step whose worth is learnt: nobody says there when the task is done, so no end is one of its value."""
    return replace(step, terminated=False, truncated=True) if step.terminated else step
