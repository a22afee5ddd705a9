"""A rule or an expert in one text: its name, then its settings, such as `value,alpha=0.97`."""

from __future__ import annotations

from typing import Any, TypeVar

import yaml

from controllers import settings
from controllers.exceptions import SettingsError
from robot_rl.exceptions import ConfigError

Settings = TypeVar("Settings")


def read(text: str, option: str) -> tuple[str, dict[str, Any]]:
    """Its name and settings. option: that it was given as, for the message. Raises `ConfigError`."""
    name, *parts = text.split(",")
    values = {}
    for part in parts:
        key, equals, value = part.partition("=")
        if not key or not equals:
            raise ConfigError(f"{option} is {text!r}, whose {part!r} is no setting; write NAME,KEY=VALUE,KEY=VALUE.")
        values[key] = yaml.safe_load(value)
    return name, values


def build(cls: type[Settings], values: dict[str, Any], source: str) -> Settings:
    """Settings of that class from values, on top of its defaults. Raises `ConfigError`."""
    try:
        return settings.build(cls, values, source)
    except SettingsError as error:
        raise ConfigError(str(error)) from error
