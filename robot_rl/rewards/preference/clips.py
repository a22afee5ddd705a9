"""Pairs of clips to compare, drawn from recorded frames, and the pictures that show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from robot_rl.data.formats.intake import resize
from robot_rl.data.png import encode_png
from robot_rl.exceptions import DataError
from robot_rl.rewards.classifier.data import Frames, Picture

SHOWN = 4
"""Frames of a longer clip that are shown, side by side."""
CANDIDATES = 10
"""Pairs that are looked at for each that is taken by disagreement."""
Pairs = NDArray[np.int64]
"""(n, 2): of each clip its first frame's number."""


def starts(frames: Frames, length: int) -> NDArray[np.int64]:
    """Numbers of the frames at which a clip of so many successive ones of an episode begins. DataError: none does."""
    found = [
        index
        for index in range(len(frames) - length + 1)
        if frames.place[index + length - 1] == (frames.place[index][0], frames.place[index][1] + length - 1)
    ]
    if len(found) < 2:
        raise DataError(f"there are {len(found)} clips of {length} frames; record more, or give a smaller --length")
    return np.array(found, np.int64)


def draw(rng: np.random.Generator, begin: NDArray[np.int64], count: int) -> Pairs:
    """`count` pairs of two different clips, uniformly; more of them begin with the same ones."""
    drawn = rng.random((count, 2))
    first = (drawn[:, 0] * len(begin)).astype(np.int64)
    second = (first + 1 + (drawn[:, 1] * (len(begin) - 1)).astype(np.int64)) % len(begin)
    return np.stack([begin[first], begin[second]], axis=1)


def draw_by_disagreement(
    rng: np.random.Generator, begin: NDArray[np.int64], count: int, values: NDArray[np.float32], length: int
) -> Pairs:
    """Of many pairs those on which the members of an ensemble differ most. values: (members, frames)."""
    pairs = draw(rng, begin, CANDIDATES * count)
    worth = np.stack([values[:, pairs + shift] for shift in range(length)]).sum(0)  # (members, n, 2)
    prefers = 1 / (1 + np.exp(worth[..., 0] - worth[..., 1]))
    return pairs[np.argsort(-prefers.std(0), kind="stable")[:count]]


def picture(frames: Frames, index: int, length: int, camera: str, largest: int) -> bytes:
    """The clip as a PNG: its frames from left to right; the cameras, where all are wanted, above each other."""
    shown = np.unique(np.linspace(0, length - 1, min(length, SHOWN)).astype(int))
    columns = [_stack(frames.pictures[index + shift], camera) for shift in shown]
    return _png(np.concatenate(columns, axis=1), largest)


def _png(whole: Picture, largest: int) -> bytes:
    factor = largest / max(whole.shape[:2])
    if factor < 1:
        whole = resize(whole, (max(1, int(whole.shape[0] * factor)), max(1, int(whole.shape[1] * factor))))
    return encode_png(np.ascontiguousarray(whole))


def moment_picture(images: Mapping[str, Picture], camera: str, largest: int) -> bytes:
    """A moment as a PNG: the camera, or all of them above each other. DataError: there is no such camera."""
    if camera and camera not in images:
        raise DataError(f"there is no camera '{camera}'; there are {', '.join(sorted(images))}")
    return _png(_stack(images, camera), largest)


def check_camera(frames: Frames, camera: str) -> None:
    """Raise `DataError` where the set has no pictures, or none of this camera."""
    if not frames.pictures:
        raise DataError("the set holds features and no pictures to compare; record it with --obs pixels")
    names: Sequence[str] = sorted(frames.pictures[0])
    if camera and camera not in names:
        raise DataError(f"the set has no camera '{camera}'; it has {', '.join(names)}")


def _stack(moment: Mapping[str, Picture], camera: str) -> Picture:
    pictures = [moment[camera]] if camera else [moment[name] for name in sorted(moment)]
    width = max(one.shape[1] for one in pictures)
    padded = [np.pad(one, ((0, 0), (0, width - one.shape[1]), (0, 0))) for one in pictures]
    return np.concatenate(padded)
