"""Moments of the goal: where episodes that succeeded ended."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from robot_rl.data.label import Label, Labels, Record
from robot_rl.data.transition import Observation, Transition
from robot_rl.exceptions import DataError
from robot_rl.nets.observation import ObservationSpec


def goals_of(records: Iterable[Record], spec: ObservationSpec, hold: int, where: str) -> dict[str, NDArray]:
    """What the last `hold` steps of each episode that succeeded led to: arrays of (n, ...).

    DataError: none succeeded, or another camera saw it.
    """
    ends: dict[str, deque[Transition]] = {}
    labels = Labels()
    for record in records:
        if isinstance(record, Label):
            labels.add(record)
            continue
        spec.check(record.next_observation)
        ends.setdefault(record.episode, deque(maxlen=hold)).append(record)
    found: list[Observation] = []
    for episode, steps in ends.items():
        last = steps[-1]
        if labels.success(episode, last.step, last.success) and not labels.discarded(episode, last.step):
            found += [step.next_observation for step in steps]
    if not found:
        raise DataError(
            f"no episode of {where} succeeded, so nothing shows the goal; record some that do, "
            "or name another set with --goals"
        )
    return {name: np.stack([one[name] for one in found]) for name in spec.arrays}
