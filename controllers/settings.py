"""Typed settings from YAML and command lines: a mapping of names becomes a frozen dataclass, mistakes one sentence.

A settings class is a dataclass whose fields have defaults and a line of help (`option`). Fields may be numbers, text,
truth values, paths, `Literal` choices, tuples, other settings classes, tuples of these, and mappings from a name to
any of these. A class that checks its own values does so in `__post_init__` and raises `SettingsError`.
"""

from __future__ import annotations

import dataclasses
import difflib
import types
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from controllers.exceptions import SettingsError

Settings = TypeVar("Settings")

KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text", Path: "a path"}


def option(default: Any, text: str) -> Any:
    """A field of a settings class with its default and its line of help; a dictionary is copied."""
    if isinstance(default, dict):
        return dataclasses.field(default_factory=default.copy, metadata={"help": text})
    return dataclasses.field(default=default, metadata={"help": text})


def required(text: str) -> Any:
    """A field without a default, with its line of help."""
    return dataclasses.field(metadata={"help": text})


def build(cls: type[Settings], values: Any, source: str, prefix: str = "") -> Settings:
    """An instance of the settings class `cls` from nested values, on top of its defaults.

    source: where the values come from, prefix: the key that they lie under, for the message. Raises `SettingsError`.
    """
    checked = check(values, cls, source, prefix)
    for item in dataclasses.fields(cls):  # type: ignore[arg-type]
        if item.name not in checked and _required(item):
            raise SettingsError(f"{source}: {prefix}{item.name} is missing; it says: {item.metadata['help']}.")
    hints = field_types(cls)  # type: ignore[arg-type]
    made = {key: _make(value, hints[key], source, f"{prefix}{key}") for key, value in checked.items()}
    try:
        return cls(**made)
    except SettingsError as error:
        raise SettingsError(f"{source}: {prefix}{error}") from None


def _required(item: dataclasses.Field[Any]) -> bool:
    return item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING


def _make(value: Any, hint: Any, source: str, key: str) -> Any:
    """Checked nested values as instances of the settings classes that `hint` names."""
    cls = _settings_class(hint)
    if value is None or cls is None:
        return value
    if dataclasses.is_dataclass(_inner(hint)):
        return build(cls, value, source, f"{key}.")
    if isinstance(value, Mapping):
        return {name: build(cls, part, source, f"{key}.{name}.") for name, part in value.items()}
    return tuple(build(cls, part, source, f"{key}[{index}].") for index, part in enumerate(value))


def _inner(hint: Any) -> Any:
    """The type of `X | None` without the None."""
    if get_origin(hint) in (Union, types.UnionType):
        return next(arg for arg in get_args(hint) if arg is not type(None))
    return hint


def _settings_class(hint: Any) -> type | None:
    """The settings class that a field of type `hint` holds, alone or several times."""
    hint = _inner(hint)
    if dataclasses.is_dataclass(hint):
        return hint  # type: ignore[return-value]
    for arg in get_args(hint):
        if dataclasses.is_dataclass(arg):
            return arg  # type: ignore[return-value]
    return None


def check(values: Any, cls: type, source: str, prefix: str = "") -> dict[str, Any]:
    """Nested values with every key known to the settings class `cls` and every value of its field's type.

    source: where they come from, for the message. Raises `SettingsError`.
    """
    if not isinstance(values, Mapping):
        what = prefix.rstrip(".") or "the file"
        raise SettingsError(f"{source}: {what} must be a mapping of names to values.")
    hints = field_types(cls)
    for key in values:
        if key not in hints:
            raise SettingsError(f"{source}: unknown key {prefix}{key}; {suggest(str(key), hints)}.")
    return {key: _check(value, hints[key], source, f"{prefix}{key}") for key, value in values.items()}


def _check(value: Any, hint: Any, source: str, key: str) -> Any:
    inner = _inner(hint)
    if inner is not hint and value is None:
        return None
    if dataclasses.is_dataclass(inner):
        return check(value, inner, source, f"{key}.")  # type: ignore[arg-type]
    if get_origin(inner) in (dict, Mapping):
        if not isinstance(value, Mapping):
            raise SettingsError(f"{source}: {key} must be a mapping of names to values.")
        part = get_args(inner)[1]
        return {str(name): _check(item, part, source, f"{key}.{name}") for name, item in value.items()}
    cls = _settings_class(inner)
    if cls is not None:
        if not isinstance(value, list | tuple):
            raise SettingsError(f"{source}: {key} must be a list.")
        return tuple(check(part, cls, source, f"{key}[{index}].") for index, part in enumerate(value))
    return convert(value, hint, f"{source}: {key}")


@cache
def field_types(cls: type) -> dict[str, Any]:
    """Field name to type, with the annotations evaluated."""
    hints = get_type_hints(cls)
    return {item.name: hints[item.name] for item in dataclasses.fields(cls)}


def convert(value: Any, hint: Any, name: str) -> Any:
    """`value` (from YAML or a command line's text) as the type `hint`. Raises `SettingsError` naming `name`."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return None if value in (None, "none", "null") else convert(value, _inner(hint), name)
    if origin is Literal:
        choices = get_args(hint)
        if value not in choices:
            raise SettingsError(f"{name}: {value!r} is not a choice; {suggest(str(value), choices)}.")
        return value
    if origin is tuple:
        return _convert_tuple(value, get_args(hint), name)
    return _convert_scalar(value, hint, name)


def _convert_tuple(value: Any, kinds: tuple[Any, ...], name: str) -> tuple[Any, ...]:
    """kinds: (kind, ...) for any length, else one for each part."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple):
        raise SettingsError(f"{name}: {value!r} is not a list of numbers, such as 256,256.")
    if kinds[-1] is Ellipsis:
        return tuple(convert(part, kinds[0], name) for part in parts)
    if len(parts) != len(kinds):
        raise SettingsError(f"{name}: {len(parts)} values are given, but it takes {len(kinds)}.")
    return tuple(convert(part, kind, name) for part, kind in zip(parts, kinds, strict=True))


def _convert_scalar(value: Any, hint: type, name: str) -> Any:
    wrong = SettingsError(f"{name}: {value!r} is not {KINDS[hint]}.")
    if hint is bool:
        words = {"true": True, "false": False}
        if not isinstance(value, bool) and str(value).lower() not in words:
            raise wrong
        return value if isinstance(value, bool) else words[str(value).lower()]
    if isinstance(value, bool) or not isinstance(value, str | int | float | Path):
        raise wrong
    if hint is int and isinstance(value, float) and not value.is_integer():
        raise wrong
    try:
        return hint(value)
    except ValueError:
        raise wrong from None


def suggest(word: str, choices: Iterable[str]) -> str:
    """The nearest of the choices where one is near, and all of them."""
    known = [str(choice) for choice in choices]
    near = difflib.get_close_matches(word, known, n=1)
    listed = ", ".join(known)
    return f"did you mean {near[0]}? Choices: {listed}" if near else f"choices: {listed}"


def plain(value: Any) -> Any:
    """A settings object, or what a field holds, as values that YAML writes safely."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return str(value) if isinstance(value, Path) else value


def read_yaml(path: Path, what: str, mend: str) -> Any:
    """The values of a YAML file, {} of an empty one. what: a name for the file, mend: what to do where it is missing.

    Raises `SettingsError`.
    """
    try:
        values = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise SettingsError(f"there is no {what} {path}; {mend}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"the {what} {path} cannot be read: {error}.") from error
    except yaml.YAMLError as error:
        raise SettingsError(f"{path} is not YAML: {' '.join(str(error).split())}.") from error
    return {} if values is None else values
