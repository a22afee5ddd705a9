"""Pictures to features by frozen networks. Torch perceives and JAX learns, so torch is imported below here only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

FEATURES = (4, 4, 64)
"""Height, width and channels of every backbone's features."""


class Encoder(Protocol):
    """What looks at pictures: `robot_rl.perception.encoder.Perception`."""

    def encode(self, images: Mapping[str, NDArray[np.uint8]], tick: int) -> dict[str, NDArray[np.float16]]:
        """Features (crops, 4, 4, 64) of each camera's picture (h, w, 3); the crops are drawn by the tick."""
        ...
