"""Gymnasium's spaces as this system knows them: observations as named arrays, actions in [-1, 1]."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from robot_rl.exceptions import ConfigError

SMALLEST = 8
"""Pixels: a float array of three axes is an image from this height and width on."""
ALONE = {True: "image", False: "state"}
"""Name of an observation that is one array: whether it is an image."""

Convert = Callable[[Any], NDArray]


@dataclass(frozen=True)
class Flattened:
    """Observations of any box or (nested) dictionary of boxes, as float32 vectors and uint8 images (h, w, channels).

    Names of nested dictionaries are joined by `/`. Floats and integers become float32 vectors; uint8 of one axis is
    scaled to [0, 1]. An image is uint8 of two or three axes, or floats of three axes that are bounded and have 1, 3 or
    4 channels, scaled to 0..255 by their bounds; channels that come first are moved to the end.
    """

    parts: tuple[tuple[str, tuple[str, ...], Convert], ...]

    @classmethod
    def of(cls, space: spaces.Space[Any], where: str) -> Flattened:
        """Raises `ConfigError`, naming the part of the environment `where`, for a space that is none of these."""
        parts = []
        for path, box in _boxes(space, (), where):
            convert, image = _converter(box)
            parts.append(("/".join(path) or ALONE[image], path, convert))
        return cls(tuple(parts))

    def __call__(self, observation: Any) -> dict[str, NDArray]:
        found = {}
        for name, path, convert in self.parts:
            value = observation
            for key in path:
                value = value[key]
            found[name] = convert(value)
        return found


def _boxes(space: spaces.Space[Any], path: tuple[str, ...], where: str) -> Iterator[tuple[tuple[str, ...], spaces.Box]]:
    """The boxes that `space` is made of, with their keys."""
    if isinstance(space, spaces.Dict):
        for key, part in space.items():
            yield from _boxes(part, (*path, str(key)), where)
    elif isinstance(space, spaces.Box):
        yield path, space
    else:
        name = f"observation {'/'.join(path)!r}" if path else "observation"
        raise ConfigError(
            f"the {name} of {where} is {type(space).__name__}, but only boxes and dictionaries of boxes can be "
            "learnt from; wrap the environment, for instance with gymnasium's FlattenObservation."
        )


def _converter(box: spaces.Box) -> tuple[Convert, bool]:
    """How a value of `box` is converted, and whether it becomes an image."""
    if box.dtype == np.uint8 and len(box.shape) in (2, 3):
        return _image(box.shape, None), True
    bounded = bool(np.isfinite(box.low).all() and np.isfinite(box.high).all())
    if _looks_like_image(box.shape) and bounded and np.issubdtype(box.dtype, np.floating):
        return _image(box.shape, (float(box.low.min()), float(box.high.max()))), True
    scale = np.float32(1 / 255 if box.dtype == np.uint8 else 1)
    return (lambda value: np.asarray(value, np.float32).reshape(-1) * scale), False


def _channels_first(shape: tuple[int, ...]) -> bool:
    return len(shape) == 3 and shape[0] in (1, 3, 4) and shape[2] not in (1, 3, 4)


def _looks_like_image(shape: tuple[int, ...]) -> bool:
    if len(shape) != 3:
        return False
    height, width, channels = (*shape[1:], shape[0]) if _channels_first(shape) else shape
    return channels in (1, 3, 4) and min(height, width) >= SMALLEST


def _image(shape: tuple[int, ...], bounds: tuple[float, float] | None) -> Convert:
    """To uint8 (h, w, channels). bounds: of floats, which become 0 and 255."""
    first = _channels_first(shape)

    def convert(value: Any) -> NDArray[np.uint8]:
        array = np.asarray(value)
        if bounds is not None:
            low, high = bounds
            array = np.rint((array - low) * (255 / (high - low))).clip(0, 255)
        array = array.astype(np.uint8)
        if first:
            array = np.moveaxis(array, 0, -1)
        return np.ascontiguousarray(array if array.ndim == 3 else array[..., None])

    return convert


@dataclass(frozen=True)
class Actions:
    """A box of finite bounds, seen as [-1, 1] of shape (size,)."""

    low: NDArray
    high: NDArray
    box: spaces.Box

    @classmethod
    def of(cls, space: spaces.Space[Any], where: str) -> Actions:
        """Raises `ConfigError`, naming the environment `where`, for actions that are not continuous and bounded."""
        if not isinstance(space, spaces.Box) or not np.issubdtype(space.dtype, np.floating):
            kind = f"{type(space).__name__} of {space.dtype}" if isinstance(space, spaces.Box) else type(space).__name__
            raise ConfigError(
                f"the actions of {where} are {kind}, but the agents here act in boxes of floats; "
                "choose an environment with continuous actions."
            )
        if not (np.isfinite(space.low).all() and np.isfinite(space.high).all()):
            raise ConfigError(
                f"the actions of {where} are not bounded ({space}); "
                "give them finite bounds, for instance with gymnasium's RescaleAction or ClipAction."
            )
        return cls(space.low.astype(np.float64), space.high.astype(np.float64), space)

    @property
    def size(self) -> int:
        """Numbers in an action."""
        return int(np.prod(self.box.shape))

    def __call__(self, action: NDArray) -> NDArray:
        """What the environment takes for `action` (size,), clipped to [-1, 1]."""
        share = (np.clip(action, -1.0, 1.0).astype(np.float64).reshape(self.box.shape) + 1) / 2
        return (self.low + share * (self.high - self.low)).clip(self.low, self.high).astype(self.box.dtype)


def names(size: int) -> tuple[str, ...]:
    """What the numbers of an action are called."""
    return tuple(f"a{index}" for index in range(size))


def checked(observation: Mapping[str, NDArray]) -> Mapping[str, NDArray]:
    """An observation with something in it. Raises `ConfigError`."""
    if not observation:
        raise ConfigError("the environment shows nothing: its observation has no part; give it one.")
    return observation
