"""The form of a record: its names, shapes, types and units, and the ROS 2 message that holds them.

One schema belongs to one environment. Journal, wire, replay and export read it; nothing else lists the keys.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from robot_rl.data.transition import Observation, Transition
from robot_rl.exceptions import DataError

VERSION = 1
MESSAGE_TYPE = "robot_rl_msgs/msg/Transition"
ROS_TYPES = ("float32", "float64", "int32", "int64", "uint8", "bool")

_HEAD = (
    ("uint64", "schema_hash", "which schema wrote this record"),
    ("uint64", "sequence", "position in the actor's journal, from 0, without holes"),
    ("float64", "stamp", "s, of the observation"),
    ("float64", "next_stamp", "s, of the next observation"),
    ("float64", "reward", ""),
    ("int64", "policy_version", "weights that proposed policy_action"),
    ("uint32", "step", "of the episode, from 0"),
)
_FLAGS = (
    ("bool", "intervened", "a person's action was executed"),
    ("bool", "terminated", "the task ended: bootstrapping stops"),
    ("bool", "truncated", "the episode was cut, at a time limit for instance: bootstrapping goes on"),
    ("bool", "success", ""),
)


@dataclass(frozen=True)
class Field:
    """One named array of an observation: shape, dtype, unit of the stored value, and a note on its scale."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    unit: str = "1"
    note: str = ""

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
        if self.version != VERSION:
            raise DataError(f"schema version {self.version} is not {VERSION}; use a robot_rl that reads it")
        if not self.actions or not self.observation:
            raise DataError(f"a schema of task '{self.task}' needs at least one action and one observation")
        names = [field.message_name for field in self.observation]
        for field, name in zip(self.observation, names, strict=True):
            if not name or names.count(name) > 1:
                raise DataError(f"observation '{field.name}' needs a name of its own: '{name}' is taken or empty")
            if field.dtype not in ROS_TYPES:
                raise DataError(f"observation '{field.name}' is {field.dtype}; choose from {', '.join(ROS_TYPES)}")
            if min(field.shape, default=1) < 1:
                raise DataError(f"observation '{field.name}' of shape {field.shape} holds nothing; leave it out")

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
        return int.from_bytes(hashlib.sha256(self.to_json().encode()).digest()[:8], "little")

    def to_json(self) -> str:
        """The schema as JSON, the same text for equal schemas."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Schema:
        """The schema that `to_json` wrote. Raises `DataError`."""
        try:
            content = json.loads(text)
            fields = tuple(
                Field(**{**entry, "shape": tuple(int(size) for size in entry["shape"])})
                for entry in content["observation"]
            )
            actions = tuple(str(name) for name in content["actions"])
            return cls(str(content["task"]), fields, actions, int(content["version"]))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DataError(f"the text is no schema of records ({error}); was the file edited?") from error

    def validate(self, transition: Transition) -> None:
        """Raise `DataError`, naming the field, unless the transition is of this schema and finite."""
        for where in ("observation", "next_observation"):
            observation: Observation = getattr(transition, where)
            if len(observation) != len(self.observation):
                names = {field.name for field in self.observation}
                odd = sorted(names ^ set(observation))
                raise DataError(f"{where} and the schema of task '{self.task}' disagree on {', '.join(odd)}")
            for field in self.observation:
                field.check(observation.get(field.name), where)
        for where in ("policy_action", "action"):
            Field(where, (len(self.actions),)).check(getattr(transition, where), "transition's")
        for where in ("stamp", "next_stamp", "reward"):
            if not math.isfinite(getattr(transition, where)):
                raise DataError(f"{where} is {getattr(transition, where)}; it must be finite")

    def _fixed(self) -> Iterator[tuple[str, str, tuple[int, ...] | None, str]]:
        """(ROS type, name, shape or None for a scalar, comment) of each member of fixed size, in order."""
        for kind, name, comment in _HEAD:
            yield kind, name, None, comment
        axes = ", ".join(self.actions)
        yield "float32", "policy_action", (len(self.actions),), f"proposed by the policy: {axes}"
        yield "float32", "action", (len(self.actions),), "executed, in [-1, 1]"
        for where in ("observation", "next_observation"):
            for field in self.arrays:
                comment = " ".join("; ".join(filter(None, (field.unit, field.note))).split())
                yield field.dtype, f"{where}_{field.message_name}", field.shape, comment
        for kind, name, comment in _FLAGS:
            yield kind, name, None, comment

    @cached_property
    def layout(self) -> np.dtype[Any]:
        """Members of fixed size as CDR lays them out after its header: each aligned to its own size."""
        members = [(name, np.dtype(kind).newbyteorder("<"), shape or ()) for kind, name, shape, _ in self._fixed()]
        return np.dtype(members, align=True)

    @cached_property
    def fixed_size(self) -> int:
        """Bytes of `layout` without the padding that NumPy adds behind it."""
        assert self.layout.fields is not None
        member, offset = self.layout.fields[_FLAGS[-1][1]][:2]
        return offset + member.itemsize

    def message_definition(self) -> str:
        """The ROS 2 message definition of one record."""
        lines = [f"# One environment step of task {self.task}, schema version {self.version}."]
        for kind, name, shape, comment in self._fixed():
            size = "" if shape is None else f"[{math.prod(shape)}]"
            lines.append(f"{kind}{size} {name}  # {comment}" if comment else f"{kind}{size} {name}")
        lines += ["string actor", "string episode  # UUID"]
        for where in ("observation", "next_observation"):
            rule = "; empty: the previous record's next_observation" if where == "observation" else ""
            for field in self.images:
                lines.append(f"uint8[] {where}_{field.message_name}  # PNG {field.shape}{rule}")
        return "\n".join([*lines, "uint32 checksum  # CRC-32 of all bytes before it", ""])
