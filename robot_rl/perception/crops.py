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
    height, width = picture.shape[:2]
    out = np.empty((crops, *picture.shape), np.uint8)
    out[0] = picture
    down, right = max(1, round(SHIFT * height)), max(1, round(SHIFT * width))
    padded = np.pad(picture, ((down, down), (right, right), (0, 0)), mode="edge") if crops > 1 else picture
    for number in range(1, crops):
        row, column = rng.integers(2 * down + 1), rng.integers(2 * right + 1)
        shifted = padded[row : row + height, column : column + width]
        out[number] = _tones(rng)[shifted]
    return out


def _tones(rng: np.random.Generator) -> NDArray[np.uint8]:
    """(256,): what each tone becomes."""
    contrast, brightness = rng.uniform(1 - CONTRAST, 1 + CONTRAST), rng.uniform(-CONTRAST, CONTRAST)
    tones = (np.arange(256) / 255 - 0.5) * contrast + 0.5 + brightness
    return np.clip(255 * tones + 0.5, 0, 255).astype(np.uint8)
