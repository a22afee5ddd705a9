"""From a device to an action: dead zone, scale, axes, frame, and which button does what."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from controllers import spatial
from controllers.exceptions import SettingsError
from controllers.settings import option
from robot_rl.operator import COMMANDS, Command
from robot_rl.teleop.device import Device
from tasks.spec import AXES, TaskSpec

GRIPPER = ("close", "open", "grip")
"""What a button may tell a gripper: to close, to open, or to do what it did not do last."""
PERIODS = 2
"""How many control periods a press for the gripper takes over at least."""


@dataclass(frozen=True)
class TeleopConfig:
    """How a device moves the arm. Each device comes with its own (`robot_rl.teleop.sources.DEFAULTS`)."""

    dead_zone: float = option(0.05, "deflection below which an axis counts as at rest")
    scale: tuple[float, ...] = option((1.0,) * 6, "factors of x, y, z and the turns about them")
    axes: tuple[str, ...] = option(
        AXES, "which of the device's axes x y z rx ry rz moves each of the arm's; -x turns it"
    )
    frame: Literal["base", "tool"] = option(
        "base", "what the axes are of: the tool, or the base, as the tool is held at the task's start"
    )
    engage: Literal["move", "hold", "toggle"] = option(
        "move", "takes over while it is moved, while `engage_button` is held, or between two presses of it"
    )
    engage_button: str = option("", "the button for that")
    release_s: float = option(0.0, "how long, s, the arm is held after a release before the policy acts again")
    buttons: Mapping[str, str] = option({}, "what buttons do: close, open, grip, or a command of the operator's")

    def __post_init__(self) -> None:
        if not 0 <= self.dead_zone < 1:
            raise SettingsError(f"dead_zone is {self.dead_zone}; it must be at least 0 and below 1.")
        if len(self.scale) != 6 or len(self.axes) != 6:
            raise SettingsError(f"scale and axes have {len(self.scale)} and {len(self.axes)} parts; each must have 6.")
        for axis in self.axes:
            if axis.removeprefix("-") not in AXES:
                raise SettingsError(f"axes has {axis!r}; choose from {', '.join(AXES)}, with - before one to turn it.")
        if self.engage != "move" and not self.engage_button:
            raise SettingsError(f"engage is {self.engage}, but engage_button is empty; name the button.")
        if self.release_s < 0:
            raise SettingsError(f"release_s is {self.release_s}; it must not be below 0.")
        for button, does in self.buttons.items():
            if does not in (*GRIPPER, *COMMANDS):
                choices = ", ".join((*GRIPPER, *COMMANDS))
                raise SettingsError(f"buttons.{button} is {does!r}; choose from {choices}.")


@dataclass(frozen=True)
class TeleopCommand:
    """What a person wants now. action: (action_dim,) float32 in [-1, 1], of the tool frame, as a policy's.

    commands: for the operator, in the order in which their buttons were pressed. gone: there is no device any more.
    """

    engaged: bool
    action: NDArray[np.float32]
    commands: tuple[Command, ...] = ()
    gone: bool = False


class Teleop:
    """One device in a person's hands, for one task. heard: whether it has said anything."""

    def __init__(
        self, device: Device, config: TeleopConfig, task: TaskSpec, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.device, self._config, self._task, self._clock = device, config, task, clock
        self._moved = [AXES.index(axis) for axis in task.action.axes]
        self._from = [AXES.index(axis.removeprefix("-")) for axis in config.axes]
        signs = [-1.0 if axis.startswith("-") else 1.0 for axis in config.axes]
        self._scale = np.array(signs) * np.array(config.scale)
        self.heard = False
        self._toggled = False
        self._grip = self._told = 0.0
        self._engaged = False
        self._until = -np.inf

    def read(self) -> TeleopCommand:
        """What the person wants now. Raises `DeviceGone`."""
        state, config = self.device.read(), self._config
        self.heard = state.heard
        if config.engage == "toggle" and state.pressed.count(config.engage_button) % 2:
            self._toggled = not self._toggled
        axes, now = self._past_dead_zone(state.axes), self._clock()
        wanted = self._wanted(axes, state.held)
        does = [config.buttons.get(button, "") for button in state.pressed]
        grips = [what for what in does if what in GRIPPER] if wanted or config.engage == "move" else []
        if wanted or grips:
            looked = PERIODS * self._task.period if grips else 0.0  # a press alone lasts until an actor has looked
            self._until = max(self._until, now + max(config.release_s, looked))
        engaged = wanted or now < self._until
        self._tell_gripper(grips, begins=engaged and not self._engaged)
        self._engaged = engaged
        commands = tuple(command for what in does for command in COMMANDS if command == what)
        return TeleopCommand(engaged, self._action(axes if wanted else np.zeros(6)), commands)

    def _tell_gripper(self, grips: list[str], *, begins: bool) -> None:
        """A gripper stays as it is when somebody takes over, and then as they told it."""
        if begins:
            self._grip = 0.0
        for what in grips:
            self._told = {"close": 1.0, "open": -1.0, "grip": -1.0 if self._told > 0 else 1.0}[what]
            self._grip = self._told

    def _wanted(self, axes: NDArray, held: frozenset[str]) -> bool:
        """Whether the person takes over."""
        if self._config.engage == "move":
            return bool(axes.any())
        return self._toggled if self._config.engage == "toggle" else self._config.engage_button in held

    def _past_dead_zone(self, axes: NDArray) -> NDArray:
        """(6,): rest stays rest, and the rest of the way is spread over [-1, 1]."""
        zone = self._config.dead_zone
        return np.sign(axes) * np.maximum(0.0, np.abs(axes) - zone) / (1.0 - zone)

    def _action(self, axes: NDArray) -> NDArray[np.float32]:
        twist = axes[self._from] * self._scale
        if self._config.frame == "base":
            tool = spatial.conjugate(self._task.start.quaternion)
            twist = np.concatenate([spatial.rotate(tool, twist[:3]), spatial.rotate(tool, twist[3:])])
        grip = [] if self._task.gripper is None else [self._grip]
        return np.clip(np.concatenate([twist[self._moved], grip]), -1, 1).astype(np.float32)
