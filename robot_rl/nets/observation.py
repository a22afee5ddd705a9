"""Which named arrays a network sees: vectors joined in the order of their names, and images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from robot_rl.exceptions import DataError


@dataclass(frozen=True)
class ObservationSpec:
    """Names and shapes, sorted by name. vectors: float32 of (size,). images: uint8 of (height, width, channels)."""

    vectors: tuple[tuple[str, int], ...]
    images: tuple[tuple[str, tuple[int, int, int]], ...] = ()

    @classmethod
    def of(cls, example: Mapping[str, Any]) -> ObservationSpec:
        """Read it off one observation. DataError: an array that is neither a vector nor an image."""
        vectors, images = [], []
        for name in sorted(example):
            value = np.asarray(example[name])
            if value.dtype == np.uint8 and value.ndim == 3:
                images.append((name, (value.shape[0], value.shape[1], value.shape[2])))
            elif np.issubdtype(value.dtype, np.floating) and value.ndim <= 1:
                vectors.append((name, value.size))
            else:
                raise DataError(
                    f"observation {name!r} is {value.dtype} of shape {value.shape}; "
                    "give float32 of one axis or a uint8 image (height, width, channels)"
                )
        if not vectors and not images:
            raise DataError("the observation is empty; give it at least one array")
        return cls(tuple(vectors), tuple(images))

    @property
    def vector_size(self) -> int:
        return sum(size for _, size in self.vectors)

    def stacked(self, count: int) -> ObservationSpec:
        """Of `count` observations joined: vectors end to end, images channel after channel."""
        vectors = tuple((name, count * size) for name, size in self.vectors)
        return ObservationSpec(vectors, tuple((name, (h, w, count * c)) for name, (h, w, c) in self.images))

    def example(self) -> dict[str, np.ndarray]:
        """An observation of zeros."""
        zeros: dict[str, np.ndarray] = {name: np.zeros(size, np.float32) for name, size in self.vectors}
        return zeros | {name: np.zeros(shape, np.uint8) for name, shape in self.images}

    def check(self, observation: Mapping[str, Any]) -> None:
        """DataError: an array is missing, has another shape or kind, or is not finite. Further arrays are ignored."""
        for name, shape in (*((n, (size,)) for n, size in self.vectors), *self.images):
            if name not in observation:
                raise DataError(f"the observation lacks {name!r}; it has {sorted(observation)}")
            value = np.atleast_1d(observation[name])
            if value.shape != shape or (value.dtype == np.uint8) != (len(shape) == 3):
                raise DataError(
                    f"observation {name!r} is {value.dtype} of shape {value.shape}; the network was made for {shape}"
                )
            if value.dtype != np.uint8 and not np.isfinite(value).all():
                raise DataError(f"observation {name!r} is not finite: {value}; mend its source")

    def join(self, observation: Mapping[str, Any]) -> Array:
        """Vectors of one batch (..., vector_size), joined."""
        return jnp.concatenate([observation[name] for name, _ in self.vectors], axis=-1)
