"""The teleop node: reads the devices of whoever may take over, and says a hundred times a second what they do.

Besides the devices of `robot_rl.teleop` there are those behind topics: a `sensor_msgs/Joy` on `teleop/joy` or a
`geometry_msgs/TwistStamped` on `teleop/twist` (device `ros`; a twist's numbers are shares of the largest action, -1 to
1), and a leader arm's `sensor_msgs/JointState` on `teleop/leader_joint_states`. What an operator presses becomes a call
of the actor's services.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from geometry_msgs.msg import TwistStamped
from numpy.typing import NDArray
from rclpy.context import Context
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import JointState, Joy
from std_srvs.srv import Trigger

from controllers.arms.ros_io import SENSOR, TARGET, Feed, Listener
from controllers.kinematics import Kinematics
from controllers.models import arm_model
from robot_rl.actors import FIRST
from robot_rl.config import RunConfig, devices_of
from robot_rl.exceptions import DeviceGone
from robot_rl.metrics import MetricsWriter
from robot_rl.nodes.base import Host, hosting, settle_memory
from robot_rl.nodes.protocol import OPERATOR, TELEOP
from robot_rl.operator import COMMANDS, Command
from robot_rl.teleop import OPENERS, Device, DeviceState, Sources, TeleopCommand, read_configs
from robot_rl.teleop.device import at_rest
from robot_rl.teleop.leader import Leader
from tasks.spec import TaskSpec

RATE = 100
"""Words a second."""
SILENT = 0.5
"""Without a message for so long, s, a device behind a topic is at rest."""
JOY, TWIST, LEADER = "teleop/joy", "teleop/twist", "teleop/leader_joint_states"


class RosDevice:
    """A device behind a topic, of either kind. Buttons of a Joy are `0`, `1`, ... as it counts them."""

    name = "ros"

    def __init__(self, listener: Listener) -> None:
        self._joy: Feed[Joy] = listener.subscribe(Joy, JOY, TARGET)
        self._twist: Feed[TwistStamped] = listener.subscribe(TwistStamped, TWIST, SENSOR)
        self._axes, self._held = at_rest(), frozenset[str]()
        self._until = 0.0
        self._heard = False

    def read(self) -> DeviceState:
        """As `Device.read`: every Joy counts, so that no press is lost; of twists the newest does.

        One who falls silent is at rest. Raises `DeviceGone`: whoever was moving the arm is not there any more, or two
        speak.
        """
        pressed: list[str] = []
        while (message := self._joy.take()) is not None:
            pressed += self._take(message)
        if (twist := self._twist.newest()) is not None:
            linear, angular = twist.twist.linear, twist.twist.angular
            self._set([linear.x, linear.y, linear.z, angular.x, angular.y, angular.z])
        if time.monotonic() > self._until:
            if (self._axes.any() or self._held) and not (self._joy.publishers or self._twist.publishers):
                raise DeviceGone(f"nobody speaks on {JOY} or {TWIST} any more; start its driver again.")
            self._axes, self._held = at_rest(), frozenset()
        return DeviceState(self._axes, self._held, tuple(pressed), heard=self._heard)

    def close(self) -> None:
        """At rest, and not heard of; the topics are the node's."""
        self._axes, self._held, self._heard = at_rest(), frozenset(), False

    def _take(self, message: Joy) -> list[str]:
        self._set(list(message.axes)[:6])
        held = frozenset(str(number) for number, down in enumerate(message.buttons) if down)
        pressed, self._held = sorted(held - self._held, key=int), held
        return pressed

    def _set(self, numbers: list[float]) -> None:
        axes = at_rest()
        axes[: len(numbers)] = numbers
        self._axes = np.where(np.isfinite(axes), np.clip(axes, -1, 1), 0).astype(np.float32)
        self._until = time.monotonic() + SILENT
        self._heard = True
        for feed in (self._joy, self._twist):
            if feed.contested:
                raise DeviceGone(f"two publishers speak on {feed.topic}; stop one of them.")


class Caller:
    """Calls an operator's services without waiting, and tells what was answered."""

    def __init__(self, host: Host) -> None:
        self._log = host.node.get_logger()
        self._clients = {name: host.node.create_client(Trigger, f"{OPERATOR}/{name}") for name in COMMANDS}

    def __call__(self, command: Command) -> None:
        client = self._clients[command]
        if not client.service_is_ready():
            self._log.warning(f"nobody hears {command}: the actor is not there")
            return
        client.call_async(Trigger.Request()).add_done_callback(lambda done: self._log.info(done.result().message))


def openers_of(config: RunConfig, listener: Listener, task: TaskSpec) -> dict[str, Callable[[], Device]]:
    """How to open each of the run's devices, in the order of their priority."""
    behind: Mapping[str, Callable[[], Device]] = {
        "ros": cache(partial(RosDevice, listener)),  # opened again it goes on with the topics that it has
        "leader": partial(_leader, listener, task),
    }
    return {name: behind[name] if name in behind else OPENERS[name] for name in devices_of(config)}


def _leader(listener: Listener, task: TaskSpec) -> Leader:
    """A leader arm of the same kind as the task's."""
    feed = listener.subscribe(JointState, LEADER, SENSOR)

    def joints() -> NDArray | None:
        message = feed.newest()
        return None if message is None else np.asarray(message.position)

    return Leader(Kinematics(arm_model(task.arm)), len(task.home), joints, task)


@contextmanager
def listening() -> Iterator[Listener]:
    """Ears on the ROS graph that this process is in, without a run: for devices behind topics."""
    context = Context()
    rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
    node = Node("teleop", context=context)
    try:
        yield Listener(node)
    finally:
        node.destroy_node()
        context.try_shutdown()


def serve(host: Host, devices: Sources, call: Callable[[Command], None]) -> None:
    """Say what the devices do until interrupted."""
    publisher = host.node.create_publisher(Joy, TELEOP, TARGET)
    while True:
        said = devices.read()
        for command in said.commands:
            call(command)
        publisher.publish(_message(host, said))
        host.status("warn" if said.gone else "ok", "a device is gone" if said.gone else "reading", engaged=said.engaged)
        host.listener.sleep(1 / RATE)


def _message(host: Host, said: TeleopCommand) -> Any:
    message = Joy(axes=said.action.tolist(), buttons=[int(said.engaged), int(said.gone)])
    message.header.stamp = host.node.get_clock().now().to_msg()
    return message


def main(run: Path, ros_args: list[str], actor: str = FIRST) -> None:
    """Run the node until interrupted."""
    with hosting("teleop", run, ros_args, actor=actor) as host, MetricsWriter(host.run.metrics) as metrics:
        names = devices_of(host.config)
        configs = read_configs(names, host.config.teleop_file)
        openers = openers_of(host.config, host.listener, host.task)
        devices = Sources(openers, configs, host.task, lambda text: metrics.write("notice", text=text))
        settle_memory()
        try:
            serve(host, devices, Caller(host))
        finally:
            devices.close()
