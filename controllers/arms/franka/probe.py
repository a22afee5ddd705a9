"""Who answers at an address, before the maker's library connects: its errors name no cause that a person can mend.

Asks for the robot's version and its model (URDF) as a client does, and leaves again. Source of the layout: libfranka's
public headers (Apache-2.0).
"""

from __future__ import annotations

import contextlib
import re
import socket
import struct
from dataclasses import dataclass
from xml.etree import ElementTree as xml

import numpy as np

from controllers.exceptions import ControllersError
from controllers.interface import Array
from controllers.models import MODELS, arm_model

ROBOT_PORT = 1337
HEADER = struct.Struct("<III")
CONNECT, GET_ROBOT_MODEL = 0, 11
SAME_LIMIT = 0.01
"""rad: how far a joint's limit may be from the model's; a Panda's and an FR3's differ by more."""


@dataclass(frozen=True)
class Found:
    """version: of the robot's server. low, high: (n,) joint limits in its URDF, rad; None where it has no URDF."""

    version: int
    low: Array | None
    high: Array | None


def wire_version(library_version: str) -> int:
    """The server version that a libfranka (`0.21.3`) speaks, from its compatibility table."""
    major, minor = (int(part) for part in re.findall(r"\d+", library_version)[:2])
    steps = ((9, 5), (12, 6), (13, 7), (14, 8), (17, 9))
    return next((version for last, version in steps if (major, minor) <= (0, last)), 10)


def probe(address: str, version: int, timeout: float = 3.0) -> Found:
    """Ask the robot at `address`. Raises `ControllersError`: what is wrong with whom answers, or that nobody does."""
    with contextlib.ExitStack() as stack:
        try:
            link = stack.enter_context(socket.create_connection((address, ROBOT_PORT), timeout))
            inbox = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            inbox.bind(("", 0))
            answer = _ask(link, CONNECT, struct.pack("<HH", version, inbox.getsockname()[1]))
            status, theirs = struct.unpack_from("<BH", answer)
            if status != 0:
                raise ControllersError(_wrong_version(address, theirs, version))
            if version < 10:
                return Found(theirs, None, None)
            model = _ask(link, GET_ROBOT_MODEL, b"")
        except (OSError, struct.error) as error:
            raise ControllersError(_unreachable(address, error)) from error
    return Found(theirs, *_joint_limits(model[1:].rstrip(b"\0"), address))


def check_arm(found: Found, arm: str, address: str) -> None:
    """Raises `ControllersError` where the robot's joint limits are not those of `arm`."""
    if found.low is None or found.high is None or _is(found, arm):
        return
    likely = [name for name in MODELS if len(MODELS[name].joints) == len(found.low) and _is(found, name)]
    mend = f"set arm to {likely[0]}" if likely else "its model is none that is known here"
    raise ControllersError(
        f"the robot at {address} is no {arm}: its joint limits are {np.round(found.low, 3).tolist()} to "
        f"{np.round(found.high, 3).tolist()} rad; {mend}."
    )


def _is(found: Found, arm: str) -> bool:
    limits = arm_model(arm).limits
    if found.low is None or found.high is None or found.low.shape != limits.low.shape:
        return False
    away = np.abs(np.concatenate([found.low - limits.low, found.high - limits.high]))
    return bool((away < SAME_LIMIT).all())


def _ask(link: socket.socket, command: int, content: bytes) -> bytes:
    """Send one request; the content of its answer."""
    link.sendall(HEADER.pack(command, command, HEADER.size + len(content)) + content)
    _, _, size = HEADER.unpack(_receive(link, HEADER.size))
    if not HEADER.size <= size < 10_000_000:
        raise struct.error(f"an answer of {size} bytes")
    return _receive(link, size - HEADER.size)


def _receive(link: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = link.recv(min(size - len(data), 65536))
        if not part:
            raise ConnectionResetError("the connection was closed")
        data += part
    return data


def _joint_limits(urdf: bytes, address: str) -> tuple[Array, Array]:
    """(low, high) of the revolute joints, rad."""
    begin = urdf.find(b"<")
    try:
        robot = xml.fromstring(urdf[begin:])
        limits = [joint.find("limit") for joint in robot.iter("joint") if joint.get("type") == "revolute"]
        pairs = [(float(limit.attrib["lower"]), float(limit.attrib["upper"])) for limit in limits if limit is not None]
    except (xml.ParseError, KeyError, ValueError) as error:
        raise ControllersError(f"the robot at {address} sent a model that is no URDF: {error}.") from error
    return np.array([low for low, _ in pairs]), np.array([high for _, high in pairs])


def _unreachable(address: str, error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return f"{address} refuses port {ROBOT_PORT}: switch FCI on in Desk, or mend the address."
    if isinstance(error, socket.gaierror):
        return f"the address {address!r} is unknown: give the IP address of the robot's control unit."
    if isinstance(error, TimeoutError):
        return f"no answer from {address}: check the cable, the address, and that no other client is connected."
    return f"{address} does not answer as a Franka ({error}): mend the address, or end its other client."


def _wrong_version(address: str, theirs: int, ours: int) -> str:
    mend = (
        "update the robot's firmware, or install an older client library"
        if theirs < ours
        else ("install a newer client library")
    )
    if theirs <= 5:
        mend = "it is a Panda, which needs a client library built on libfranka 0.9"
    return f"the robot at {address} speaks version {theirs}, the installed library version {ours}: {mend}."
