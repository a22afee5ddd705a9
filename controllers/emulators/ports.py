"""TCP ends of the emulator: listening sockets, and the messages that arrive on a connection piece by piece."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from controllers.exceptions import ControllersError

LARGEST = 1 << 16
"""Bytes of a message beyond which it is no message."""


@dataclass
class Connection:
    """A client's connection, what has arrived of its next message, and where its UDP states go."""

    socket: socket.socket
    received: bytearray = field(default_factory=bytearray)
    udp: tuple[str, int] | None = None
    alive: bool = True

    def receive(self) -> None:
        """Take in what has arrived; `alive` turns false when the client is gone."""
        try:
            data = self.socket.recv(LARGEST)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self.alive = bool(data)
        self.received += data

    def send(self, data: bytes) -> None:
        """Send all of it; a client that is gone or does not read is cut off."""
        try:
            self.socket.sendall(data)
        except OSError:
            self.alive = False

    def messages(self, header: struct.Struct) -> Iterator[tuple[int, int, bytes]]:
        """(command, id, payload) of each whole message; the header's last number is the whole size."""
        while len(self.received) >= header.size:
            command, number, size = header.unpack_from(self.received)
            if not header.size <= size <= LARGEST:
                self.alive = False
                return
            if len(self.received) < size:
                return
            payload = bytes(self.received[header.size : size])
            del self.received[:size]
            yield command, number, payload

    def lines(self) -> Iterator[bytes]:
        """Each whole line."""
        while b"\n" in self.received:
            line, _, rest = bytes(self.received).partition(b"\n")
            self.received[:] = rest
            yield line

    def close(self) -> None:
        """Hang up."""
        self.alive = False
        self.socket.close()


def listen(address: str, port: int) -> socket.socket:
    """A listening TCP socket. Raises `ControllersError` where the port is taken or the address not this machine's."""
    server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        server.bind((address, port))
        server.listen(4)
    except OSError as error:
        server.close()
        reason = error.strerror or str(error)
        raise ControllersError(
            f"the emulator cannot listen on {address}:{port} ({reason}): end what runs there, or give another address"
        ) from error
    server.setblocking(False)
    return server


def accept(server: socket.socket) -> Connection | None:
    """The next connection, or None if the client has gone already."""
    try:
        client, _ = server.accept()
    except OSError:
        return None
    client.settimeout(1.0)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return Connection(client)
