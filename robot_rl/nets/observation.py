"""Which named arrays a network sees: vectors joined in the order of their names, images, and maps of features."""

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
    """Names and shapes, sorted by name. vectors: float32 of (size,). images: uint8 of (height, width, channels).

    features: float16 of (crops, height, width, channels), a frozen backbone's maps of one frame. The first is of the
    plain frame, the others are of random crops of it.
    """

    vectors: tuple[tuple[str, int], ...]
    images: tuple[tuple[str, tuple[int, int, int]], ...] = ()
    features: tuple[tuple[str, tuple[int, int, int, int]], ...] = ()

    @classmethod
    def of(cls, example: Mapping[str, Any]) -> ObservationSpec:
        """Read it off one observation. DataError: an array that is neither a vector, an image nor maps of features."""
        vectors, images, features = [], [], []
        for name in sorted(example):
            value = np.asarray(example[name])
            if value.dtype == np.uint8 and value.ndim == 3:
                images.append((name, (value.shape[0], value.shape[1], value.shape[2])))
            elif value.dtype == np.float16 and value.ndim == 4:
                features.append((name, (value.shape[0], value.shape[1], value.shape[2], value.shape[3])))
            elif np.issubdtype(value.dtype, np.floating) and value.ndim <= 1:
                vectors.append((name, value.size))
            else:
                raise DataError(
                    f"observation {name!r} is {value.dtype} of shape {value.shape}; give float32 of one axis, a uint8 "
                    "image (height, width, channels) or float16 features (crops, height, width, channels)"
                )
        if not vectors and not images and not features:
            raise DataError("the observation is empty; give it at least one array")
        return cls(tuple(vectors), tuple(images), tuple(features))

    @property
    def vector_size(self) -> int:
        return sum(size for _, size in self.vectors)

    @property
    def arrays(self) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
        """Shape and kind of everything, by name: vectors, images, features."""
        return {
            **{name: ((size,), np.dtype(np.float32)) for name, size in self.vectors},
            **{name: (shape, np.dtype(np.uint8)) for name, shape in self.images},
            **{name: (shape, np.dtype(np.float16)) for name, shape in self.features},
        }

    def stacked(self, count: int) -> ObservationSpec:
        """Of `count` observations joined: vectors end to end, images and features channel after channel."""
        return ObservationSpec(
            tuple((name, count * size) for name, size in self.vectors),
            tuple((name, (h, w, count * c)) for name, (h, w, c) in self.images),
            tuple((name, (crops, h, w, count * c)) for name, (crops, h, w, c) in self.features),
        )

    def example(self) -> dict[str, np.ndarray]:
        """An observation of zeros."""
        return {name: np.zeros(shape, dtype) for name, (shape, dtype) in self.arrays.items()}

    def check(self, observation: Mapping[str, Any]) -> None:
        """DataError: an array is missing, has another shape or kind, or is not finite. Further arrays are ignored."""
        for name, (shape, dtype) in self.arrays.items():
            if name not in observation:
                raise DataError(f"the observation lacks {name!r}; it has {sorted(observation)}")
            value = np.atleast_1d(observation[name])
            of_kind = value.dtype == dtype if len(shape) > 1 else value.dtype != np.uint8
            if value.shape != shape or not of_kind:
                raise DataError(
                    f"observation {name!r} is {value.dtype} of shape {value.shape}; "
                    f"the network was made for {dtype} of shape {shape}"
                )
            if value.dtype != np.uint8 and not np.isfinite(value).all():
                raise DataError(f"observation {name!r} is not finite: {value}; mend its source")

    def join(self, observation: Mapping[str, Any]) -> Array:
        """Vectors of one batch (..., vector_size), joined."""
        return jnp.concatenate([observation[name] for name, _ in self.vectors], axis=-1)
