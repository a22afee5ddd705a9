"""What every node of ours shares: start, stop, services and diagnostics in a thread, one Listener for the data."""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.context import Context
from rclpy.executors import Executor, ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from controllers.arms.ros import RosCell
from controllers.arms.ros_io import STATE, Listener
from robot_rl.actors import own_config
from robot_rl.cells import task_of
from robot_rl.config import RunConfig
from robot_rl.exceptions import NetworkGone
from robot_rl.nodes.environment import check_network, wait_for_network
from robot_rl.runs import RunFolder
from tasks.spec import TaskSpec

OWNS_ARM, ON_SCHEDULE, PATIENT = 20, 10, -10
"""Priorities: of the arm, of nodes that act at its ticks, and of those that yield to them."""
TRAVELLERS = ("actor", "learner")
"""Nodes that have to do with the run's other machines."""
LEVELS = {"ok": DiagnosticStatus.OK, "warn": DiagnosticStatus.WARN, "error": DiagnosticStatus.ERROR}


@dataclass
class Host:
    """A node in its process. `listener` belongs to the main thread; services and timers run in another.

    report: what `/diagnostics` says once a second; set it with `status`. fault: of a service, timer or thread, which
    ends the process.
    """

    node: Node
    listener: Listener
    run: RunFolder
    config: RunConfig
    task: TaskSpec
    report: tuple[str, str, Mapping[str, object]] = field(default=("ok", "starting", {}))
    fault: Exception | None = None

    @property
    def lockstep(self) -> bool:
        """Whether time is the twin's."""
        return self.config.clock == "lockstep"

    def status(self, level: str, message: str, **values: object) -> None:
        """What diagnostics say from now on; level: `ok`, `warn` or `error`."""
        self.report = (level, message, values)

    def cell(self, *, sim: bool, cameras: bool, features: bool = False, owner: str = "policy") -> RosCell:
        """A proxy of the arm node, with the task's gripper; cameras, features: whether readings hold those."""
        seen = [camera.name for camera in self.task.cameras]
        return RosCell(
            self.node,
            self.listener,
            period=self.task.period,
            clock=self.config.clock,
            gripper=self.task.gripper is not None,
            sim=sim,
            cameras=seen if cameras else (),
            features=seen if features else (),
            owner=owner,
        )


@contextmanager
def hosting(
    name: str,
    run: Path,
    ros_args: list[str] | None = None,
    *,
    actor: str | None = None,
    priority: int = 0,
    beside: Host | None = None,
) -> Iterator[Host]:
    """Node `name` of the run in folder `run`, until the block ends. SIGINT and SIGTERM interrupt its waits.

    actor: whose node it is, None for the learner's; `config` is then that actor's own.
    priority: above 0 that of the real-time scheduler, used where the clock is real; below 0 how much to yield.
    beside: another node of this process, which is interrupted with it.
    """
    folder = RunFolder.open(run)
    config = folder.config() if actor is None else own_config(folder.config(), actor)
    interrupted = threading.Event() if beside is None else beside.listener.interrupted
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: interrupted.set())
    complaint = _prioritise(priority, config.clock == "lockstep")
    peers = config.peers if name in TRAVELLERS else ()
    wait_for_network(peers)
    context = Context()
    rclpy.init(args=ros_args, context=context, signal_handler_options=SignalHandlerOptions.NO)
    node = Node(name, context=context)
    try:
        check_network(peers)
    except NetworkGone:
        node.destroy_node()
        context.try_shutdown()
        raise
    host = Host(node, Listener(node, interrupted), folder, config, task_of(config))
    _diagnose(host)
    if complaint:
        node.get_logger().info(complaint)
    services = Services(host)
    try:
        yield host
    except KeyboardInterrupt:
        if host.fault is not None:
            raise RuntimeError(
                f"a service, timer or thread of the node {name} failed, so the node ends"
            ) from host.fault
        raise
    finally:
        services.end()
        node.destroy_node()
        context.try_shutdown()


class Services:
    """Serves services and timers in a thread. A fault in one of them ends the process (`Host.fault`): an arm that goes
    on while nobody can stop it any more is worse than one that is let go.

    nodes: what is served, the host's own unless given. executor: one after the other unless given.
    """

    def __init__(self, host: Host, nodes: Sequence[Node] = (), executor: Executor | None = None) -> None:
        self._host = host
        self._executor = executor or SingleThreadedExecutor(context=host.node.context)
        for node in nodes or [host.node]:
            self._executor.add_node(node)
        self._thread = threading.Thread(target=self._spin, name="services", daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            return
        except Exception as error:
            self._host.fault = error
            self._host.listener.interrupted.set()
            raise

    def end(self) -> None:
        """Stop serving."""
        self._executor.shutdown(timeout_sec=2.0)
        self._thread.join(timeout=2.0)


def _diagnose(host: Host) -> None:
    publisher = host.node.create_publisher(DiagnosticArray, "/diagnostics", STATE)
    name = host.node.get_fully_qualified_name().lstrip("/")

    def publish() -> None:
        level, message, values = host.report
        status = DiagnosticStatus(level=LEVELS[level], name=name, message=message)
        status.hardware_id = host.config.robot
        status.values = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
        array = DiagnosticArray(status=[status])
        array.header.stamp = host.node.get_clock().now().to_msg()
        publisher.publish(array)

    host.node.create_timer(1.0, publish)


def settle_memory() -> None:
    """Before a paced loop: what start-up made is never looked at again by the garbage collector."""
    gc.collect()
    gc.freeze()


def _prioritise(priority: int, lockstep: bool) -> str:
    """Set the priority of this process; what to tell a person where that is not allowed, else an empty text.

    Linux keeps it per thread, so this comes before the middleware starts its own.
    """
    if priority < 0:
        os.nice(-priority)
    elif priority > 0 and not lockstep:
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
        except PermissionError:
            return "not allowed to use real-time priority, so timing is less steady; give the user an rtprio limit"
    return ""


def bytes_message(kind: Any, data: bytes) -> Any:
    """A std_msgs/UInt8MultiArray of `data`; an array is the one type that rclpy copies as a whole."""
    import array

    content = array.array("B")
    content.frombytes(data)
    message = kind()
    message.data = content
    return message
