"""The devices of a run: how each is set up unless a file says otherwise, and which one acts where several would."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import numpy as np
import yaml

from controllers import settings
from controllers.exceptions import SettingsError
from robot_rl.config import OVER_ROS, RunConfig, devices_of
from robot_rl.exceptions import ConfigError, DeviceGone
from robot_rl.operator import Command
from robot_rl.teleop.device import Device
from robot_rl.teleop.gamepad import BUTTONS, Gamepad
from robot_rl.teleop.keyboard import ENGAGE, GRIP, OPERATOR, Keyboard
from robot_rl.teleop.mapping import Teleop, TeleopCommand, TeleopConfig
from robot_rl.teleop.spacemouse import SpaceMouse
from tasks.spec import TaskSpec

RETRY = 1.0
"""How often, s, a device that is gone is looked for."""
LOST = 0.3
"""How long, s, it is said that the device which took over is gone, so that nobody misses it."""

DEFAULTS: dict[str, TeleopConfig] = {
    "keyboard": TeleopConfig(
        dead_zone=0.0, release_s=0.6, scale=(0.5,) * 6, engage_button=ENGAGE, buttons={GRIP: "grip", **OPERATOR}
    ),
    "spacemouse": TeleopConfig(dead_zone=0.1, buttons={"0": "grip", "1": "success"}),
    "gamepad": TeleopConfig(
        dead_zone=0.12,
        engage="hold",
        engage_button="right_shoulder",
        buttons={
            "south": "grip", "north": "success", "east": "failure", "west": "discard",
            "select": "undo", "start": "pause", "mode": "resume", "left_shoulder": "reset",
        },
    ),
    "ros": TeleopConfig(buttons={"0": "grip", "1": "success", "2": "failure", "3": "discard"}),
    "leader": TeleopConfig(dead_zone=0.03, release_s=0.3, buttons={"close": "close", "open": "open"}),
}  # fmt: skip
"""How a person finds each device unless a file says otherwise."""
OPENERS: dict[str, Callable[[], Device]] = {"keyboard": Keyboard, "spacemouse": SpaceMouse, "gamepad": Gamepad}
"""Those that need no ROS."""


NAMES: dict[str, Callable[[str], bool]] = {
    "gamepad": lambda button: button in BUTTONS.values(),
    "leader": lambda button: button in ("close", "open"),
    "keyboard": lambda button: len(button) == 1 or button in (GRIP, ENGAGE),
    "spacemouse": str.isdigit,
    "ros": str.isdigit,
}
"""Whether a device has a button of that name."""
MENDS = {
    "gamepad": f"one of {', '.join(BUTTONS.values())}",
    "leader": "close or open",
    "keyboard": f"a key, as x, or {GRIP}, or {ENGAGE}",
    "spacemouse": "a number, as 0",
    "ros": "a number, as 0",
}


class OperatorKeys:
    """The terminal's keys where nothing is moved by them: what an operator says alone."""

    def __init__(self, descriptor: int = 0) -> None:
        """A terminal, or a pipe from one; anything else says nothing."""
        kind = os.fstat(descriptor).st_mode
        typed = os.isatty(descriptor) or stat.S_ISFIFO(kind)
        self._keyboard = Keyboard(descriptor, motion=False) if typed else None

    def read(self) -> tuple[Command, ...]:
        """What was asked since."""
        if self._keyboard is None:
            return ()
        try:
            return tuple(OPERATOR[key] for key in self._keyboard.read().pressed if key in OPERATOR)
        except DeviceGone:
            self.close()  # nobody types any more, and nobody is missed
            return ()

    def close(self) -> None:
        """Put the terminal back."""
        if self._keyboard is not None:
            self._keyboard.close()
            self._keyboard = None


def read_configs(names: Sequence[str], path: Path | None) -> dict[str, TeleopConfig]:
    """How each of the devices is set up: a file has some of `TeleopConfig` for some of them. Raises `ConfigError`."""
    values: object = {}
    if path is not None:
        try:
            values = yaml.safe_load(path.read_text()) or {}
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise ConfigError(f"teleop_file {path} cannot be read ({error}).") from error
    if not isinstance(values, Mapping):
        raise ConfigError(f"teleop_file {path} holds no mapping; write DEVICE: and its settings below.")
    for name in values:
        if name not in DEFAULTS:
            raise ConfigError(f"teleop_file {path} has {name!r}; {settings.suggest(str(name), tuple(DEFAULTS))}.")
    return {name: _config(name, values.get(name) or {}, path) for name in names}


def _config(name: str, values: Mapping[str, object], path: Path | None) -> TeleopConfig:
    if not isinstance(values, Mapping) or not isinstance(values.get("buttons") or {}, Mapping):
        raise ConfigError(f"teleop_file {path}, {name}: it and its buttons must be mappings; see docs/teleop.md.")
    base = settings.plain(DEFAULTS[name])
    buttons = {**base["buttons"], **(values.get("buttons") or {})}  # type: ignore[dict-item]
    merged = {**base, **values, "buttons": {key: does for key, does in buttons.items() if does}}
    try:
        config = settings.build(TeleopConfig, merged, f"teleop_file {path}, {name}" if values else name)
    except SettingsError as error:
        raise ConfigError(str(error)) from error
    for button in (*config.buttons, *([config.engage_button] if config.engage_button else [])):
        if not NAMES[name](button):
            raise ConfigError(f"teleop_file {path}, {name}: it has no button {button!r}; give {MENDS[name]}.")
    return config


class Sources:
    """All devices of a run, of which the first that takes over wins, and the terminal's keys for the operator.

    It is the `robot_rl.person.Source` of the process that it is in. openers: of each device, in the order of priority.
    tell: hears, in a sentence, of one that is gone or back, and of one that is refused since another acts. Raises
    `DeviceGone` where one is not there at the start.
    """

    def __init__(
        self,
        openers: Mapping[str, Callable[[], Device]],
        configs: Mapping[str, TeleopConfig],
        task: TaskSpec,
        tell: Callable[[str], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._openers, self._configs, self._task, self._tell, self._clock = openers, configs, task, tell, clock
        self._teleops: dict[str, Teleop] = {}
        self._retry = self._lost = -np.inf
        self._acting = ""
        self._refused: frozenset[str] = frozenset()
        self._returning: set[str] = set()  # that were lost, and have not been heard of since
        self._keys = None if "keyboard" in openers else OperatorKeys()
        try:
            for name in openers:
                self._open(name)
        except DeviceGone:
            self.close()
            raise

    def read(self) -> TeleopCommand:
        """What the person wants now: the action of the first device that takes over, and every device's commands."""
        now = self._clock()
        commands: list[Command] = list(self._keys.read()) if self._keys else []
        said: dict[str, TeleopCommand] = {}
        self._look_again(now)
        for name in self._openers:
            if name not in self._teleops:
                continue
            try:
                said[name] = self._teleops[name].read()
            except DeviceGone as error:
                self._lose(name, error, now)
                continue
            self._welcome(name)
            commands += said[name].commands
        engaged = [name for name in said if said[name].engaged]
        self._acting = engaged[0] if engaged else ""
        self._refuse(frozenset(engaged[1:]))
        gone = self._teleops.keys() <= self._returning or now < self._lost + LOST
        chosen = said[self._acting] if engaged else next(iter(said.values()), None)
        action = np.zeros(self._task.action_dim, np.float32) if chosen is None else chosen.action
        return TeleopCommand(bool(engaged) and not gone, action, tuple(commands), gone)

    def close(self) -> None:
        """Let go of all of them."""
        for teleop in self._teleops.values():
            teleop.device.close()
        self._teleops.clear()
        if self._keys is not None:
            self._keys.close()

    def _open(self, name: str) -> None:
        self._teleops[name] = Teleop(self._openers[name](), self._configs[name], self._task, clock=self._clock)

    def _look_again(self, now: float) -> None:
        """Open again what has come back."""
        missing = [name for name in self._openers if name not in self._teleops]
        if not missing or now < self._retry:
            return
        self._retry = now + RETRY
        for name in missing:
            try:
                self._open(name)
            except DeviceGone:
                continue  # it was told of

    def _welcome(self, name: str) -> None:
        """A device that was lost is back once it is heard of."""
        if name in self._returning and self._teleops[name].heard:
            self._returning.remove(name)
            self._tell(f"{name} is back")

    def _lose(self, name: str, error: DeviceGone, now: float) -> None:
        self._teleops.pop(name).device.close()
        self._retry = now + RETRY
        if name not in self._returning:
            self._tell(f"{name}: {error}")
        self._returning.add(name)
        if name == self._acting:
            self._lost = now

    def _refuse(self, refused: frozenset[str]) -> None:
        for name in sorted(refused - self._refused):
            self._tell(f"{name} is refused while {self._acting} takes over")
        self._refused = refused


@contextmanager
def opened(config: RunConfig, task: TaskSpec, tell: Callable[[str], None]) -> Iterator[Sources]:
    """The devices of a run in this process. Raises `ConfigError`, `DeviceGone`."""
    names = devices_of(config)
    configs = read_configs(names, config.teleop_file)
    with ExitStack() as stack:
        openers: Mapping[str, Callable[[], Device]] = OPENERS
        if set(names) & set(OVER_ROS):
            from robot_rl.nodes.teleop import listening, openers_of

            openers = openers_of(config, stack.enter_context(listening()), task)
        yield stack.enter_context(closing(Sources({name: openers[name] for name in names}, configs, task, tell)))
