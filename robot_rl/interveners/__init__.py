"""Rules that take over in a person's stead, for studies in simulation and for tests."""

from __future__ import annotations

from controllers import settings
from robot_rl.config import RunConfig
from robot_rl.exceptions import ConfigError
from robot_rl.intervene import Intervener
from robot_rl.interveners import text
from robot_rl.interveners.disagreement import Disagreement, DisagreementSettings
from robot_rl.interveners.experts import make_expert
from robot_rl.interveners.timed import TIMES, Timed
from robot_rl.interveners.value import ValueSettings, make_value

RULES = ("value", "disagreement", *TIMES)


def make_intervener(config: RunConfig) -> Intervener | None:
    """The rule of a run; None where none takes over. Raises `ConfigError`, `DataError`, `RunFolderError`."""
    if config.intervener == "none":
        return None
    name, values = text.read(config.intervener, "intervener")
    if name not in RULES:
        raise ConfigError(f"intervener is {name!r}, which is no rule; {settings.suggest(name, RULES)}.")
    if name in TIMES and values:
        raise ConfigError(f"intervener is {config.intervener!r}, but {name} has no settings.")
    expert = make_expert(config)
    if name in TIMES:
        return Timed(TIMES[name], expert, config.seed)
    if name == "disagreement":
        return Disagreement(text.build(DisagreementSettings, values, "intervener"), expert, config.seed)
    return make_value(config, text.build(ValueSettings, values, "intervener"), expert)
