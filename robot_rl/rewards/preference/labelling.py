"""Comparisons of clips until there are as many as wanted; each is on the disk before the next is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from robot_rl.rewards.classifier.data import Frames
from robot_rl.rewards.preference import clips
from robot_rl.rewards.preference.configuration import LabelConfig
from robot_rl.rewards.preference.judges import Judge
from robot_rl.rewards.preference.store import Preference, add_preference

PICTURE_TOKENS = 750
"""Pixels that a vision-language model counts as a token, roughly."""
TEXT_TOKENS, ANSWER_TOKENS = 150, 120


def left_to_ask(
    frames: Frames, config: LabelConfig, known: Sequence[Preference], values: NDArray[np.float32] | None = None
) -> clips.Pairs:
    """The pairs that are missing to `config.pairs` in all, none of which was compared before.

    Drawn uniformly they are the same for the same seed, and asking for more adds to them. values: of an ensemble
    (members, frames), whose members' disagreement picks pairs where that is wanted.
    """
    missing = max(0, config.pairs - len(known))
    rng, begin = np.random.default_rng(config.seed), clips.starts(frames, config.length)
    if config.pick == "disagreement" and values is not None:
        found = clips.draw_by_disagreement(rng, begin, config.pairs, values, config.length)
    else:
        found = clips.draw(rng, begin, 2 * config.pairs)  # some are the same
    made = {(one.first, one.second) for one in known}
    fresh = [pair for pair in found.tolist() if (frames.place[pair[0]], frames.place[pair[1]]) not in made]
    unique = list(dict.fromkeys(map(tuple, fresh)))[:missing]
    return np.array(unique, np.int64).reshape(-1, 2)


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
    session: int = 0,
) -> None:
    """Compare the pairs, until `stop()`; session: that they are noted under.

    Raises what the judge does; what was said by then is kept.
    """
    for done, (first, second) in enumerate(pairs.tolist(), 1):
        if stop():
            return
        shown = [clips.picture(frames, i, config.length, config.camera, config.largest) for i in (first, second)]
        verdict = judge.compare(*shown)
        places = frames.place[first], frames.place[second]
        add_preference(folder, Preference(*places, verdict.answer, verdict.status, judge.name, verdict.text, session))
        tell(done)
