"""A person at a device: acts in the policy's place while taking over, and says how an episode went.

The same object takes part in one process and as a ROS node; what differs is where the device is read (`Source`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from robot_rl.data.transition import Observation
from robot_rl.envs.environment import Environment
from robot_rl.metrics import MetricsWriter
from robot_rl.operator import Answer, Command, NoOperator, Operator, OperatorState

GONE = "the device that took over is gone: the arm holds for a step, and the policy acts again"


class Said(Protocol):
    """What a device says at one moment (`robot_rl.teleop.TeleopCommand`).

    engaged: it takes over; action: then this is executed, float32 (action_dim,) in [-1, 1]. commands: pressed since
    the last reading. gone: there is no device any more.
    """

    @property
    def engaged(self) -> bool: ...

    @property
    def action(self) -> NDArray[np.float32]: ...

    @property
    def commands(self) -> tuple[Command, ...]: ...

    @property
    def gone(self) -> bool: ...


class Source(Protocol):
    """Where a device is read."""

    def read(self) -> Said:
        """What it says now; never waits."""


@dataclass(frozen=True)
class _Nothing:
    engaged: bool = False
    action: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    commands: tuple[Command, ...] = ()
    gone: bool = False


class NoDevice:
    """Where nobody can take over; others may still say how it goes."""

    def read(self) -> Said:
        """Nothing."""
        return _Nothing()


class Person:
    """An `Intervener` and an `Operator`: who else says how it goes, says it to `others`.

    tell: hears, in a sentence, of a device that is gone, and what became of each command. shown: hears how things are.
    period: of the steps, s, where time does not pass by itself, as in a twin in this process: a person is not as fast
    as the machine. 0: no step is waited for.
    """

    def __init__(
        self,
        source: Source,
        *,
        tell: Callable[[str], None],
        shown: Callable[[OperatorState], None] = lambda state: None,
        others: Operator | None = None,
        period: float = 0.0,
        rest: Callable[[float], None] = time.sleep,
    ) -> None:
        self._period, self._rest, self._due = period, rest, 0.0
        self._source, self._others, self._tell, self._shown = source, others or NoOperator(), tell, shown
        self._pressed: list[Command] = []
        self._unanswered = 0
        self._acted = self._gone = False

    @property
    def waiting(self) -> bool:
        """Whether something was asked that has not been taken yet."""
        return bool(self._pressed)

    def moves(self) -> bool:
        """Whether the person takes over now."""
        said = self._look()
        return said.engaged and not said.gone

    def begin(self, episode: int) -> None:
        """Whoever took over at the end of the last episode may go on in this one."""

    def __call__(self, env: Environment, observation: Observation, proposed: NDArray) -> NDArray | None:
        """The person's action while they take over. One whose device vanishes meanwhile holds for that step."""
        self._keep_pace()
        said = self._look()
        lost = said.gone and self._acted
        self._acted = said.engaged and not said.gone
        if lost:
            return np.zeros_like(proposed)
        return np.clip(said.action, -1, 1).astype(np.float32) if self._acted else None

    def take(self) -> list[Command]:
        """As `Operator.take`."""
        self._look()
        pressed, self._pressed = self._pressed, []
        self._unanswered += len(pressed)
        return pressed + self._others.take()

    def answer(self, answer: Answer) -> None:
        """As `Operator.answer`."""
        self._tell(answer.text)
        if self._unanswered:
            self._unanswered -= 1
        else:
            self._others.answer(answer)

    def show(self, state: OperatorState) -> None:
        """As `Operator.show`."""
        self._others.show(state)
        self._shown(state)

    def _keep_pace(self) -> None:
        """Let a period pass between two steps; one that took longer is not made up for."""
        now = time.monotonic()
        if now < self._due:
            self._rest(self._due - now)
        self._due = max(self._due, now) + self._period

    def _look(self) -> Said:
        said = self._source.read()
        self._pressed += said.commands
        if said.gone and not self._gone:
            self._tell(GONE if self._acted else "the device to take over with is gone; the policy goes on")
        self._gone = said.gone
        return said


def watched(source: Source, metrics: MetricsWriter, others: Operator | None = None, *, period: float = 0.0) -> Person:
    """A person of whom the run's metrics tell: what was said as `notice`, pauses and the end as `operator`."""
    known = {"paused": False, "stopping": False}

    def shown(state: OperatorState) -> None:
        new = {"paused": state.paused, "stopping": state.stopping}
        if new != known:
            known.update(new)
            metrics.write("operator", **new, text=state.text)

    def tell(text: str) -> None:
        metrics.write("notice", text=text)

    return Person(source, tell=tell, shown=shown, others=others, period=period)
