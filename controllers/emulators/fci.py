"""`python -m controllers.emulators.fci`: a Franka Research 3 on loopback, for any program made for one.

`Emulator` runs it as a process of its own, which it has to be: pylibfranka never lets go of Python's lock.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

import tasks
from controllers.compiled import keep_compiled_code
from controllers.emulators import wire
from controllers.exceptions import ControllersError

ARMS = ("fr3",)
FIRST_WAIT = 120.0
"""s for the emulator to come up; the first time, its inner loop is compiled."""
READY = "ready"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The emulator's options."""
    parser.add_argument("--task", default="peg_insert", help="the scene around the arm")
    parser.add_argument("--arm", default="fr3", choices=ARMS)
    parser.add_argument("--address", default="127.0.0.1", help="where to listen; several robots take 127.0.0.2, ...")
    parser.add_argument("--clock", default="realtime", choices=("realtime", "lockstep"))
    parser.add_argument("--seed", type=int, default=0, help="of the scene and of the faults")
    parser.add_argument("--drop", type=float, default=0.0, metavar="SHARE", help="commands lost, 0 to 1")
    parser.add_argument("--delay", type=int, default=0, metavar="CYCLES", help="commands late by this many ms")
    parser.add_argument("--reorder", type=float, default=0.0, metavar="SHARE", help="commands overtaken, 0 to 1")
    parser.add_argument(
        "--at", nargs=2, action="append", default=[], metavar=("SECONDS", "FAULT"),
        help="a fault at a second of the robot's time: reflex:NAME, drop:COUNT, disconnect, stop, release",
    )  # fmt: skip
    parser.add_argument("--fault", metavar="ERROR", help="start in this error, as an arm that stopped before")
    parser.add_argument("--user-stop", action="store_true", help="start with the user stop pressed")
    parser.add_argument("--no-gripper", action="store_true", help="no hand is connected")
    parser.add_argument("--server-version", type=int, default=wire.ROBOT_VERSION, help="firmware that Connect reports")
    parser.add_argument("--parent", type=int, help=argparse.SUPPRESS)


def serve(options: argparse.Namespace) -> int:
    """Run until interrupted; the exit code. Raises `ControllersError` for a taken port or an unknown error's name."""
    keep_compiled_code()
    from controllers.emulators.control import Service, error_index
    from controllers.emulators.faults import Link
    from controllers.emulators.gripper import Gripper
    from controllers.emulators.robot import Robot
    from controllers.emulators.server import Server
    from controllers.twin.plant import Plant

    link = Link(options.seed, drop=options.drop, delay=options.delay, reorder=options.reorder)
    plant = Plant(tasks.load(options.task))
    plant.reset_scene(options.seed)
    robot = Robot(plant)
    robot.warm_up()
    gripper = None if options.no_gripper else Gripper(plant)
    server = Server(robot, gripper, options.address, options.clock, link, options.server_version)
    service = Service(server)
    server.service, server.parent = service, options.parent
    for seconds, words in options.at:
        service.plan(_seconds(seconds), words)
    if options.fault:
        robot.reflex(error_index(options.fault))
    robot.user_stop(options.user_stop)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: setattr(server, "running", False))
    print(f"{READY}: {options.arm} at {options.address}, {options.clock} clock, task {options.task}", flush=True)
    server.run()
    return 0


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise ControllersError(f"--at {text!r}: give seconds, and a fault") from error


class Emulator:
    """The emulator as a process: `with Emulator(task="reach") as robot: pylibfranka.Robot(robot.address, ...)`.

    address: None takes a loopback address that is free. options: as the command line's, with underscores
    (`no_gripper=True`, `at=[(3.0, "stop")]`). Raises `ControllersError` with the emulator's own sentence if it does
    not come up.
    """

    def __init__(self, *, address: str | None = None, clock: str = "lockstep", **options: Any) -> None:
        self.address = address or free_address()
        options = {"address": self.address, "clock": clock, "parent": os.getpid(), **options}
        self._command = [sys.executable, "-m", "controllers.emulators.fci", *_arguments(options)]
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        patience = threading.Timer(FIRST_WAIT, self._process.kill)
        patience.start()
        try:
            for line in self._process.stdout:
                if line.startswith(READY):
                    return
            _, errors = self._process.communicate()
        finally:
            patience.cancel()
        reason = errors.strip().splitlines()[-1:] or ["it said nothing"]
        raise ControllersError(f"the emulator did not start: {reason[0]}")

    @property
    def running(self) -> bool:
        """Whether the process is alive."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Of the process, for those who want to kill it."""
        assert self._process is not None
        return self._process.pid

    def stop(self) -> None:
        """End it."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.communicate(timeout=5.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
        self._process = None

    def __enter__(self) -> Emulator:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()


def free_address() -> str:
    """A loopback address where nobody listens on the robot's port."""
    start = os.getpid() % 200
    for last in range(200):
        address = f"127.0.{1 + (start + last) % 200}.{2 + time.monotonic_ns() % 250}"
        with socket.socket() as probe:
            try:
                probe.bind((address, wire.ROBOT_PORT))
            except OSError:
                continue
            return address
    raise ControllersError("no loopback address is free for another emulator: end those that run")


def _arguments(options: dict[str, Any]) -> list[str]:
    words = []
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            words.append(flag)
        elif isinstance(value, (list, tuple)):
            words += [word for pair in value for word in (flag, *map(str, pair))]
        elif value is not False and value is not None:
            words += [flag, str(value)]
    return words


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; a mistake is one sentence and code 2."""
    parser = argparse.ArgumentParser(prog="python -m controllers.emulators.fci", description=__doc__)
    add_options(parser)
    try:
        return serve(parser.parse_args(arguments))
    except (ControllersError, tasks.UnknownTask) as error:
        print(f"fci: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
