"""The map of an import: what of a foreign data set becomes which observation, action and reward. A YAML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

import yaml

from controllers.settings import suggest
from robot_rl.exceptions import DataError


@dataclass(frozen=True)
class Signal:
    """A topic's values over time.

    field: path in the message (`pose.position`), its numbers in order; empty: the whole message without headers.
    joints: of a JointState, these joints in this order. shift: s after the tick at which the value is taken.
    hold: the last value counts for however long none comes.
    """

    topic: str
    field: str = ""
    joints: tuple[str, ...] = ()
    shift: float = 0.0
    hold: bool = False


@dataclass(frozen=True)
class Scale:
    """What a foreign action is called, and its bounds, which become -1 and 1. Empty bounds: it has these already."""

    names: tuple[str, ...] = ()
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()


@dataclass(frozen=True)
class ImportMap:
    """What an import takes. observation: our name to theirs (a name, or a bag's `Signal`); empty: all there is.

    action: signals to be joined (bags); scale: of the joined action. rate: Hz of the steps. gap: s of silence of an
    observation's topic that end an episode. episode: whose change of value begins a new one.
    """

    observation: Mapping[str, str | Signal] = field(default_factory=dict)
    action: tuple[Signal, ...] = ()
    scale: Scale = Scale()
    reward: Signal | None = None
    terminated: Signal | None = None
    truncated: Signal | None = None
    success: Signal | None = None
    intervened: Signal | None = None
    episode: Signal | None = None
    rate: float | None = None
    gap: float = 1.0

    @property
    def names(self) -> dict[str, str]:
        """Our observation's name to theirs. Raises `DataError` where the map is a bag's."""
        for name, source in self.observation.items():
            if isinstance(source, Signal):
                raise DataError(f"the map's observation '{name}' is a topic; this data has named arrays, not topics")
        return {name: source for name, source in self.observation.items() if isinstance(source, str)}

    @property
    def signals(self) -> dict[str, Signal]:
        """Our observation's name to its topic; a text alone is one."""
        return {
            name: Signal(source) if isinstance(source, str) else source for name, source in self.observation.items()
        }


def read_map(path: Path) -> ImportMap:
    """The map in a YAML file. Raises `DataError` naming the key that is wrong."""
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f"the map {path} cannot be read: {' '.join(str(error).split())}") from error
    return parse_map(content, str(path))


def parse_map(content: Any, where: str = "the map") -> ImportMap:
    """The map that `content` describes. Raises `DataError`."""
    known = {item.name for item in fields(ImportMap)} - {"scale"}
    entries = _entries(content, where, known)
    values: dict[str, Any] = {}
    for name, value in entries.items():
        place = f"{where}: {name}"
        if name == "observation":
            items = _entries(value, place)
            values[name] = {key: _source(item, f"{place}.{key}") for key, item in items.items()}
        elif name == "action":
            values["action"], values["scale"] = _action(value, place)
        elif name in ("rate", "gap"):
            values[name] = _number(value, place, positive=True)
        else:
            values[name] = _signal(value, place)
    return ImportMap(**values)


def _source(value: Any, where: str) -> str | Signal:
    return value if isinstance(value, str) else _signal(value, where)


def _action(value: Any, where: str) -> tuple[tuple[Signal, ...], Scale]:
    """The signals of an action and its scale: one mapping with everything, or `parts` beside the scale."""
    value = {"topic": value} if isinstance(value, str) else value
    entries = _entries(value, where, {*_hints(Scale), *_hints(Signal), "parts"})
    scale = Scale(
        names=_texts(entries.get("names", ()), f"{where}.names"),
        low=_numbers(entries.get("low", ()), f"{where}.low"),
        high=_numbers(entries.get("high", ()), f"{where}.high"),
    )
    if len(scale.low) != len(scale.high) or any(a >= b for a, b in zip(scale.low, scale.high, strict=True)):
        raise DataError(f"{where}: low and high belong together, as many of each, each low below its high")
    rest = {name: item for name, item in entries.items() if name not in _hints(Scale)}
    parts = rest.pop("parts", None)
    if parts is not None:
        if rest or not isinstance(parts, Sequence) or isinstance(parts, str):
            raise DataError(f"{where}: parts is a list of topics, and stands in place of topic and field")
        return tuple(_signal(part, f"{where}.parts") for part in parts), scale
    return ((_signal(rest, where),) if rest else ()), scale


def _signal(value: Any, where: str) -> Signal:
    if isinstance(value, str):
        value = {"topic": value}
    entries = _entries(value, where, set(_hints(Signal)))
    if not isinstance(entries.get("topic"), str):
        raise DataError(f"{where} needs a topic: {{topic: /..., field: ...}}")
    if not isinstance(entries.get("hold", False), bool):
        raise DataError(f"{where}.hold is {entries['hold']!r:.60}, but must be true or false")
    return Signal(
        hold=entries.get("hold", False),
        topic=entries["topic"],
        field=_text(entries.get("field", ""), f"{where}.field"),
        joints=_texts(entries.get("joints", ()), f"{where}.joints"),
        shift=_number(entries.get("shift", 0.0), f"{where}.shift"),
    )


def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def _entries(value: Any, where: str, known: set[str] | None = None) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise DataError(f"{where} must be a mapping of names, not {value!r:.60}")
    for name in value:
        if known is not None and name not in known:
            raise DataError(f"{where} has an unknown key {name!r}; {suggest(name, sorted(known))}")
    return dict(value)


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise DataError(f"{where} is {value!r:.60}, but must be text")
    return value


def _texts(value: Any, where: str) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise DataError(f"{where} is {value!r:.60}, but must be a list of names")
    return tuple(_text(item, where) for item in value)


def _number(value: Any, where: str, positive: bool = False) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e9:
        raise DataError(f"{where} is {value!r:.60}, but must be a number")
    if value < 0 or (positive and value == 0):
        raise DataError(f"{where} is {value}, but must be {'above' if positive else 'at least'} 0")
    return float(value)


def _numbers(value: Any, where: str) -> tuple[float, ...]:
    items = value if isinstance(value, Sequence) and not isinstance(value, str) else (value,)
    for item in items:
        if isinstance(item, bool) or not isinstance(item, int | float) or not abs(item) < 1e9:
            raise DataError(f"{where} is {item!r:.60}, but must be a number, or one for each axis")
    return tuple(float(item) for item in items)
