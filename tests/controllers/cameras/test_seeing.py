import dataclasses
import time

import numpy as np
import pytest

import tasks
from controllers.cameras import CameraConfig, Frame
from controllers.cameras.seeing import SeeingCell
from controllers.exceptions import CameraError, CellTimeout
from controllers.interface import Health
from controllers.twin import TwinCell


class Still:
    """A camera that delivers when told to."""

    def __init__(self, broken=False):
        self.config = CameraConfig(driver="twin", stale_after=0.2)
        self.late = 0.0
        self.broken, self.closed, self.count, self.silent = broken, False, 0, False

    def open(self):
        if self.broken:
            raise CameraError("camera wrist: it is not there; plug it in")

    def read(self):
        return self.poll(1.0)

    def poll(self, timeout):
        if self.silent:
            time.sleep(timeout)
            return None
        self.count += 1
        now = time.monotonic() - self.late * (timeout == 0.0)  # what is there already, and what is waited for
        return Frame(np.full((4, 6, 3), self.count, np.uint8), None, self.count, now, now, now)

    def health(self):
        return Health("warn", "slow", {"rate": 3.0})

    def close(self):
        self.closed = True


@pytest.fixture
def arm():
    return TwinCell(tasks.load("reach"))


def test_readings_hold_the_newest_picture_and_all_else_is_the_arm_s(arm):
    camera = Still()
    cell = SeeingCell(arm, {"wrist": camera})
    cell.acquire("policy")
    first, second = cell.wait().images["wrist"], cell.read().images["wrist"]
    assert (first.shape, int(second[0, 0, 0]) > int(first[0, 0, 0])) == ((4, 6, 3), True)
    assert cell.abilities is arm.abilities
    assert arm.controller.owner == "policy"
    cell.close()
    assert camera.closed


def test_a_picture_that_is_too_old_is_no_picture(arm):
    camera = Still()
    arm.abilities = dataclasses.replace(arm.abilities, lockstep=False)
    cell = SeeingCell(arm, {"wrist": camera})
    camera.silent = True
    cell.wait()
    time.sleep(0.25)
    with pytest.raises(CellTimeout, match="camera wrist has delivered no picture for 0"):
        cell.wait()


@pytest.mark.parametrize("lockstep, late", [(True, 0.01), (False, 0.3)])
def test_a_picture_of_before_is_waited_out(arm, lockstep, late):
    """In lockstep one of the tick before, in real time one that is older than a camera should need."""
    camera = Still()
    arm.abilities = dataclasses.replace(arm.abilities, lockstep=lockstep)
    cell = SeeingCell(arm, {"wrist": camera})
    camera.late = late
    before = camera.count
    assert int(cell.wait().images["wrist"][0, 0, 0]) == before + 2  # the first that was there was too old
    camera.silent = True
    assert int(cell.read().images["wrist"][0, 0, 0]) == before + 2  # and this one still is of the tick


def test_a_camera_that_does_not_open_lets_go_of_everything(arm):
    whole, broken = Still(), Still(broken=True)
    with pytest.raises(CameraError, match="plug it in"):
        SeeingCell(arm, {"front": whole, "wrist": broken})
    assert whole.closed and broken.closed


def test_health_is_the_worst_of_all(arm):
    health = SeeingCell(arm, {"wrist": Still()}).health()
    assert (health.level, health.message) == ("warn", "wrist: slow")
    assert health.values["wrist: rate"] == 3.0
