"""Moments of the goal: where episodes that succeeded ended."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from robot_rl.data.label import Label, Labels
from robot_rl.data.transition import Observation, Transition
from robot_rl.exceptions import DataError
from robot_rl.experience import Records
from robot_rl.nets.observation import ObservationSpec


def goals_of(records: Records, spec: ObservationSpec, hold: int, where: str) -> dict[str, NDArray]:
    """What the last `hold` steps of each episode that succeeded led to: arrays of (n, ...).

    DataError: none succeeded, or another camera saw it.
    """
    labels = Labels()
    for record in records:
        if isinstance(record, Label):
            labels.add(record)
    ends: dict[str, deque[Transition]] = {}
    for record in records:
        if isinstance(record, Label) or labels.discarded(record.episode, record.step):
            continue  # what came behind a late success is discarded
        spec.check(record.next_observation)
        ends.setdefault(record.episode, deque(maxlen=hold)).append(record)
    found: list[Observation] = []
    for episode, steps in ends.items():
        if labels.success(episode, steps[-1].step, steps[-1].success):
            found += [step.next_observation for step in steps]
    if not found:
        raise DataError(
            f"no episode of {where} succeeded, so nothing shows the goal; record some that do, "
            "or name another set with --goals"
        )
    return {name: np.stack([one[name] for one in found]) for name in spec.arrays}
