"""Comparisons of clips until there are as many as wanted; each is on the disk before the next is asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from robot_rl.rewards.classifier.data import Frames
from robot_rl.rewards.preference import clips
from robot_rl.rewards.preference.configuration import LabelConfig
from robot_rl.rewards.preference.judges import Judge
from robot_rl.rewards.preference.store import Preference, add_preference, read_preferences

PICTURE_TOKENS = 750
"""Pixels that a vision-language model counts as a token, roughly."""
TEXT_TOKENS, ANSWER_TOKENS = 150, 120


def drawn(frames: Frames, config: LabelConfig, values: NDArray[np.float32] | None = None) -> clips.Pairs:
    """All pairs that are compared in the end, the same for the same seed. values: of an ensemble, (members, frames)."""
    rng = np.random.default_rng(config.seed)
    begin = clips.starts(frames, config.length)
    if config.pick == "disagreement" and values is not None:
        return clips.draw_by_disagreement(rng, begin, config.pairs, values, config.length)
    return clips.draw(rng, begin, config.pairs)


def estimate(frames: Frames, config: LabelConfig, pairs: int) -> tuple[int, float]:
    """Requests, and what they cost at most by the prices, roughly."""
    if not pairs:
        return 0, 0.0
    picture = clips.picture(
        frames, int(clips.starts(frames, config.length)[0]), config.length, config.camera, config.largest
    )
    width, height = int.from_bytes(picture[16:20], "big"), int.from_bytes(picture[20:24], "big")
    seen = 2 * width * height / PICTURE_TOKENS + TEXT_TOKENS
    heard = seen + (TEXT_TOKENS + ANSWER_TOKENS if config.stages == 2 else 0)
    cost = pairs * (heard * config.price_in + config.stages * ANSWER_TOKENS * config.price_out) / 1e6
    return pairs * config.stages, cost


def label(
    frames: Frames,
    config: LabelConfig,
    judge: Judge,
    folder: Path,
    pairs: clips.Pairs,
    tell: Callable[[int], None] = lambda done: None,
    stop: Callable[[], bool] = lambda: False,
) -> list[Preference]:
    """Compare the pairs that were not compared before. Raises what the judge does; what was said by then is kept."""
    known = read_preferences(folder)
    made = {(one.first, one.second) for one in known}
    for done, (first, second) in enumerate(pairs.tolist(), 1):
        places = clips.place_of(frames, first), clips.place_of(frames, second)
        if places not in made:
            if stop():
                break
            shown = [clips.picture(frames, i, config.length, config.camera, config.largest) for i in (first, second)]
            verdict = judge.compare(*shown)
            said = Preference(*places, verdict.answer, verdict.status, judge.name, verdict.text)
            add_preference(folder, said)
            known.append(said)
            made.add(places)
        tell(done)
    return known
