import os

import numpy as np
import pytest

from controllers.cameras import Frame
from controllers.cameras.ring import SLOTS, Ring

SHAPE = (6, 8, 3)


@pytest.fixture(params=[False, True])
def rings(request):
    """Writer and reader of the same memory, and whether with depth."""
    descriptor = Ring.create(SHAPE, request.param)
    yield Ring(descriptor, SHAPE, request.param), Ring(descriptor, SHAPE, request.param), request.param
    os.close(descriptor)


def frame(number, depth):
    image = np.full(SHAPE, number, np.uint8)
    return Frame(image, np.full(SHAPE[:2], 0.1 * number, np.float32) if depth else None, number, 1.0, 2.0, 3.0)


def test_what_was_written_is_read(rings):
    writer, reader, depth = rings
    for count in range(1, 2 * SLOTS):
        sent = frame(count, depth)
        writer.write(count, sent, missed=count + 5)
        got, missed = reader.read(count)
        np.testing.assert_array_equal(got.image, sent.image)
        np.testing.assert_array_equal(got.depth, sent.depth)
        assert (got.sequence, got.stamp, got.arrival, got.device_stamp, missed) == (count, 1.0, 2.0, 3.0, count + 5)


def test_a_picture_read_is_the_reader_s_own(rings):
    writer, reader, depth = rings
    writer.write(1, frame(1, depth), 0)
    got, _ = reader.read(1)
    for count in range(2, 2 + SLOTS):
        writer.write(count, frame(count, depth), 0)
    assert (got.image == 1).all()


def test_an_overwritten_picture_is_none(rings):
    writer, reader, depth = rings
    for count in range(1, 2 + SLOTS):
        writer.write(count, frame(count, depth), 0)
    assert reader.read(1) is None
    assert reader.read(1 + SLOTS) is not None


def test_a_picture_overwritten_while_it_is_read_is_none(rings):
    writer, reader, depth = rings
    writer.write(1, frame(1, depth), 0)

    class Slow(np.ndarray):
        def __getitem__(self, key):
            part = super().__getitem__(key)
            writer.write(1 + SLOTS, frame(9, depth), 0)
            return part

    reader._image = reader._image.view(Slow)
    assert reader.read(1) is None
