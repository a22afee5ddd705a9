"""ROS 2 bags, read without ROS: messages in order of time, and the numbers or the picture in one.

A bag brings the definitions of its messages, and rosbags makes programs of them. Only what declares fields is let
through to it, names and types, and only for types that ROS does not have itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controllers.settings import suggest
from robot_rl.data.formats.hdf5 import damage_is_named
from robot_rl.data.formats.mapping import Signal
from robot_rl.exceptions import DataError

_FIELD = re.compile(r"[A-Za-z][A-Za-z0-9_/]*(?:<=\d+)?(?:\[(?:<=)?\d*\])?\s+[A-Za-z][A-Za-z0-9_]*")
_TYPE = re.compile(r"MSG: [A-Za-z][A-Za-z0-9_]*(?:/msg)?/[A-Za-z][A-Za-z0-9_]*")
COLOURS = {"rgb8": (3, (0, 1, 2)), "bgr8": (3, (2, 1, 0)), "rgba8": (4, (0, 1, 2)), "bgra8": (4, (2, 1, 0))}
GREY = ("mono8", "8UC1")
SIDE = 8192
"""Pixels that a picture may have on a side."""


@dataclass(frozen=True)
class Message:
    """A message as it lies in the bag. stamp: ns, when it was recorded."""

    topic: str
    stamp: int
    kind: str
    data: bytes


@dataclass
class Bag:
    """An open bag. topics: name to message type; seconds: from the first message to the last."""

    path: Path
    topics: dict[str, str]
    seconds: float
    _reader: Any
    _store: Any

    def messages(self, topics: set[str]) -> Iterator[Message]:
        """Of these topics, in order of time. Raises `DataError` for damage."""
        with damage_is_named(self.path):
            connections = [item for item in self._reader.connections if item.topic in topics]
            for connection, stamp, data in self._reader.messages(connections=connections):
                yield Message(connection.topic, stamp, connection.msgtype, bytes(data))

    def value(self, message: Message, signal: Signal) -> NDArray | None:
        """The numbers (n,) float64, or the picture uint8 (h, w, 1 or 3), of a signal; None for a depth image.

        Raises `DataError`.
        """
        with damage_is_named(self.path):
            return read_value(self._store.deserialize_cdr(message.data, message.kind), message.kind, signal)

    def text(self, message: Message, signal: Signal) -> str:
        """What a signal says, as text: to tell one value from another. Raises `DataError`."""
        with damage_is_named(self.path):
            return str(_member(self._store.deserialize_cdr(message.data, message.kind), message.kind, signal))

    def need(self, topic: str) -> None:
        """A topic will be read. Raises `DataError` where the bag has none of that name, or does not define its type."""
        if topic not in self.topics:
            raise DataError(f"{self.path} has no topic {topic}; {suggest(topic, sorted(self.topics))}")
        kind = self.topics[topic]
        with damage_is_named(self.path):
            for connection in self._reader.connections:
                if connection.topic == topic and kind not in self._store.fielddefs:
                    _register(self._store, connection)
        if kind not in self._store.fielddefs:
            raise DataError(f"{self.path}: {topic} is {kind}, which the bag does not define as ROS messages are")


@contextmanager
def open_bag(path: Path) -> Iterator[Bag]:
    """A rosbag2 folder, or one .mcap or .db3 file. Raises `DataError`."""
    try:
        from rosbags.rosbag2 import Reader
        from rosbags.typesys import Stores, get_typestore
    except ImportError as error:
        raise DataError("bags need rosbags: pip install 'robot_rl[datasets]'") from error
    with damage_is_named(path):
        reader = Reader(path)
        reader.open()
    try:
        with damage_is_named(path):
            store = get_typestore(Stores.ROS2_JAZZY)
            topics = {item.topic: item.msgtype for item in reader.connections}
            seconds = max(0, reader.end_time - reader.start_time) * 1e-9
        yield Bag(path, topics, seconds, reader, store)
    finally:
        reader.close()


def _register(store: Any, connection: Any) -> None:
    """Teach the store a type of the bag's own, if its definition is plain; one that is not stays unknown."""
    from rosbags.typesys import get_types_from_msg

    text = connection.msgdef.data
    if getattr(connection.msgdef.format, "name", "") != "MSG" or not isinstance(text, str):
        return
    lines = [line.split("#", 1)[0].strip() for line in text.splitlines()]
    kept = []
    for line in lines:
        if re.fullmatch("=+", line):
            kept.append("=" * 80)
        elif _TYPE.fullmatch(line):
            kept.append(line)
        elif found := _FIELD.match(line):
            if re.match(r"\s*=", line[found.end() :]):
                continue  # a constant: takes no room in a message
            kept.append(found[0])
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*/msg/[A-Za-z][A-Za-z0-9_]*", connection.msgtype):
        return
    types = get_types_from_msg("\n".join(kept) + "\n", connection.msgtype)
    store.register({name: definition for name, definition in types.items() if name not in store.fielddefs})


def read_value(message: Any, kind: str, signal: Signal) -> NDArray | None:
    """As `Bag.value`, of a message that rosbags decoded."""
    if kind == "sensor_msgs/msg/Image" and not signal.field:
        return _picture(message)
    if kind == "sensor_msgs/msg/CompressedImage" and not signal.field:
        return _compressed(message)
    numbers = np.asarray(list(_numbers(_member(message, kind, signal))), np.float64)
    if signal.joints:
        numbers = numbers[_joints(message, signal, len(numbers))]
    if not numbers.size:
        raise DataError(f"{signal.topic} ({kind}) has no numbers in '{signal.field or 'it'}'")
    return numbers


def _member(message: Any, kind: str, signal: Signal) -> Any:
    """What a message has at the signal's path."""
    value = message
    for part in filter(None, signal.field.split(".")):
        names = [item.name for item in fields(value)] if is_dataclass(value) else []
        if part not in names:
            raise DataError(f"{signal.topic} ({kind}) has no field '{signal.field}'; {suggest(part, names)}")
        value = getattr(value, part)
    return value


def _joints(message: Any, signal: Signal, count: int) -> list[int]:
    """Where the signal's joints are in the message, which may have them in any order."""
    names = list(getattr(message, "name", []))
    missing = [joint for joint in signal.joints if joint not in names]
    if missing or len(names) != count:
        raise DataError(f"{signal.topic} has no joint {', '.join(missing)} in '{signal.field}'; it has {names}")
    return [names.index(joint) for joint in signal.joints]


def _numbers(value: Any) -> Iterator[float]:
    """Every number in a message, in order, headers and texts apart."""
    if isinstance(value, np.ndarray):
        yield from value.reshape(-1).astype(np.float64).tolist()
    elif isinstance(value, bool | int | float | np.number | np.bool_):
        yield float(value)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _numbers(item)
    elif is_dataclass(value) and getattr(value, "__msgtype__", "") not in (
        "std_msgs/msg/Header",
        "std_msgs/msg/MultiArrayLayout",
    ):
        for item in fields(value):
            yield from _numbers(getattr(value, item.name))


def _picture(message: Any) -> NDArray[np.uint8] | None:
    """An Image as RGB or grey; None for another encoding, such as depth."""
    height, width, step, encoding = message.height, message.width, message.step, message.encoding
    if encoding not in COLOURS and encoding not in GREY:
        return None
    channels, order = COLOURS.get(encoding, (1, (0,)))
    if not (
        0 < height <= SIDE and 0 < width <= SIDE and step >= width * channels and len(message.data) >= step * height
    ):
        raise DataError(f"a picture of {width}x{height} has {len(message.data)} bytes, {step} a row; it is damaged")
    rows = np.asarray(message.data, np.uint8)[: step * height].reshape(height, step)[:, : width * channels]
    return np.ascontiguousarray(rows.reshape(height, width, channels)[:, :, order])


def _compressed(message: Any) -> NDArray[np.uint8] | None:
    """A CompressedImage as RGB; None for depth."""
    from PIL import Image

    if "depth" in message.format.lower():
        return None
    with Image.open(BytesIO(bytes(message.data)), formats=("PNG", "JPEG")) as image:
        if max(image.size) > SIDE:
            raise DataError(f"a picture is {image.size[0]}x{image.size[1]}, more than {SIDE} on a side")
        if image.mode.startswith(("I", "F")):
            return None
        if image.mode == "L":
            return np.asarray(image)[:, :, None].copy()
        return np.asarray(image.convert("RGB")).copy()
