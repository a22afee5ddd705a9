"""Nodes in this process: shared memory alone, a ROS domain of their own."""

import dataclasses
import gc
import os
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

import tasks
from robot_rl.config import RunConfig
from robot_rl.nodes.environment import PROFILE_SHM_ONLY, Domain, clean_shared_memory, ros_environment
from robot_rl.runs import RunFolder

if TYPE_CHECKING:
    from rclpy.context import Context

rclpy = pytest.importorskip("rclpy")


@pytest.fixture(scope="module")
def domain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A domain held for one test file."""
    with pytest.MonkeyPatch.context() as patch, Domain(tmp_path_factory.mktemp("domain")) as held:
        patch.setenv("FASTRTPS_DEFAULT_PROFILES_FILE", str(PROFILE_SHM_ONLY))
        patch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "SYSTEM_DEFAULT")
        for name, value in ros_environment(os.environ).items():
            patch.setenv(name, value)
        yield held.number
        clean_shared_memory()


@pytest.fixture(scope="module")
def context(domain: int) -> Iterator["Context"]:
    """One participant for all nodes of a test file, as a process has one: Fast DDS is apt to lock itself up where
    one of several in a process ends while others are being discovered (Fast-DDS issues 6193, 6502, 6513)."""
    from rclpy.context import Context

    made = Context()
    rclpy.init(context=made, domain_id=domain)
    yield made
    made.try_shutdown()
    del made
    # what is left in cycles holds the participant; where it ended later, it would take the files of the next one's
    # shared memory with it, which have the same names
    gc.collect()


@pytest.fixture
def host(context, tmp_path):
    """A factory of hosts: host("arm", task=..., namespace=..., clock=...)."""
    from rclpy.node import Node

    from controllers.arms.ros_io import Listener
    from robot_rl.nodes.base import Host, Services

    made = []

    def make(name, task="reach", namespace="", **values):
        node = Node(name, context=context, namespace=namespace)
        config = dataclasses.replace(RunConfig(task), **values)
        made_host = Host(node, Listener(node), RunFolder(tmp_path), config, tasks.load(task))
        made.append((node, Services(made_host)))
        return made_host

    yield make
    for node, services in made:
        services.end()
        node.destroy_node()


@pytest.fixture
def background():
    """Runs nodes' loops in threads, and stops them with the test: background(host, loop)."""
    running = []

    def start(served, loop):
        def run():
            try:
                loop()
            except KeyboardInterrupt:
                return

        thread = threading.Thread(target=run)
        thread.start()
        running.append((served, thread))

    yield start
    for served, thread in running:
        served.listener.interrupted.set()
        thread.join()


@pytest.fixture
def arm(host, background):
    """Starts an arm node in lockstep: arm(task) returns it."""
    from controllers.twin import TwinCell
    from robot_rl.nodes.arm import ArmNode

    def start(task="reach"):
        served = host("arm", task)
        node = ArmNode(served, TwinCell(served.task, seed=0))
        background(served, node.run_lockstep)
        return node

    return start


@pytest.fixture
def live(host, background):
    """Starts an arm node in real time, on an arm whose time passes by itself: live(task) returns it."""
    from controllers.exceptions import CellTimeout
    from controllers.interface import Abilities
    from controllers.twin import TwinCell
    from robot_rl.nodes.arm import RATE, ArmNode

    class LiveTwin(TwinCell):
        """A twin that moves on by one period at each reading, and falls silent when told."""

        silent = False

        def read(self):
            if self.silent:
                raise CellTimeout("no state of the arm for 1 s: is its cable in?")
            self.advance(round(1e3 / RATE))
            return super().read()

    started = []

    def start(task="reach"):
        served = host("arm", task, clock="realtime")
        cell = LiveTwin(dataclasses.replace(served.task, period=1.0 / RATE), seed=0)
        cell.abilities = Abilities("impedance at 1 kHz", scene=True)
        node = ArmNode(served, cell)
        background(served, node.run_realtime)
        started.append(node)
        return node

    yield start
    for node in started:
        node.close()


@pytest.fixture
def crisp_arm(host, background):
    """Starts an arm node in real time that serves crisp's client: crisp_arm(task, namespace) returns it."""
    from controllers.twin import TwinCell
    from robot_rl.nodes.arm import RATE, ArmNode

    started = []

    def start(task="pick_cube", namespace=""):
        served = host("arm", task, namespace, clock="realtime")
        node = ArmNode(served, TwinCell(dataclasses.replace(served.task, period=1.0 / RATE), seed=0))
        background(served, node.run_realtime)
        started.append(node)
        return node

    yield start
    for node in started:
        node.close()
