"""The form of a record: its names, shapes, types and units, and the ROS 2 message that holds them.

One schema belongs to one environment. Journal, wire, replay and export read it; nothing else lists the keys.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from robot_rl.data.transition import Observation, Transition
from robot_rl.exceptions import DataError

VERSION = 2
READABLE = (1, 2)
"""Versions of records that this program reads; it writes the last. Version 1 has no `clamped`."""

MESSAGE_TYPE = "robot_rl_msgs/msg/Transition"
LABEL_TYPE = "robot_rl_msgs/msg/Label"
ROS_TYPES = {name: name for name in ("float32", "float64", "int32", "int64", "uint8", "bool")} | {"float16": "uint16"}
"""The type of each dtype in a ROS 2 message, which knows no float16: its bits lie there."""
LARGEST = 2**26
"""Most bytes of a field, and of all that are no images together: what claims more is damaged, or hostile."""


@dataclass(frozen=True)
class Field:
    """One named array of an observation: shape, dtype, unit of the stored value, and a note on its scale."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    unit: str = "1"
    note: str = ""

    @property
    def size(self) -> int:
        """Bytes of a value."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    @property
    def is_image(self) -> bool:
        """A uint8 (h, w, 1 or 3) array, stored once a frame as PNG."""
        return self.dtype == "uint8" and len(self.shape) == 3 and self.shape[2] in (1, 3)

    @property
    def message_name(self) -> str:
        """The name as ROS 2 allows it: lower case, digits and single underscores."""
        return re.sub(r"[^a-z0-9]+", "_", self.name.lower()).strip("_")

    def check(self, value: object, where: str) -> None:
        """Raise `DataError` unless `value` is a finite array of this shape and dtype."""
        if not isinstance(value, np.ndarray) or value.shape != self.shape or value.dtype != self.dtype:
            found = f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
            raise DataError(f"{where} '{self.name}' is {found}; the schema wants {self.dtype} {self.shape}")
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise DataError(f"{where} '{self.name}' holds NaN or infinity; the environment must not produce it")


_HEAD = (
    Field("schema_hash", (), "uint64", "", "which schema wrote this record"),
    Field("sequence", (), "uint64", "", "position in the actor's journal, from 0, without holes"),
    Field("stamp", (), "float64", "s", "of the observation, on the run's clock"),
    Field("next_stamp", (), "float64", "s", "of the next observation"),
    Field("reward", (), "float64", "1"),
    Field("policy_version", (), "int64", "", "weights that proposed policy_action"),
    Field("step", (), "uint32", "", "of the episode, from 0"),
)
_CLAMPED = Field("clamped", (2,), "float32", "m, rad", "by which leash, box and filter changed the asked reference")
_FLAGS = (
    Field("intervened", (), "bool", "", "a person's action was executed"),
    Field("terminated", (), "bool", "", "the task ended: bootstrapping stops"),
    Field("truncated", (), "bool", "", "the episode was cut, at a time limit for instance: bootstrapping goes on"),
    Field("success", (), "bool", "", "the task's own verdict"),
)
LABEL_FIELDS = (
    *_HEAD[:2],
    Field("stamp", (), "float64", "s", "when it was judged"),
    Field("value", (), "float64", "1", "the reward; success, discard: 1 or 0"),
    Field("version", (), "int64", "", "of that source's judgement: the newest wins"),
    Field("step", (), "int64", "", "of the episode; -1: each of its steps"),
)
"""Members of fixed size of a label's message, in order."""

LABEL_TEXTS = {
    "actor": "under whose name the journal is delivered",
    "episode": "UUID",
    "source": "who judged: human, classifier, ...",
    "kind": "reward, success, discard, or undo: what the source said up to this version",
}
"""The strings behind them."""


def _layout(members: Iterable[Field]) -> np.dtype[Any]:
    """Members of fixed size as CDR lays them out after its header: each aligned to its own size."""
    return np.dtype([(m.name, np.dtype(m.dtype).newbyteorder("<"), m.shape) for m in members], align=True)


LABEL_LAYOUT = _layout(LABEL_FIELDS)


@dataclass(frozen=True)
class Schema:
    """What the records of one task's environment hold.

    observation: the fields of an observation, by name. actions: the name of each action, in order.
    """

    task: str
    observation: tuple[Field, ...]
    actions: tuple[str, ...]
    version: int = VERSION

    def __post_init__(self) -> None:
        if type(self.version) is not int or self.version not in READABLE:
            raise DataError(f"schema version {self.version} is none of {READABLE}; use a robot_rl that reads it")
        if not self.actions or not self.observation:
            raise DataError(f"a schema of task '{self.task}' needs at least one action and one observation")
        for text in (self.task, *self.actions, *(text for f in self.observation for text in (f.name, f.unit, f.note))):
            if not isinstance(text, str) or not text.isprintable() or len(text) > 1000:
                raise DataError(f"{text!r:.60} in the schema of task '{self.task!s:.60}' is no line of text")
        names = Counter(field.message_name for field in self.observation)
        for field in self.observation:
            name = field.message_name
            if not name or names[name] > 1:
                raise DataError(f"observation '{field.name}' needs a name of its own: '{name}' is taken or empty")
            if field.dtype not in ROS_TYPES:
                raise DataError(f"observation '{field.name}' is {field.dtype}; choose from {', '.join(ROS_TYPES)}")
            if any(type(size) is not int for size in field.shape):
                raise DataError(f"observation '{field.name}' has shape {field.shape}; give whole numbers")
            if min(field.shape, default=1) < 1:
                raise DataError(f"observation '{field.name}' of shape {field.shape} holds nothing; leave it out")
            if field.size > LARGEST or len(field.shape) > 8:
                raise DataError(f"observation '{field.name}' of shape {field.shape} is larger than {LARGEST} bytes")
        if sum(field.size for field in self.arrays) + 4 * len(self.actions) > LARGEST:
            raise DataError(f"the observations of task '{self.task}' are larger than {LARGEST} bytes")

    @classmethod
    def from_example(
        cls,
        task: str,
        observation: Observation,
        actions: Sequence[str],
        units: Mapping[str, tuple[str, str]] | None = None,
    ) -> Schema:
        """The schema of environments that give observations like this one; `units`: name to (unit, note)."""
        units = units or {}
        fields = (
            Field(name, tuple(value.shape), str(value.dtype), *units.get(name, ()))
            for name, value in sorted(observation.items())
        )
        return cls(task, tuple(fields), tuple(actions))

    @cached_property
    def images(self) -> tuple[Field, ...]:
        """The fields that hold a camera's frame."""
        return tuple(field for field in self.observation if field.is_image)

    @cached_property
    def arrays(self) -> tuple[Field, ...]:
        """The fields of fixed size: everything but images."""
        return tuple(field for field in self.observation if not field.is_image)

    @cached_property
    def hash(self) -> int:
        """64 bits of the SHA-256 of the schema: every record carries it."""
        return _digest(self.to_json())

    @cached_property
    def label_hash(self) -> int:
        """As `hash`, for labels of this schema's records."""
        return _digest("label of " + self.to_json())

    def newest(self) -> Schema:
        """The schema with which this program writes the same content."""
        return dataclasses.replace(self, version=VERSION)

    def to_json(self) -> str:
        """The schema as JSON, the same text for equal schemas."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Schema:
        """The schema that `to_json` wrote. Raises `DataError`."""
        try:
            content = json.loads(text)
            fields = tuple(Field(**{**entry, "shape": tuple(entry["shape"])}) for entry in content["observation"])
            return cls(content["task"], fields, tuple(content["actions"]), content["version"])
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise DataError(f"the text is no schema of records ({error}); was the file edited?") from error

    def validate(self, transition: Transition, images: bool = True) -> None:
        """Raise `DataError`, naming the field, unless the transition is of this schema and finite.

        images: whether its observations have them.
        """
        fields = self.observation if images else self.arrays
        for where in ("observation", "next_observation"):
            observation: Observation = getattr(transition, where)
            if len(observation) != len(fields):
                names = {field.name for field in fields}
                odd = sorted(names ^ set(observation))
                raise DataError(f"{where} and the schema of task '{self.task}' disagree on {', '.join(odd)}")
            for field in fields:
                field.check(observation.get(field.name), where)
        for where in ("policy_action", "action"):
            Field(where, (len(self.actions),)).check(getattr(transition, where), "transition's")
        _CLAMPED.check(transition.clamped, "transition's")
        for where in ("stamp", "next_stamp", "reward"):
            if not math.isfinite(getattr(transition, where)):
                raise DataError(f"{where} is {getattr(transition, where)}; it must be finite")

    @cached_property
    def members(self) -> tuple[Field, ...]:
        """Every member of fixed size of a transition's message, in order: name, shape, dtype, unit, note."""
        size = (len(self.actions),)
        axes = ", ".join(self.actions)
        return (
            *_HEAD,
            Field("policy_action", size, unit="1", note=f"proposed by the policy: {axes}"),
            Field("action", size, unit="1", note="executed, in [-1, 1]"),
            *((_CLAMPED,) if self.version >= 2 else ()),
            *(
                dataclasses.replace(field, name=f"{where}_{field.message_name}")
                for where in ("observation", "next_observation")
                for field in self.arrays
            ),
            *_FLAGS,
        )

    @cached_property
    def layout(self) -> np.dtype[Any]:
        """Where `members` lie in a message, behind CDR's header."""
        return _layout(self.members)

    @cached_property
    def floats(self) -> tuple[str, ...]:
        """The members that must be finite."""
        return tuple(member.name for member in self.members if member.dtype.startswith("float"))

    @cached_property
    def fixed_size(self) -> int:
        """Bytes of `layout` without the padding that NumPy adds behind it."""
        assert self.layout.fields is not None
        member, offset = self.layout.fields[_FLAGS[-1].name][:2]
        return offset + member.itemsize

    def message_definition(self) -> str:
        """The ROS 2 message definition of one transition."""
        lines = [f"# One environment step of task {self.task}, schema version {self.version}."]
        lines += [_line(member) for member in self.members]
        lines += ["string actor", "string episode  # UUID"]
        for where in ("observation", "next_observation"):
            rule = "; empty: the previous record's next_observation" if where == "observation" else ""
            for field in self.images:
                lines.append(f"uint8[] {where}_{field.message_name}  # PNG {field.shape}{rule}")
        return "\n".join([*lines, _CHECKSUM, ""])

    def label_definition(self) -> str:
        """The ROS 2 message definition of one label."""
        lines = [f"# One judgement of a step of task {self.task}, schema version {self.version}."]
        lines += [_line(member) for member in LABEL_FIELDS]
        lines += [f"string {name}  # {comment}" for name, comment in LABEL_TEXTS.items()]
        return "\n".join([*lines, _CHECKSUM, ""])


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


_CHECKSUM = "uint32 checksum  # CRC-32 of all bytes before it"


def _line(member: Field) -> str:
    """A member in a message definition, with its unit and note."""
    size = f"[{math.prod(member.shape)}]" if member.shape else ""
    kind = ROS_TYPES.get(member.dtype, member.dtype)
    bits = "" if kind == member.dtype else f"{member.dtype} bits"
    comment = " ".join("; ".join(filter(None, (bits, member.unit, member.note))).split())
    return f"{kind}{size} {member.name}  # {comment}" if comment else f"{kind}{size} {member.name}"
