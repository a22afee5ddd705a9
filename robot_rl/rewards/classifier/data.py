"""Frames with a class: what a classifier learns from, out of recorded experience."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from robot_rl.data.beside import read_labels, sources
from robot_rl.data.formats.experience import Experience
from robot_rl.data.label import Labels
from robot_rl.data.schema import Field
from robot_rl.data.transition import Transition
from robot_rl.exceptions import DataError
from robot_rl.rewards.classifier.configuration import ClassifierConfig

REVIEW = "review"
"""Source of the labels that a person gave frames that a classifier was not sure of."""
SUFFIX = "_features"
SUCCESS, OTHER = 1, 0
Maps = NDArray[np.float16]
Picture = NDArray[np.uint8]


class Looks(Protocol):
    """A frozen backbone over a moment's pictures, as `robot_rl.perception.Encoder`."""

    fingerprint: str

    def encode(self, images: Mapping[str, Picture], tick: int) -> dict[str, Maps]: ...


@dataclass
class Frames:
    """Moments: of camera c the maps (n, crops, h, w, channels), float16; what each is, and where it comes from.

    label: (n,) number of the class. place: (episode, step) whose action led there. pictures: of each moment and
    camera, where the set has any.
    """

    maps: dict[str, Maps]
    label: NDArray[np.int64]
    place: list[tuple[str, int]]
    backbone_id: str
    pictures: list[dict[str, Picture]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.label)

    def take(self, index: NDArray[np.int64]) -> Frames:
        """Some of them."""
        pictures = [self.pictures[i] for i in index] if self.pictures else []
        maps = {name: values[index] for name, values in self.maps.items()}
        return Frames(maps, self.label[index], [self.place[i] for i in index], self.backbone_id, pictures)


def join(parts: Sequence[Frames]) -> Frames:
    """Those of several sets. DataError: of other cameras, sizes or backbones."""
    first = parts[0]
    for part in parts[1:]:
        if part.backbone_id != first.backbone_id:
            raise DataError(
                f"the sets are of backbones {first.backbone_id} and {part.backbone_id}; use sets that one of them saw"
            )
        shapes = [{name: maps.shape[1:] for name, maps in one.maps.items()} for one in (first, part)]
        if shapes[0] != shapes[1]:
            raise DataError(f"the sets are of other cameras or crops: {shapes[0]} and {shapes[1]}")
    maps = {name: np.concatenate([part.maps[name] for part in parts]) for name in first.maps}
    pictures = [one for part in parts for one in part.pictures] if all(part.pictures for part in parts) else []
    label = np.concatenate([part.label for part in parts])
    return Frames(maps, label, [place for part in parts for place in part.place], first.backbone_id, pictures)


def read_frames(
    experience: Experience,
    config: ClassifierConfig,
    looks: Looks | None = None,
    *,
    label: int | None = None,
    every: bool = False,
) -> Frames:
    """What each step led to, with its class: success as the labels have it, or `label` for all.

    looks: encodes pictures where the set has no features. every: frames of which nobody knows, too (as no success).
    DataError: the set has neither pictures nor features.
    """
    cameras = cameras_of(experience)
    shown = [item.name for item in experience.schema.observation if item.is_image]
    reviewed = _reviewed(experience)
    maps: dict[str, list[Maps]] = {name: [] for name in cameras}
    labels: list[int] = []
    places, pictures = [], []
    for step, said in _known(experience, config, reviewed, every):
        seen = {name: step.next_observation[item.name] for name, item in cameras.items()}
        if shown:
            pictures.append({name: step.next_observation[name] for name in shown})
        if cameras_are_pictures(cameras):
            assert looks is not None, "whoever reads pictures brings a backbone"
            seen = looks.encode(seen, len(labels))
        for name, values in seen.items():
            maps[name].append(values)
        labels.append(said if label is None else label)
        places.append((step.episode, step.step))
    if not labels:
        raise DataError(f"{experience.path} holds no step to learn from")
    backbone = looks.fingerprint if cameras_are_pictures(cameras) and looks else backbone_of(experience)
    return Frames(
        {name: np.stack(values) for name, values in maps.items()}, np.array(labels), places, backbone, pictures
    )


def cameras_of(experience: Experience) -> dict[str, Field]:
    """What shows each camera: its features where there are any, else its pictures. DataError: there are neither."""
    fields = experience.schema.observation
    features = {item.name.removesuffix(SUFFIX): item for item in fields if item.dtype == "float16"}
    pictures = {item.name: item for item in fields if item.is_image}
    if not features and not pictures:
        raise DataError(
            f"{experience.path} was recorded without cameras; record with --obs features, or pixels, which can be shown"
        )
    return features or pictures


def cameras_are_pictures(cameras: Mapping[str, Field]) -> bool:
    """Whether a backbone has to look at them yet."""
    return all(item.is_image for item in cameras.values())


def backbone_of(experience: Experience) -> str:
    """Which weights made the set's features, as its schema says."""
    notes = [item.note for item in experience.schema.observation if item.dtype == "float16"]
    return notes[0].rpartition(" ")[2] if notes else ""


def _known(
    experience: Experience, config: ClassifierConfig, reviewed: Labels, every: bool
) -> Iterator[tuple[Transition, int]]:
    """Steps with their class, but for those that nobody knows."""
    labels = experience.judgement()
    held: list[Transition] = []
    for step in experience.steps():
        if held and held[-1].episode != step.episode:
            yield from _of_episode(held, labels, config, reviewed, every)
            held = []
        if not labels.discarded(step.episode, step.step):
            held.append(step)
    if held:
        yield from _of_episode(held, labels, config, reviewed, every)


def _of_episode(
    steps: list[Transition], labels: Labels, config: ClassifierConfig, reviewed: Labels, every: bool
) -> Iterator[tuple[Transition, int]]:
    last = steps[-1]
    succeeded = labels.success(last.episode, last.step, last.success)
    for index, step in enumerate(steps):
        left = len(steps) - 1 - index
        shows = succeeded and left < config.hold
        unknown = succeeded and config.hold <= left < config.hold + config.margin
        # what a person said of this very frame stands above what follows from the end; where nothing was said, the
        # answer is what it is asked with
        said, other = (reviewed.success(step.episode, step.step, raw) for raw in (shows, not shows))
        if said == other or every or not unknown:
            yield step, SUCCESS if said else OTHER


def _reviewed(experience: Experience) -> Labels:
    """What a person said of single frames, in every review."""
    found = Labels()
    for version in range(1, sources(experience.path).get(REVIEW, 0) + 1):
        for label in read_labels(experience.path, REVIEW, version):
            found.add(label)
    return found
