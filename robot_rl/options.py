"""Command-line options made from the configuration's dataclasses; every mistake is one sentence."""

from __future__ import annotations

import argparse
import dataclasses
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, NoReturn, get_args, get_origin

from controllers.cells import load_cell
from controllers.settings import field_types, suggest
from robot_rl.config import GROUPS, RunConfig, convert
from robot_rl.exceptions import ConfigError

ALIASES = {"--actors": ("--envs",)}
"""Further names of an option."""
METAVARS = {
    "--teleop": "DEVICE,DEVICE",
    "--teleop-file": "FILE",
    "--intervener": "RULE",
    "--expert": "scripted|RUN",
    "--backbone": "NAME|FILE",
    "--rerun": "spawn|ADDRESS|FILE",
    "--reward": "task|intervention|human|classifier|progress|vice|preference|likeness",
}
"""What the help calls the value of an option, where its type says too little."""


SUMMARIES = {
    "learner": "overrides of the task's own values",
    "reset": "how episodes begin",
    "vice": "for --reward vice",
    "feedback": "for --reward preference",
    "progress": "for --reward progress",
}
"""What the groups of a run's settings are for."""


class Parser(argparse.ArgumentParser):
    """argparse without abbreviations, whose errors are `ConfigError`s of one sentence.

    parts: the commands of a command that has some, by name.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, **settings)
        self.parts: dict[str, Parser] = {}

    def error(self, message: str) -> NoReturn:
        missing = re.match(r"argument (\S+): expected one argument", message)
        required = re.match(r"the following arguments are required: (.*)", message)
        if missing:
            raise ConfigError(f"{missing[1]} needs a value; `{self.prog} --help` says which.")
        if required:
            raise ConfigError(f"`{self.prog}` needs {required[1]}; `{self.prog} --help` shows how.")
        raise ConfigError(f"{message}; `{self.prog} --help` shows how.")


AddCommand = Callable[[str, str, Callable[[argparse.Namespace], int], str], Parser]
"""Adds a command: its name, what it is given, the function that it runs, and what it does, in a sentence."""


def add_commands(parent: Parser, name: str) -> AddCommand:
    """Give `robot-rl NAME` commands of its own; without one it prints its help."""

    def print_help(options: argparse.Namespace) -> int:
        parent.print_help()
        return 0

    parent.set_defaults(command=print_help)
    commands = parent.add_subparsers(metavar="COMMAND", prog=f"robot-rl {name}")

    def command(part: str, operand: str, function: Callable[[argparse.Namespace], int], text: str) -> Parser:
        usage, whole = f"robot-rl {name} {part} {operand} [options]", text[0].upper() + text[1:] + "."
        made: Parser = commands.add_parser(part, usage=usage, help=text, description=whole)
        made.set_defaults(command=function)
        parent.parts[part] = made
        return made

    return command


def values_of(options: argparse.Namespace, cls: type) -> dict[str, Any]:
    """What was given of the fields of the dataclass `cls`, whose options `add_fields` made."""
    names = {item.name for item in dataclasses.fields(cls)}
    return {name: value for name, value in vars(options).items() if name in names}


def add_fields(parser: argparse.ArgumentParser, cls: type, names: Sequence[str], prefix: str = "") -> None:
    """Give `parser` an option for each named field of the dataclass `cls`; an option not given leaves no trace."""
    hints = field_types(cls)
    for item in dataclasses.fields(cls):
        if item.name not in names:
            continue
        flag, hint = f"--{prefix}{item.name.replace('_', '-')}", hints[item.name]
        common: dict[str, Any] = {"dest": prefix + item.name, "default": argparse.SUPPRESS}
        text = item.metadata["help"]
        if item.name == "cell":
            parser.add_argument(flag, type=load_cell, metavar="CELL", help=text, **common)
            continue
        if hint is bool and not prefix:
            parser.add_argument(flag, action="store_true", help=text, **common)
            continue
        shown = "" if item.default is None else f" ({_show(item.default)})"
        kind = partial(convert, hint=hint, name=flag)
        parser.add_argument(
            flag,
            *ALIASES.get(flag, ()),
            type=kind,
            metavar=METAVARS.get(flag) or _metavar(hint),
            help=text + shown,
            **common,
        )


def add_run_options(
    parser: argparse.ArgumentParser, names: Sequence[str] | None = None, *, learner: bool = False
) -> None:
    """The options of `RunConfig` (all, with those of its groups, or those named) and, where asked, the learner's."""
    every = [item.name for item in dataclasses.fields(RunConfig) if item.name not in ("task", *GROUPS)]
    add_fields(parser, RunConfig, every if names is None else names)
    for name in GROUPS if names is None else ["learner"] if learner else []:
        group = parser.add_argument_group(name, SUMMARIES[name])
        fields = [item.name for item in dataclasses.fields(GROUPS[name])]
        add_fields(group, GROUPS[name], fields, f"{name}.")  # type: ignore[arg-type]


def given(options: argparse.Namespace) -> dict[str, Any]:
    """What was given on the command line, as nested overrides of `RunConfig`."""
    known = field_types(RunConfig)
    overrides: dict[str, Any] = {}
    for name, value in vars(options).items():
        group, dot, part = name.partition(".")
        if dot and group in GROUPS:
            overrides.setdefault(group, {})[part] = value
        elif name in known and name != "task":
            overrides[name] = value
    return overrides


def parse(parser: argparse.ArgumentParser, commands: dict[str, Parser], arguments: list[str]) -> Any:
    """The parsed arguments. Raises `ConfigError` naming an unknown command or option and the choices."""
    if arguments and not arguments[0].startswith("-") and arguments[0] not in commands:
        raise ConfigError(f"unknown command {arguments[0]!r}; {suggest(arguments[0], commands)}.")
    command = commands.get(arguments[0]) if arguments else None
    if command is not None and command.parts and len(arguments) > 1 and not arguments[1].startswith("-"):
        if arguments[1] not in command.parts:
            raise ConfigError(
                f"unknown command '{arguments[0]} {arguments[1]}'; {suggest(arguments[1], command.parts)}."
            )
        command = command.parts[arguments[1]]
    options, rest = parser.parse_known_args([_normal(argument) for argument in arguments])
    if rest:
        raise _unknown(rest[0], command, parser)
    return options


def _unknown(argument: str, command: Parser | None, parser: argparse.ArgumentParser) -> ConfigError:
    if not argument.startswith("-"):
        return ConfigError(f"unexpected argument {argument!r}; `{(command or parser).prog} --help` shows how.")
    name = argument.split("=", 1)[0]
    flags = [flag for flag in (command or parser)._option_string_actions if flag.startswith("--")]
    of_group = [flag for flag in flags if flag.partition(".")[0] == name.partition(".")[0]] if "." in name else []
    choices = of_group or [flag for flag in flags if "." not in flag]
    return ConfigError(f"unknown option {name}; {suggest(name, sorted(choices))}.")


def _normal(argument: str) -> str:
    """Option names may be written with underscores."""
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument.partition("=")
    return name.replace("_", "-") + equals + value


def _metavar(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return "|".join(str(choice) for choice in get_args(hint))
    names = [arg for arg in get_args(hint) if arg not in (type(None), Ellipsis)] or [hint]
    words = {int: "N", float: "X", bool: "true|false", str: "N|PATH"}
    word = words.get(names[0], "DIR")
    return f"{word},{word}" if get_origin(hint) is tuple else word


def _show(default: Any) -> str:
    return ",".join(map(str, default)) if isinstance(default, tuple) else str(default).lower()


def count(text: str) -> int:
    """How many episodes `--episodes` asks for. Raises `ConfigError`."""
    if not text.isdigit() or int(text) < 1:
        raise ConfigError(f"--episodes is {text!r}, but must be a whole number of at least 1.")
    return int(text)


def seed(text: str) -> int:
    """What `--seed` says. Raises `ConfigError`."""
    if not text.isdigit() or int(text) >= 2**32:
        raise ConfigError(f"--seed is {text!r}, but must be a whole number from 0 to {2**32 - 1}.")
    return int(text)
