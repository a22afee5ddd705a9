"""Which feature of a dataset is what of a transition.

A map has our names on the left: `action`, `policy_action`, `intervened`, `reward`, `done`, `terminated`, `truncated`,
`success`, `policy_version`; every other name is an observation's. On the right stands a feature, or some of its
elements: `joint_position=observation.state[0:7]`. What is not mapped is found by LeRobot's own names.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot_rl.data.demos import check_same
from robot_rl.data.formats.intake import TOLERANCE, resize, scaled
from robot_rl.data.formats.mapping import Scale
from robot_rl.data.lerobot.dataset import Dataset, Row
from robot_rl.data.lerobot.features import FLAT, IMAGES, camera, exported_schema, groups, size
from robot_rl.data.lerobot.layout import Feature
from robot_rl.data.schema import Field, Schema
from robot_rl.data.transition import Observation
from robot_rl.exceptions import DataError

DEFAULTS = {
    "action": "action",
    "policy_action": "policy_action",
    "intervened": "intervention",
    "reward": "next.reward",
    "done": "next.done",
    "terminated": "next.terminated",
    "truncated": "next.truncated",
    "success": "next.success",
    "policy_version": "policy_version",
}
"""Our names besides observations, and where they are looked for."""

OWN = {
    "reward": "raw.reward",
    "success": "raw.success",
    "step": "step",
    "stamp": "stamp",
    "next_stamp": "next_stamp",
    "clamped": "clamped",
    "episode": "episode_id",
    "actor": "actor",
}
"""Further ones, or others, in a dataset that was exported here."""

_ACTIONS = ("action", "policy_action")
_ENDS = ("done", "terminated", "truncated")
_KINDS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("intervened", "success"), bool),
    **dict.fromkeys(("reward", "stamp", "next_stamp"), float),
    **dict.fromkeys(("step", "policy_version"), int),
}
_SLICE = re.compile(r"(.+)\[(\d+):(\d+)\]")


@dataclass(frozen=True)
class Source:
    """A feature, or its elements from `start` to before `stop`; size: (h, w) that an image is brought to."""

    feature: Feature
    start: int = 0
    stop: int | None = None
    size: tuple[int, int] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of what it gives."""
        if self.feature.is_image:
            height, width, channels = self.feature.image_shape
            return (*(self.size or (height, width)), 3 if self.feature.dtype == "video" else channels)
        return self.feature.shape if self.stop is None else (self.stop - self.start,)

    def of(self, row: Row) -> Any:
        """Its value in a row."""
        value = row[self.feature.name]
        return value if self.stop is None else np.ravel(value)[self.start : self.stop]

    @classmethod
    def parse(cls, text: str, dataset: Dataset, image_size: tuple[int, int] | None = None) -> Source:
        """What the right side of a map means. Raises `DataError`."""
        if text in dataset.info.features or not (match := _SLICE.fullmatch(text)):
            return cls(dataset.feature(text), size=image_size)
        feature, start, stop = dataset.feature(match[1]), int(match[2]), int(match[3])
        if not feature.is_number or not start < stop <= math.prod(feature.shape):
            raise DataError(f"'{text}' is no part of '{feature.name}', which is {feature.dtype} {feature.shape}")
        return cls(feature, start, stop)


@dataclass(frozen=True)
class Plan:
    """How a dataset's rows become transitions of `schema`."""

    schema: Schema
    observations: tuple[tuple[Field, Source], ...]
    sources: Mapping[str, Source]
    exported: bool
    scale: Scale

    @property
    def features(self) -> tuple[str, ...]:
        """The features that are read."""
        needed = [source.feature.name for _, source in self.observations]
        needed += [source.feature.name for source in self.sources.values()]
        if self.exported:
            needed += [feature.name for feature in FLAT]
        return tuple(dict.fromkeys(needed))

    def observation(self, row: Row) -> Observation:
        """What was seen in a row."""
        return {field.name: _fit(source.of(row), field) for field, source in self.observations}

    def observation_only(self, row: Row) -> bool:
        """Whether no transition begins in this row."""
        return self.exported and bool(row["observation_only"])

    def ends(self, row: Row) -> tuple[bool, bool]:
        """(terminated, truncated). Where only `done` says that an episode ended, success or its lack tells how."""
        found = {name: bool(np.all(self.sources[name].of(row))) for name in _ENDS if name in self.sources}
        if "terminated" in found:
            return found["terminated"], found.get("truncated", found.get("done", False) and not found["terminated"])
        done = found.get("done", False)
        if "truncated" in found:
            return done and not found["truncated"], found["truncated"]
        if "success" in self.sources:
            success = bool(np.all(self.sources["success"].of(row)))
            return done and success, done and not success
        return done, False

    def values(self, row: Row) -> dict[str, Any]:
        """The members of a transition that the row has, besides observations and its end. Raises `DataError`."""
        values: dict[str, Any] = {}
        for name, source in self.sources.items():
            if name in _ENDS:
                continue
            value = source.of(row)
            if name in _ACTIONS:
                values[name] = self._action(value, name)
            elif name == "clamped":
                values[name] = np.array(value, np.float32)
            else:
                values[name] = value if isinstance(value, str) else _KINDS[name](np.ravel(value)[0])
        return values

    def _action(self, value: NDArray, name: str) -> NDArray[np.float32]:
        if self.exported and not self.scale.low:
            return np.array(value, np.float32).reshape(-1)
        return scaled(np.reshape(value, (1, -1)), self.scale, f"'{self.sources[name].feature.name}'")[0]

    def judged(self, row: Row) -> dict[str, float]:
        """A label's kind to its value, where what holds of an exported row is not what was recorded."""
        if not self.exported:
            return {}
        kinds = {
            "reward": row["next.reward"] != row["raw.reward"],
            "success": row["next.success"] != row["raw.success"],
            "discard": row["discarded"],
        }
        values = {"reward": row["next.reward"], "success": row["next.success"], "discard": 1.0}
        return {kind: float(values[kind]) for kind, differs in kinds.items() if differs}


def _fit(value: Any, field: Field) -> NDArray:
    if field.is_image:
        image = np.ascontiguousarray(value[..., : field.shape[2]])
        return image if image.shape == field.shape else resize(image, (field.shape[0], field.shape[1]))
    return np.array(value, field.dtype).reshape(field.shape)


def make_plan(
    dataset: Dataset,
    feature_map: Mapping[str, str],
    schema: Schema | None = None,
    scale: Scale | None = None,
    size: tuple[int, int] | None = None,
) -> Plan:
    """The plan for a dataset. Raises `DataError` for what it lacks, and for what does not fit the schema.

    scale: the bounds of the dataset's actions, which become -1 and 1, and their names. size: (h, w) of the images.
    """
    known, scale = dataset.info.features, scale or Scale()
    exported = all(feature.name in known for feature in FLAT)
    sources = _sources(dataset, {name: text for name, text in feature_map.items() if name in DEFAULTS}, exported)
    seen = {name: Source.parse(text, dataset, size) for name, text in feature_map.items() if name not in DEFAULTS}
    own = exported_schema(known) if exported and not seen and size is None else None
    if own is not None:
        if schema is not None:
            check_same(own, schema, f"the frames of {dataset.folder}")
        return Plan(own, tuple(_exported(dataset, own)), sources, exported, scale)
    action = sources["action"]
    if not exported and not scale.low:
        _check_bounds(dataset, action)
    places = seen or _found(dataset, size)
    found = schema or _schema(dataset, places, action, scale.names)
    if math.prod(action.shape) != len(found.actions):
        raise DataError(f"'{action.feature.name}' is {action.shape}; the actions are {', '.join(found.actions)}")
    observations = tuple((field, _place(field, places, dataset)) for field in found.observation)
    return Plan(found, observations, sources, exported, scale)


def _sources(dataset: Dataset, mapped: Mapping[str, str], exported: bool) -> dict[str, Source]:
    """Where everything but observations comes from."""
    known = dataset.info.features
    defaults = {**DEFAULTS, **OWN} if exported else DEFAULTS
    texts = {name: text for name, text in defaults.items() if text in known} | dict(mapped)
    if "action" not in texts:
        raise DataError(f"the dataset {dataset.folder} has no 'action'; map one of these to it: {', '.join(known)}")
    sources = {name: Source.parse(text, dataset) for name, text in texts.items()}
    for name, source in sources.items():
        if not source.feature.is_number and name not in ("episode", "actor"):
            raise DataError(f"'{source.feature.name}' is {source.feature.dtype}, and {name} must be numbers")
        if name not in (*_ACTIONS, "clamped") and math.prod(source.shape) != 1:
            raise DataError(f"'{source.feature.name}' is {source.shape}, and {name} is one number")
    return sources


def _check_bounds(dataset: Dataset, action: Source) -> None:
    """Raise `DataError` where the dataset's own statistics say that its actions are not within [-1, 1]."""
    stats = dataset.stats().get(action.feature.name, {})
    if not {"min", "max"} <= stats.keys():
        return
    low, high = (np.ravel(stats[name])[action.start : action.stop] for name in ("min", "max"))
    if (low < -1 - TOLERANCE).any() or (high > 1 + TOLERANCE).any():
        bounds = ", ".join(
            f"{name}: [{', '.join(f'{x:.5g}' for x in side)}]" for name, side in (("low", low), ("high", high))
        )
        raise DataError(
            f"the actions of {dataset.folder} are not within [-1, 1]; give their bounds in the map, those of the robot "
            f"or what the dataset reaches: action: {{{bounds}}}"
        )


def _exported(dataset: Dataset, schema: Schema) -> Iterator[tuple[Field, Source]]:
    """Where an export has put each field."""
    for column, fields in groups(schema).items():
        start = 0
        for field in fields:
            yield field, Source(dataset.feature(column), start, start + size(field))
            start += size(field)
    for field in schema.images:
        yield field, Source(dataset.feature(camera(field)))


def _found(dataset: Dataset, image_size: tuple[int, int] | None) -> dict[str, Source]:
    """What another's dataset observes, by names of ours: numbers and colour images; several tasks by their number."""
    sources = {}
    for name, feature in dataset.info.features.items():
        if name.startswith("observation.") and not feature.is_depth and (feature.is_image or feature.is_number):
            short = name.removeprefix(IMAGES) if name.startswith(IMAGES) else name.removeprefix("observation.")
            sources[short if short not in sources else name] = Source(feature, size=image_size)
    if len(dataset.tasks) > 1:
        sources["task_index"] = Source(dataset.feature("task_index"))
    if not sources:
        known = ", ".join(dataset.info.features)
        raise DataError(f"the dataset {dataset.folder} has no 'observation.*'; map some of these to names: {known}")
    return sources


def _schema(dataset: Dataset, places: Mapping[str, Source], action: Source, names: Sequence[str]) -> Schema:
    """The schema of another's dataset: measurements become float32, images stay what they are."""
    fields = tuple(_field(name, source) for name, source in sorted(places.items()))
    count = math.prod(action.shape)
    names = names or (action.feature.names if action.stop is None else None) or ()
    if len(names) != count:
        names = [f"action_{index}" for index in range(count)]
    more = f" and {len(dataset.tasks) - 1} more" if len(dataset.tasks) > 1 else ""
    return Schema((dataset.tasks[0] if dataset.tasks else dataset.folder.name) + more, fields, tuple(names))


def _field(name: str, source: Source) -> Field:
    feature = source.feature
    if feature.is_image and (feature.is_depth or source.shape[2] not in (1, 3)):
        raise DataError(f"'{feature.name}' is no colour image but {feature.shape}; leave it out of the map")
    if feature.is_image:
        return Field(name, source.shape, "uint8", "", f"image, from {feature.name}")
    if not feature.is_number:
        raise DataError(f"'{feature.name}' is {feature.dtype}; observations are numbers and images")
    return Field(name, source.shape, "float32", "", f"from {feature.name}, as it was")


def _place(field: Field, places: Mapping[str, Source], dataset: Dataset) -> Source:
    """The source of a field. Raises `DataError` where there is none, or one of another shape."""
    if field.name not in places:
        raise DataError(
            f"nothing of {dataset.folder} is mapped to the observation '{field.name}'; "
            f"choose from {', '.join(dataset.info.features)}"
        )
    source = places[field.name]
    same = source.shape[:2] == field.shape[:2] if field.is_image else math.prod(source.shape) == size(field)
    if not same or field.is_image != source.feature.is_image:
        raise DataError(f"'{source.feature.name}' is {source.shape}; the observation '{field.name}' is {field.shape}")
    return source
