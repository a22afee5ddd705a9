import dataclasses
import math

import pytest

from controllers.cameras.timing import Timing


def test_rate_jitter_and_latency(frames):
    timing = Timing()
    assert math.isnan(timing.values()["rate"])
    for count, frame in enumerate(frames(31, rate=30.0, latency=0.04)):
        timing.add(count, dataclasses.replace(frame, arrival=frame.arrival + 0.005 * (count % 2)))
    values = timing.values()
    assert values["rate"] == pytest.approx(30.0, rel=0.01)
    assert values["jitter"] == pytest.approx(0.005, rel=0.1)
    assert values["latency"] == pytest.approx(0.0425, rel=0.02)


def test_a_picture_that_was_not_read_is_no_jitter_and_no_loss_of_rate(frames):
    timing = Timing()
    for count, frame in enumerate(frames(40)):
        if count % 3:
            timing.add(count, frame)
    assert timing.values()["rate"] == pytest.approx(30.0) and timing.values()["jitter"] < 1e-9


def test_a_restart_begins_anew(frames):
    timing = Timing()
    for count in (1, 2, 3, 1):
        timing.add(count, frames(1)[0])
    assert math.isnan(timing.values()["rate"])
