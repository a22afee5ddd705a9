import math
import time

import numpy as np

from controllers.cameras.clock import ExposureClock, next_number

OFFSET, IDLE = 1234.5, 0.03
"""s between the clocks, and s that the quickest picture takes."""


def test_a_device_s_clock_is_followed_through_jitter_and_drift():
    rng = np.random.default_rng(0)
    clock, errors = ExposureClock(latency=IDLE), []
    for true in np.arange(0.0, 120.0, 1 / 30):
        device = (true - OFFSET) * (1 + 50e-6)
        arrival = true + IDLE + rng.exponential(0.01)
        errors.append(clock.stamp(device, arrival, "device") - true)
    assert np.abs(errors[30:]).max() < 0.002  # after the first second; the jitter is 10 ms


def test_a_clock_that_is_set_anew_is_found_at_once():
    clock = ExposureClock()
    assert clock.stamp(100.0, 5.0, "device") == 5.0
    assert clock.stamp(0.0, 5.1, "device") == 5.1
    assert clock.offset == 5.1


def test_a_picture_that_was_held_up_keeps_its_time():
    clock = ExposureClock()
    clock.stamp(1.0, 101.0, "device")
    assert clock.stamp(1.1, 104.0, "device") == 101.1


def test_a_stamp_is_never_after_the_arrival():
    assert ExposureClock().stamp(10.0, 9.0, "monotonic") == 9.0


def test_pictures_that_a_device_does_not_count_are_counted_by_their_times():
    assert next_number(7, 0.033, 30.0) == 8
    assert next_number(7, 0.1, 30.0) == 10
    assert next_number(7, 0.001, 30.0) == 8
    assert next_number(7, math.nan, 30.0) == 8


def test_times_of_this_machine_need_no_estimate():
    now, wall = time.monotonic(), time.time()
    assert ExposureClock().stamp(now - 0.05, now, "monotonic") == now - 0.05
    assert abs(ExposureClock().stamp(wall - 0.05, now, "system") - (now - 0.05)) < 0.01
    assert ExposureClock(latency=0.02).stamp(math.nan, now, "none") == now - 0.02
