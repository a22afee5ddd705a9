"""What the actor's environment sees of the reward and the reset node."""

from __future__ import annotations

import dataclasses
import json
import time

from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger

from controllers import exceptions
from controllers.arms.ros import RosCell, call
from controllers.arms.ros_io import STATE, nanoseconds
from controllers.arms.ros_messages import named_values
from controllers.exceptions import CellTimeout
from controllers.interface import Cell, Reading
from robot_rl.config import SLOW
from robot_rl.nodes.base import Host
from robot_rl.nodes.protocol import LABEL_TOPIC, RESET_SERVICE, SEED
from robot_rl.resets.base import Outcome
from robot_rl.rewards.base import Late, RewardResult
from robot_rl.rewards.late import NOTHING
from robot_rl.rewards.preference.chat import LONGEST_WAIT

ATTEMPTS = 3


class RosReward:
    """The reward node's label of the cell's newest reading. A node that is being restarted is waited for.

    slow: it is not waited for: what it says comes with a later reading's result.
    """

    source = "ros"

    def __init__(self, host: Host, cell: RosCell, timeout: float = 60.0, *, slow: bool = False) -> None:
        self._listener, self._cell, self._timeout, self._slow = host.listener, cell, timeout, slow
        self._feed = host.listener.subscribe(JointState, LABEL_TOPIC, STATE)
        self._newest: JointState | None = None
        self._ticks: dict[int, int] = {}  # of each stamp that may be judged yet, its reading's tick

    def __call__(self, reading: Reading) -> RewardResult:
        if self._slow:
            return self._come_so_far(reading)
        end = time.monotonic() + self._timeout
        while self._newest is None or nanoseconds(self._newest.header.stamp) < self._cell.stamp:
            if time.monotonic() > end:
                raise CellTimeout(
                    f"no label of tick {reading.tick} on {LABEL_TOPIC} within {self._timeout:g} s: "
                    "is the reward node alive?"
                )
            self._listener.wait([self._feed], 0.5)
            self._newest = self._feed.newest() or self._newest
        return _result(self._newest)

    def _come_so_far(self, reading: Reading) -> RewardResult:
        late = []
        self._ticks[self._cell.stamp] = reading.tick
        while (message := self._feed.take()) is not None:
            stamp = nanoseconds(message.header.stamp)
            if (tick := self._ticks.get(stamp)) is not None:
                late.append(Late(tick, _result(message)))
                self._ticks = {known: of for known, of in self._ticks.items() if known > stamp}
        return dataclasses.replace(NOTHING, late=tuple(late))


def _result(message: JointState) -> RewardResult:
    values = named_values(message)
    return RewardResult(float(values["reward"]), bool(values["success"]))


def open_reward(host: Host, cell: RosCell) -> RosReward:
    """The reward node as the run needs it: what takes longer than a step is waited for in lockstep alone."""
    if host.config.reward not in SLOW:
        return RosReward(host, cell)
    settings = host.config.progress
    longest = 60.0 + (settings.retries + 1) * (settings.timeout + LONGEST_WAIT)
    return RosReward(host, cell, longest, slow=not host.lockstep)


class RosReset:
    """Asks the reset node. A call that gets no answer is made again: the node may have been restarted."""

    def __init__(self, host: Host, cell: RosCell) -> None:
        self._host, self._cell = host, cell
        self._patience = 20.0 if host.lockstep else 120.0
        self.outcome = Outcome()

    def __call__(self, cell: Cell, seed: int) -> Reading:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                answer = self._ask(seed)
                break
            except CellTimeout:
                if attempt == ATTEMPTS:
                    raise
                self._host.node.get_logger().warning("the reset node did not answer; asking again")
        if not answer.success:
            kind, _, message = answer.message.partition(": ")
            raise getattr(exceptions, kind, CellTimeout)(message)
        told = json.loads(answer.message)
        self._cell.not_before(told.pop("stamp"))
        self.outcome = Outcome(tuple(told.pop("failures")), **told)
        return self._cell.read() if self._host.lockstep else self._cell.wait()

    def _ask(self, seed: int) -> Trigger.Response:
        host = self._host
        value = ParameterValue(type=ParameterType.PARAMETER_INTEGER, integer_value=seed)
        request = SetParameters.Request(parameters=[Parameter(name=SEED, value=value)])
        call(host.node, host.listener, SetParameters, "reset/set_parameters", request, self._patience)
        return call(host.node, host.listener, Trigger, RESET_SERVICE, Trigger.Request(), self._patience)
