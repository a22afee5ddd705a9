"""Every frame is looked at once: what acts, learns and judges reads the same features of it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from robot_rl.exceptions import DataError
from robot_rl.perception.backbone import fingerprint, open_backbone
from robot_rl.perception.crops import Pictures, make_crops

Features = NDArray[np.float16]


class Perception:
    """A frozen backbone over the cameras of a cell.

    The crops of a tick are drawn by (seed, tick): the same pictures give the same features, whoever asks.
    """

    def __init__(self, backbone: str = "compact", crops: int = 4, *, seed: int = 0, threads: int = 1) -> None:
        """threads: that torch may use in this process; the learner wants the other core.

        Raises `ConfigError` for a backbone that cannot be had, `DataError` for damaged weights.
        """
        torch.set_num_threads(threads)
        self.backbone, self.crops, self._seed = backbone, crops, seed
        self._network = open_backbone(backbone)
        self.fingerprint = fingerprint(self._network)

    def encode(self, images: Mapping[str, Pictures], tick: int) -> dict[str, Features]:
        """Features (crops, 4, 4, 64) of each camera's picture (h, w, 3), the first of the picture as it is.

        Raises `DataError` where a network sees what is not finite.
        """
        rng = np.random.default_rng((self._seed, tick))
        crops = {name: make_crops(images[name], self.crops, rng) for name in sorted(images)}
        maps = self._look(crops)
        if not np.isfinite(maps).all():
            raise DataError(f"backbone {self.backbone} gives features that are not finite; use another one")
        return {name: maps[i * self.crops : (i + 1) * self.crops] for i, name in enumerate(crops)}

    def _look(self, crops: Mapping[str, Pictures]) -> Features:
        """(cameras * crops, 4, 4, 64); one call where the pictures are of one size."""
        shapes = {pictures.shape for pictures in crops.values()}
        batches = [np.concatenate(list(crops.values()))] if len(shapes) == 1 else list(crops.values())
        with torch.inference_mode():
            maps = [self._network(torch.from_numpy(batch)).permute(0, 2, 3, 1).numpy() for batch in batches]
        return np.ascontiguousarray(np.concatenate(maps)).astype(np.float16)
