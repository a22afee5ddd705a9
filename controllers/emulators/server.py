"""The emulator's network around one clock, in one thread.

Real time: a state each millisecond of the wall clock. Lockstep: the robot waits for the client's answer to its newest
state, so a client may take any time, and the same commands give the same motion to the bit. Before the first command
of a motion nothing moves either; states go on, since clients read two before they answer.
"""

from __future__ import annotations

import ctypes
import os
import select
import socket
import time
from collections.abc import Callable
from typing import Literal

import numpy as np

from controllers.emulators import wire
from controllers.emulators.description import arm_urdf
from controllers.emulators.faults import Link
from controllers.emulators.gripper import Gripper
from controllers.emulators.ports import Connection, accept, listen
from controllers.emulators.requests import GripperPort, RobotPort
from controllers.emulators.robot import Robot
from controllers.emulators.wire import Mode

Clock = Literal["realtime", "lockstep"]
CONTROL_PORT = 1339
PERIOD = 0.001
GRIPPER_EVERY = 20
"""Cycles between two states of the gripper."""
TIMER_SLACK = 29
"""Linux's `PR_SET_TIMERSLACK`: by how many ns the kernel may put off a wake-up to save others; 50 us by itself."""
LATE = 0.003
"""s by which the clock may be behind before it gives them up: the emulator's own delays are no fault of a client."""
AGAIN = (0.01, 0.25)
"""s after which a motion that waits for its first command shows its state once more, and then again and again.

Clients read two states before they answer. One too many would be in their way: it is read in place of a newer one.
"""
HELD = 0.1
"""s between two states of the hand while the arm's client holds its command back."""
SETTLING = 3000
"""Most cycles that the arm gets to come to rest before the next motion, in lockstep."""


class Server:
    """Serves one robot at `address`; gripper None leaves its port closed. Raises `ControllersError`.

    service: answers a line of the service port. running: false ends `run`; so does the end of the process `parent`.
    events: what happens, by the robot's cycles, in order. late: s by which the ticks of the real time were late, a
    ring; overruns: cycles given up.
    """

    def __init__(
        self, robot: Robot, gripper: Gripper | None, address: str, clock: Clock, link: Link, version: int
    ) -> None:
        self.robot, self.gripper, self.link, self.clock = robot, gripper, link, clock
        self.service: Callable[[bytes], bytes] | None = None
        self.running = True
        self.parent: int | None = None
        self.events: list[tuple[int, Callable[[], object]]] = []
        self.message_id = 0
        self.late, self.overruns = np.zeros(60_000), 0
        self._robot_port = RobotPort(robot, arm_urdf(robot.plant.arm), version, self._show)
        self._gripper_port = GripperPort(gripper) if gripper is not None else None
        ports = {wire.ROBOT_PORT: "arm", CONTROL_PORT: "service"}
        if gripper is not None:
            ports[wire.GRIPPER_PORT] = "hand"
        self._listeners = {listen(address, port): role for port, role in ports.items()}
        self._clients: dict[socket.socket, tuple[str, Connection]] = {}
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind((address, 0))
        self._udp.setblocking(False)
        self._incoming = np.zeros(1, wire.COMMAND)
        self._bytes = self._incoming.data.cast("B")
        self._shown, self._repeats, self._first_id, self._ticks = 0.0, 0, 0, 0

    def run(self) -> None:
        """Serve until `running` is false."""
        try:
            if self.clock == "realtime":
                self._realtime()
            else:
                while self.running:
                    self._lockstep()
        finally:
            for owned in (*self._listeners, *self._clients, self._udp):
                owned.close()

    def timing(self) -> dict[str, float]:
        """How late the ticks of the real time were, in us, over the last minute at most; cycles given up."""
        late = 1e6 * self.late[: min(self._ticks, len(self.late))]
        if not len(late):
            return {"ticks": 0, "overruns": 0}
        p50, p99 = np.percentile(late, (50, 99))
        return {"ticks": self._ticks, "overruns": self.overruns, "p50": p50, "p99": p99, "max": float(late.max())}

    def disconnect(self) -> None:
        """Cut the connections of robot and gripper, as a pulled cable would."""
        for role, connection in self._clients.values():
            if role != "service":
                connection.alive = False

    # Clocks.

    def _realtime(self) -> None:
        ctypes.CDLL(None).prctl(TIMER_SLACK, ctypes.c_ulong(1000), 0, 0, 0)
        tick = time.perf_counter()
        while self.running:
            tick += PERIOD
            while (left := tick - time.perf_counter()) > 0.0:
                self._serve(left)
            self.late[self._ticks % len(self.late)] = -left
            self._ticks += 1
            if -left > LATE:
                missed = int(-left / PERIOD)
                self.overruns += missed
                tick += missed * PERIOD
            self.advance(self._newest())
            self._send_state()

    def _lockstep(self) -> None:
        """One step of whatever lockstep is waiting for."""
        if not self.robot.moving:
            self._idle()
            return
        started = bool(self.robot.memory.moving)
        wait = HELD if started else AGAIN[min(self._repeats, 1)] - (time.perf_counter() - self._shown)
        self._serve(max(0.0, wait), udp=True)
        command = self._newest()
        if command is None:
            self._send_fingers()  # the hand's client gives up after a second without a state
        if self.robot.mode != Mode.MOVE:
            return
        if command is not None and int(command["message_id"]) >= (self.message_id if started else self._first_id):
            self.advance(command)
            self._send_state()
        elif not started and time.perf_counter() - self._shown >= AGAIN[min(self._repeats, 1)]:
            self._repeats += 1
            self._send_state()

    def _idle(self) -> None:
        """Without a motion time passes only while something moves, as fast as it can; states still go out."""
        busy = not self.robot.settled or (self.gripper is not None and self.gripper.busy)
        if busy:
            self.advance(None)
        left = self._shown + PERIOD - time.perf_counter()
        self._serve(0.0 if busy else max(0.0, left))
        self._newest()
        if not self.robot.moving and left <= 0.0:
            self._send_state()

    def advance(self, command: np.void | None) -> None:
        """One millisecond of robot and hand."""
        while self.events and self.robot.counts["cycles"] >= self.events[0][0]:
            self.events.pop(0)[1]()
        self.robot.cycle(self.link.carry(command) if self.robot.moving else None)
        if self.gripper is not None:
            self.gripper.step(PERIOD)
        self.tell()

    def _settle(self) -> None:
        """Lockstep: let the arm come to rest, so that how soon a client asks for the next thing does not matter."""
        for _ in range(SETTLING):
            if self.robot.settled:
                return
            self.advance(None)

    # Network.

    def _serve(self, timeout: float, udp: bool = False) -> None:
        """Handle what arrives over TCP within timeout (s); returns early, with `udp` also for a command over UDP."""
        if self.parent is not None and os.getppid() != self.parent:
            self.running = False
        wanted = [*self._listeners, *self._clients]
        if udp:
            wanted.append(self._udp)
        ready, _, _ = select.select(wanted, [], [], timeout)
        for readable in ready:
            if readable in self._listeners:
                self._accept(readable)
            elif readable in self._clients:
                self._read(*self._clients[readable])
        if ready:
            self._forget()

    def _accept(self, listener: socket.socket) -> None:
        """A new client; robot and hand serve one at a time."""
        role, connection = self._listeners[listener], accept(listener)
        if connection is None:
            return
        if role != "service" and self._client(role) is not None:
            connection.close()
        else:
            self._clients[connection.socket] = (role, connection)

    def _read(self, role: str, connection: Connection) -> None:
        connection.receive()
        if role == "service":
            if self.clock == "lockstep" and not self.robot.moving:
                self._settle()
            for line in connection.lines():
                if self.service is not None:
                    connection.send(self.service(line) + b"\n")
        elif role == "hand" and self._gripper_port is not None:
            for message in connection.messages(wire.GRIPPER_HEADER):
                self._gripper_port.handle(connection, *message)
        elif role == "arm":
            for command, command_id, payload in connection.messages(wire.HEADER):
                self._arm_request(connection, command, command_id, payload)

    def _arm_request(self, connection: Connection, command: int, command_id: int, payload: bytes) -> None:
        if self.clock == "lockstep" and command == wire.Command.MOVE:
            self._settle()
        self._robot_port.handle(connection, command, command_id, payload)
        if command == wire.Command.MOVE:
            self._first_id, self._repeats = self.message_id + 1, 0
            self._show()

    def _forget(self) -> None:
        """Drop clients that are gone. A motion without its client ends as it would for want of commands."""
        for key, (role, connection) in list(self._clients.items()):
            if connection.alive:
                continue
            connection.close()
            del self._clients[key]
            if role == "arm" and self.clock == "lockstep":
                while self.robot.moving:
                    self.advance(None)

    def _client(self, role: str) -> Connection | None:
        return next((client for kind, client in self._clients.values() if kind == role), None)

    def tell(self) -> None:
        """Replies of what has ended, and the hand's state when it is due."""
        if self.robot.replies:
            self._robot_port.ended(self._client("arm"))
        if self._gripper_port is None:
            return
        if self.gripper is not None and self.gripper.replies:
            self._gripper_port.ended(self._client("hand"))
        if self.robot.counts["cycles"] % GRIPPER_EVERY == 0:
            self._send_fingers()

    def _send_fingers(self) -> None:
        client = self._client("hand")
        if client is not None and client.udp is not None and self._gripper_port is not None:
            self._udp.sendto(self._gripper_port.state(), client.udp)

    def _newest(self) -> np.void | None:
        """The newest command that has come over UDP from the arm's client."""
        newest, client = None, self._client("arm")
        while True:
            try:
                size, sender = self._udp.recvfrom_into(self._bytes)
            except BlockingIOError:
                return newest
            if client is None or sender != client.udp or size != wire.COMMAND.itemsize:
                continue
            if newest is None or self._incoming["message_id"][0] >= newest["message_id"]:
                newest = self._incoming[0].copy()

    def _show(self) -> None:
        """Lockstep: a state at once. In real time the next is not far."""
        if self.clock == "lockstep":
            self._send_state()

    def _send_state(self) -> None:
        self.message_id += 1
        self._shown = time.perf_counter()
        client = self._client("arm")
        if client is not None and client.udp is not None:
            self._udp.sendto(self.robot.packer.pack(self.message_id), client.udp)
        if self.clock == "lockstep" and not self.robot.moving and self.message_id % GRIPPER_EVERY == 0:
            self._send_fingers()
