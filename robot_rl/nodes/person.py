"""What the actor's node hears of people: the device they take over with, and what they say of an episode."""

from __future__ import annotations

import dataclasses
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from numpy.typing import NDArray
from sensor_msgs.msg import Joy
from std_srvs.srv import Trigger

from controllers.arms.ros_io import LATCHED, TARGET, Requests
from robot_rl.nodes.base import Host
from robot_rl.nodes.protocol import OPERATOR, OPERATOR_STATE, TELEOP
from robot_rl.operator import COMMANDS, Answer, Command, OperatorState

FRESH = 0.25
"""Age, s of the wall clock, from which a device that was heard counts as gone."""


@dataclass(frozen=True)
class Heard:
    """What a device's node said last. action: (action_dim,); commands come as services."""

    action: NDArray[np.float32]
    engaged: bool = False
    gone: bool = False
    commands: tuple[Command, ...] = field(default=(), init=False)


class RosSource:
    """The device behind `teleop/command`, from one publisher alone. One that falls silent is gone."""

    def __init__(self, host: Host, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._log, self._clock, self._dim = host.node.get_logger(), clock, host.task.action_dim
        self._feed = host.listener.subscribe(Joy, TELEOP, TARGET)
        self._nothing = Heard(np.zeros(self._dim, np.float32))
        self._heard, self._until = self._nothing, 0.0
        self._came = False

    def read(self) -> Heard:
        """The newest word of the device; nothing was taken over before the first."""
        if (message := self._feed.newest()) is not None and (heard := self._read(message)) is not None:
            self._heard, self._until, self._came = heard, self._clock() + FRESH, True
        if self._feed.contested:
            self._log.error(f"two publishers on {self._feed.topic}: neither takes over", throttle_duration_sec=5.0)
            return dataclasses.replace(self._nothing, gone=True)
        if self._came and self._clock() > self._until:
            return dataclasses.replace(self._nothing, gone=True)
        return self._heard

    def _read(self, message: Joy) -> Heard | None:
        action = np.asarray(message.axes, np.float32)
        if action.shape != (self._dim,) or not np.isfinite(action).all() or len(message.buttons) != 2:
            self._log.error(
                f"{self._feed.topic} has axes {list(message.axes)} and buttons {list(message.buttons)}; "
                f"it must have {self._dim} finite axes and the buttons engaged and gone",
                throttle_duration_sec=5.0,
            )
            return None
        engaged, gone = message.buttons
        return Heard(action, bool(engaged), bool(gone))


class RosOperator:
    """An `Operator` behind services, one for each command; the actor's own thread takes and answers them."""

    def __init__(self, host: Host) -> None:
        self._services = {command: host.listener.serve(Trigger, f"{OPERATOR}/{command}") for command in COMMANDS}
        self._asked: deque[tuple[Requests, Any]] = deque()
        self._state = host.node.create_publisher(DiagnosticStatus, OPERATOR_STATE, LATCHED)

    def take(self) -> list[Command]:
        """As `Operator.take`; of commands that came at the same time, in the order of `COMMANDS`."""
        commands: list[Command] = []
        for command, service in self._services.items():
            while (request := service.take()) is not None:
                commands.append(command)
                self._asked.append((service, request[1]))
        return commands

    def answer(self, answer: Answer) -> None:
        """As `Operator.answer`."""
        service, header = self._asked.popleft()
        service.answer(header, Trigger.Response(success=answer.done, message=answer.text))

    def show(self, state: OperatorState) -> None:
        """As `Operator.show`: on `operator/state`, latched."""
        values = [KeyValue(key=name, value=str(value)) for name, value in dataclasses.asdict(state).items()]
        self._state.publish(DiagnosticStatus(name="operator", message=state.text, values=values))
