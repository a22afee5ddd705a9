"""What the robot's and the gripper's TCP ports answer, message by message."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np

from controllers.emulators import wire
from controllers.emulators.gripper import MAX_WIDTH, TEMPERATURE, Gripper
from controllers.emulators.ports import Connection
from controllers.emulators.robot import Robot
from controllers.emulators.wire import Answered, Command, Gripped, GripperCommand, Moved

CONNECT = struct.Struct("<HH")
INCOMPATIBLE = 1
"""Status of Connect where the versions differ."""
FINGER_REALS = {GripperCommand.HOMING: 0, GripperCommand.GRASP: 5, GripperCommand.MOVE: 2, GripperCommand.STOP: 0}


class RobotPort:
    """Answers of the robot: `handle` one message. version: what Connect says it is; model: the URDF.

    show: called before a command that may have changed the state is answered.
    """

    def __init__(self, robot: Robot, model: str, version: int, show: Callable[[], None]) -> None:
        self._robot, self._model, self._version, self._show = robot, model.encode(), version, show

    def handle(self, connection: Connection, number: int, command_id: int, payload: bytes) -> None:
        """One request; its reply is sent, but for those that `ended` sends later. What is none ends the connection."""
        try:
            self._do(connection, Command(number), command_id, payload)
        except (ValueError, IndexError, struct.error):
            connection.alive = False

    def _do(self, connection: Connection, command: Command, command_id: int, payload: bytes) -> None:
        if command == Command.CONNECT:
            self._connect(connection, command_id, payload)
        elif command == Command.MOVE:
            self._answer(connection, command, command_id, self._move(command_id, payload))
        elif command == Command.STOP_MOVE:
            self._robot.abort(Moved.PREEMPTED)
            self._changed(connection, command, command_id, Answered.SUCCESS)
        elif command == Command.AUTOMATIC_ERROR_RECOVERY:
            self._changed(connection, command, command_id, self._robot.recover())
        elif command == Command.GET_ROBOT_MODEL:
            self._answer(connection, command, command_id, Answered.SUCCESS, self._model)
        else:
            self._changed(connection, command, command_id, self._configure(command, payload))

    def _changed(self, connection: Connection, command: Command, command_id: int, status: int) -> None:
        """Answer after the state shows it, so that what a client reads next is not older."""
        self._show()
        self.ended(connection)
        self._answer(connection, command, command_id, status)

    def ended(self, connection: Connection | None) -> None:
        """Tell the client of Move commands that have ended."""
        for command_id, status in self._robot.replies:
            if connection is not None:
                self._answer(connection, Command.MOVE, command_id, status)
        self._robot.replies.clear()

    def _connect(self, connection: Connection, command_id: int, payload: bytes) -> None:
        version, port = CONNECT.unpack(payload)
        same = version == self._version
        if same:
            connection.udp = (connection.socket.getpeername()[0], port)
        tail = struct.pack("<H", self._version)
        self._answer(connection, Command.CONNECT, command_id, Answered.SUCCESS if same else INCOMPATIBLE, tail)

    def _move(self, command_id: int, payload: bytes) -> Moved:
        controller, generator = wire.MOVE.unpack_from(payload)
        return self._robot.move(command_id, controller, generator, bool(payload[wire.MOVE_ASYNC]))

    def _configure(self, command: Command, payload: bytes) -> Answered:
        if command == Command.SET_GUIDING_MODE:
            return Answered.NOT_POSSIBLE if self._robot.moving else Answered.SUCCESS
        values = np.frombuffer(payload, "<f8")
        if len(values) != wire.REQUEST_REALS[command]:
            return Answered.INVALID_ARGUMENT
        return self._robot.configure(command, values)

    def _answer(
        self, connection: Connection, command: Command, command_id: int, status: int, tail: bytes = b""
    ) -> None:
        size = wire.HEADER.size + 1 + len(tail)
        connection.send(wire.HEADER.pack(command, command_id, size) + bytes([status]) + tail)


class GripperPort:
    """Answers of the gripper."""

    def __init__(self, gripper: Gripper) -> None:
        self._gripper = gripper
        self._states = 0

    def handle(self, connection: Connection, number: int, command_id: int, payload: bytes) -> None:
        """One request; the reply of a motion is sent by `ended`."""
        try:
            command = GripperCommand(number)
            if command == GripperCommand.CONNECT:
                self._connect(connection, command_id, payload)
                return
            values = struct.unpack(f"<{FINGER_REALS[command]}d", payload)
        except (ValueError, struct.error):
            connection.alive = False
            return
        self._gripper.start(command, command_id, values)
        self.ended(connection)

    def ended(self, connection: Connection | None) -> None:
        """Tell the client of commands that have ended."""
        for command, command_id, status in self._gripper.replies:
            if connection is not None:
                self._answer(connection, command, command_id, status)
        self._gripper.replies.clear()

    def state(self) -> bytes:
        """The state that goes out over UDP."""
        self._states += 1
        hand = self._gripper
        return wire.GRIPPER_STATE.pack(self._states, hand.width, MAX_WIDTH, int(hand.grasped), TEMPERATURE)

    def _connect(self, connection: Connection, command_id: int, payload: bytes) -> None:
        version, port = CONNECT.unpack(payload)
        same = version == wire.GRIPPER_VERSION
        if same:
            connection.udp = (connection.socket.getpeername()[0], port)
        tail = struct.pack("<H", wire.GRIPPER_VERSION)
        self._answer(connection, GripperCommand.CONNECT, command_id, Gripped.SUCCESS if same else INCOMPATIBLE, tail)

    def _answer(
        self, connection: Connection, command: GripperCommand, command_id: int, status: int, tail: bytes = b""
    ) -> None:
        size = wire.GRIPPER_HEADER.size + 2 + len(tail)
        connection.send(wire.GRIPPER_HEADER.pack(command, command_id, size) + struct.pack("<H", status) + tail)
