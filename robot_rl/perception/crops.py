"""Crops of a frame: itself, and variations of it that a policy should see as the same."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SHIFT = 0.05
"""Largest shift of a crop, in parts of the picture's height and width."""
CONTRAST = 0.1
"""Largest change of contrast, in parts; of brightness, in parts of white."""

Pictures = NDArray[np.uint8]


def make_crops(picture: Pictures, crops: int, rng: np.random.Generator) -> Pictures:
    """(crops, h, w, 3): first the picture (h, w, 3) itself, then shifted copies of other brightness and contrast.

    What a shift uncovers repeats the border.
    """
    out = np.empty((crops, *picture.shape), np.uint8)
    out[0] = picture
    most = [max(1, round(SHIFT * length)) for length in picture.shape[:2]]
    for number in range(1, crops):
        down, right = (int(rng.integers(-length, length + 1)) for length in most)
        out[number] = _tones(rng)[shift(picture, right, down)]
    return out


def shift(picture: Pictures, columns: int, rows: int) -> Pictures:
    """The picture (h, w, 3) moved right and down by so many pixels, its border repeated."""
    height, width = picture.shape[:2]
    take_rows = np.clip(np.arange(height) - rows, 0, height - 1)
    take_columns = np.clip(np.arange(width) - columns, 0, width - 1)
    return picture[take_rows][:, take_columns]


def _tones(rng: np.random.Generator) -> NDArray[np.uint8]:
    """(256,): what each tone becomes."""
    contrast, brightness = rng.uniform(1 - CONTRAST, 1 + CONTRAST), rng.uniform(-CONTRAST, CONTRAST)
    tones = (np.arange(256) / 255 - 0.5) * contrast + 0.5 + brightness
    return np.clip(255 * tones + 0.5, 0, 255).astype(np.uint8)
