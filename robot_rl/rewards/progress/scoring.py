"""How far the task is done in recorded pictures: labels beside the set, from 0 to 1."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from robot_rl.data.beside import Judgement
from robot_rl.data.formats.experience import Experience
from robot_rl.data.transition import Transition
from robot_rl.exceptions import DataError
from robot_rl.rewards.preference.clips import moment_picture
from robot_rl.rewards.progress.configuration import ProgressConfig
from robot_rl.rewards.progress.model import ProgressModel


def score(
    experience: Experience,
    config: ProgressConfig,
    model: ProgressModel,
    every: int,
    tell: Callable[[int], None] = lambda done: None,
    stop: Callable[[], bool] = lambda: False,
) -> list[Judgement] | None:
    """The progress that each step led to: asked of every so many steps of an episode and of its last, between them on
    a line. None where `stop()` said so; what was answered is kept by the model.

    DataError: the set has no pictures, or an episode got no answer at all.
    """
    cameras = [item.name for item in experience.schema.observation if item.is_image]
    if not cameras:
        raise DataError(f"{experience.path} holds no pictures to look at; record with --obs pixels, or --keep-pictures")
    found: list[Judgement] = []
    for episode in episodes(experience):
        asked = sorted({*range(0, len(episode), every), len(episode) - 1})
        known, values = [], []
        for index in asked:
            if stop():
                return None
            shown = {name: episode[index].next_observation[name] for name in cameras}
            said = model.progress(moment_picture(shown, config.camera, config.largest))
            if said is not None:
                known.append(index)
                values.append(said)
        if not known:
            name = episode[0].episode
            raise DataError(f"no picture of episode {name} got an answer; see to the model, or discard the episode")
        line: NDArray[np.float64] = np.interp(np.arange(len(episode)), known, values)
        found += [Judgement(step.episode, step.step, float(value)) for step, value in zip(episode, line, strict=True)]
        tell(len(found))
    return found


def episodes(experience: Experience) -> Iterator[list[Transition]]:
    """The steps of each episode, without those that are discarded, one episode in memory at a time."""
    held: list[Transition] = []
    labels = experience.judgement()
    for step in experience.steps():
        if labels.discarded(step.episode, step.step):
            continue
        if held and held[-1].episode != step.episode:
            yield held
            held = []
        held.append(step)
    if held:
        yield held
