import socket
import struct
import threading

import numpy as np
import pytest

from controllers.arms.franka import probe
from controllers.exceptions import ControllersError
from controllers.models import arm_model

JOINT = '<joint name="joint{i}" type="revolute"><limit lower="{low}" upper="{high}" velocity="1" effort="1"/></joint>'


def urdf(arm):
    limits = arm_model(arm).limits
    parts = zip(limits.low, limits.high, strict=True)
    return "<robot>" + "".join(JOINT.format(i=i, low=lo, high=hi) for i, (lo, hi) in enumerate(parts)) + "</robot>"


class Server:
    """Answers a probe as told: `replies` are the contents of its answers, in turn."""

    def __init__(self, monkeypatch, *replies):
        self._listener = socket.create_server(("127.0.0.1", 0))
        monkeypatch.setattr(probe, "ROBOT_PORT", self._listener.getsockname()[1])
        self._replies = replies
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        link, _ = self._listener.accept()
        with link:
            for reply in self._replies:
                command, number, size = probe.HEADER.unpack(link.recv(12))
                if size > 12:
                    link.recv(size - 12)
                link.sendall(probe.HEADER.pack(command, number, 12 + len(reply)) + reply)

    def close(self):
        self._thread.join(5)
        self._listener.close()


@pytest.fixture
def serve(monkeypatch):
    servers = []

    def start(*replies):
        servers.append(Server(monkeypatch, *replies))

    yield start
    for server in servers:
        server.close()


def test_who_answers_is_told_by_version_and_joint_limits(serve):
    serve(struct.pack("<BH", 0, 10), b"\0" + urdf("fr3").encode())
    found = probe.probe("127.0.0.1", 10)
    assert found.version == 10
    assert np.allclose(found.low, arm_model("fr3").limits.low)
    probe.check_arm(found, "fr3", "127.0.0.1")
    with pytest.raises(ControllersError, match="is no panda: .*set arm to fr3"):
        probe.check_arm(found, "panda", "127.0.0.1")


@pytest.mark.parametrize(
    ("theirs", "said"),
    [(9, "speaks version 9.*update the robot's firmware"), (11, "newer client"), (5, "Panda, which needs .* 0.9")],
)
def test_another_version_is_refused_with_the_mend(serve, theirs, said):
    serve(struct.pack("<BH", 1, theirs))
    with pytest.raises(ControllersError, match=said):
        probe.probe("127.0.0.1", 10)


def test_a_server_that_is_no_franka_is_refused(serve):
    serve(b"")
    with pytest.raises(ControllersError, match="does not answer as a Franka"):
        probe.probe("127.0.0.1", 10, timeout=1.0)


def test_a_model_that_is_no_urdf_is_refused(serve):
    serve(struct.pack("<BH", 0, 10), b"\0<robot")
    with pytest.raises(ControllersError, match="no URDF"):
        probe.probe("127.0.0.1", 10)


def test_nobody_at_the_address(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setattr(probe, "ROBOT_PORT", port)
    with pytest.raises(ControllersError, match=f"refuses port {port}: switch FCI on"):
        probe.probe("127.0.0.1", 10)
    with pytest.raises(ControllersError, match="is unknown: give the IP address"):
        probe.probe("no.such.host.invalid", 10)


@pytest.mark.parametrize(("library", "wire"), [("0.21.3", 10), ("0.18.0", 10), ("0.15.0", 9), ("0.9.2", 5)])
def test_each_library_speaks_one_version(library, wire):
    assert probe.wire_version(library) == wire
