import json
import os

import numpy as np
import pytest

from controllers.cameras import CameraConfig, Facts, Frame, Intrinsics
from controllers.cameras.order import Order
from controllers.cameras.ring import Ring
from controllers.cameras.worker import Reports, capture
from controllers.exceptions import CameraError

SHAPE = (4, 6, 3)


@pytest.fixture
def pipe():
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


class Counting:
    """A camera that gives these numbers, then fails."""

    def __init__(self, *numbers):
        self.facts = Facts("counting", Intrinsics(6, 4, 1.0, 1.0, 2.5, 1.5), {"gain": 2.0})
        self.numbers, self.closed = list(numbers), False

    def open(self):
        return None

    def read(self):
        if not self.numbers:
            raise CameraError("unplugged")
        return Frame(np.zeros(SHAPE, np.uint8), None, self.numbers.pop(0), 1.0, 2.0, 3.0)

    def close(self):
        self.closed = True


def test_pictures_are_passed_on_and_what_the_device_lost_is_counted(pipe):
    descriptor = Ring.create(SHAPE, depth=False)
    camera = Counting(10, 11, 15, 0, 1)  # three lost, then counted anew
    with pytest.raises(CameraError, match="unplugged"):
        capture(camera, Ring(descriptor, SHAPE, False), Reports(pipe[1]))
    lines = os.read(pipe[0], 4096).decode().splitlines()
    assert lines[1:] == [f"frame {count}" for count in range(1, 6)]
    assert json.loads(lines[0].removeprefix("facts "))["settings"] == {"gain": 2.0}
    ring = Ring(descriptor, SHAPE, False)
    assert [ring.read(count)[1] for count in (2, 3, 4, 5)] == [0, 3, 3, 3]
    assert camera.closed
    os.close(descriptor)


def test_a_parent_that_does_not_read_stops_nobody(pipe):
    reports = Reports(pipe[1])
    for count in range(20_000):
        reports.send("frame", str(count))
    data = os.read(pipe[0], 1 << 20)
    assert data.endswith(b"\n") and data.startswith(b"frame 0\nframe 1\n")


def test_without_a_parent_the_process_ends():
    reader, writer = os.pipe()
    os.close(reader)
    with pytest.raises(SystemExit):
        Reports(writer).send("frame", "1")
    os.close(writer)


def test_an_order_survives_the_command_line():
    config = CameraConfig(serial="1", crop=(0, 0, 480, 480), size=(64, 64), exposure=0.01, depth=True)
    order = Order(1, 2, 3, "wrist", "reach", 4, config)
    assert Order.read(order.text()) == order
