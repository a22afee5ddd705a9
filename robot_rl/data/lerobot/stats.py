"""Mean, standard deviation, extremes and quantiles of a dataset's features, in one pass and bounded memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
_SAMPLE = 1 << 16
_PIXELS = 150  # a larger frame is judged by every k-th pixel, as LeRobot does

Described = dict[str, list]
"""A statistic's name to its values, nested lists as LeRobot stores them."""


class VectorStats:
    """Of vectors (rows, n). Quantiles are exact up to 2 * 65536 rows, beyond of every k-th row."""

    def __init__(self) -> None:
        self.count = 0
        self._mean = self._squares = self._low = self._high = np.zeros(0)
        self._sample: list[NDArray] = []
        self._held = 0
        self._every = 1

    def add(self, values: NDArray) -> None:
        """Take rows in; flags and integers count as numbers."""
        if not len(values):
            return
        values = values.reshape(len(values), -1).astype(np.float64)
        count, mean = len(values), values.mean(axis=0)
        squares = ((values - mean) ** 2).sum(axis=0)
        if not self.count:
            self._mean, self._squares = mean, squares
            self._low, self._high = values.min(axis=0), values.max(axis=0)
        else:  # Chan's update: no difference of large numbers
            shift, total = mean - self._mean, self.count + count
            self._mean = self._mean + shift * (count / total)
            self._squares = self._squares + squares + shift**2 * (self.count * count / total)
            self._low, self._high = (
                np.minimum(self._low, values.min(axis=0)),
                np.maximum(self._high, values.max(axis=0)),
            )
        kept = values[-self.count % self._every :: self._every]
        self.count += count
        self._sample.append(kept)
        self._held += len(kept)
        while self._held >= 2 * _SAMPLE:
            self._sample = [np.concatenate(self._sample)[::2]]
            self._held, self._every = len(self._sample[0]), 2 * self._every

    def describe(self) -> Described:
        """Every statistic, each a list of n; the count a list of one."""
        sample = np.concatenate(self._sample)
        quantiles = np.quantile(sample, list(QUANTILES.values()), axis=0)
        stats = {
            "min": self._low,
            "max": self._high,
            "mean": self._mean,
            "std": np.sqrt(self._squares / self.count),
            **dict(zip(QUANTILES, quantiles, strict=True)),
        }
        return {name: value.tolist() for name, value in stats.items()} | {"count": [self.count]}


class ImageStats:
    """Of frames uint8 (h, w, c), by channel and from 0 to 1: a histogram of 256 values has all of it."""

    def __init__(self) -> None:
        self.count = 0
        self._counts = np.zeros((0, 256), np.int64)

    def add(self, image: NDArray[np.uint8]) -> None:
        """Take a frame in."""
        every = max(1, max(image.shape[:2]) // _PIXELS)
        channels = np.moveaxis(image[::every, ::every], -1, 0).reshape(image.shape[-1], -1)
        counts = np.stack([np.bincount(channel, minlength=256) for channel in channels])
        self._counts = self._counts + counts if self.count else counts
        self.count += 1

    def describe(self) -> Described:
        """Every statistic, each (c, 1, 1); the count a list of one."""
        values, weights = np.arange(256) / 255.0, self._counts / self._counts.sum(axis=1, keepdims=True)
        mean = weights @ values
        below = np.cumsum(weights, axis=1)
        stats = {
            "min": values[(self._counts > 0).argmax(axis=1)],
            "max": values[255 - (self._counts[:, ::-1] > 0).argmax(axis=1)],
            "mean": mean,
            "std": np.sqrt((weights * (values - mean[:, None]) ** 2).sum(axis=1)),
            **{name: values[(below >= part - 1e-12).argmax(axis=1)] for name, part in QUANTILES.items()},
        }
        return {name: value.reshape(-1, 1, 1).tolist() for name, value in stats.items()} | {"count": [self.count]}
