"""Against a video file through the real VideoCapture; settings against a capture that answers as V4L2 does."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from controllers.cameras import CameraConfig, v4l2
from controllers.cameras.uvc import UvcCamera, lock
from controllers.exceptions import CameraError

cv2 = pytest.importorskip("cv2")


@pytest.fixture
def config(video):
    return CameraConfig(driver="uvc", device=str(video), width=160, height=120, rate=50)


@pytest.fixture
def camera(config):
    opened = UvcCamera("front", config)
    opened.open()
    yield opened
    opened.close()


def test_pictures_are_rgb_and_the_file_s(camera):
    for number in range(3):
        image = camera.read().image
        assert image.shape == (120, 160, 3)
        assert np.abs(image[60, 20] - np.array([255.0, 0, 0])).max() < 20  # as well as JPEG keeps red
        assert abs(int(image[60, 140, 1]) - 20 * number) < 5


def test_the_file_is_played_at_its_rate_and_again_from_its_start(camera):
    frames = [camera.read() for _ in range(21)]
    levels = [int(frame.image[60, 140, 1]) for frame in frames]
    assert abs(levels[10] - levels[0]) < 3 and abs(levels[20] - levels[0]) < 3
    assert [frame.sequence for frame in frames] == list(range(1, 22))
    assert frames[-1].arrival - frames[0].arrival > 0.9 * 20 / 50
    assert all(np.isnan(frame.device_stamp) and frame.stamp == frame.arrival for frame in frames)


def test_another_size_is_refused_with_the_true_one(config):
    camera = UvcCamera("front", dataclasses.replace(config, width=320, height=240))
    camera.open()
    with pytest.raises(CameraError, match="delivers 160 x 120, not the 320 x 240"):
        camera.read()
    camera.close()


def test_a_file_takes_no_settings(config):
    with pytest.raises(CameraError, match="is the video file .*: exposure cannot be set"):
        UvcCamera("front", dataclasses.replace(config, exposure=0.01)).open()


def test_a_file_that_is_no_video(config, tmp_path):
    (tmp_path / "no.avi").write_bytes(b"no video")
    with pytest.raises(CameraError, match="cannot be opened"):
        UvcCamera("front", dataclasses.replace(config, device=str(tmp_path / "no.avi"))).open()


class Capture:
    """Answers as OpenCV's V4L2 backend: exposure and white balance are refused while they are automatic."""

    def __init__(self, clamp=None):
        self.values = {cv2.CAP_PROP_AUTO_EXPOSURE: 3, cv2.CAP_PROP_AUTO_WB: 1, cv2.CAP_PROP_EXPOSURE: 156}
        self.clamp = clamp or {}
        self.taken = 0

    def isOpened(self):
        return True

    def read(self):
        self.taken += 1
        self.values[cv2.CAP_PROP_POS_MSEC] = 1e3 * (100.0 + self.taken / 30 + (self.taken > 8))
        return True, np.full((480, 640, 3), self.taken, np.uint8)

    def release(self):
        return None

    def get(self, key):
        return float(self.values.get(key, 0))

    def set(self, key, value):
        locked = {cv2.CAP_PROP_EXPOSURE: cv2.CAP_PROP_AUTO_EXPOSURE, cv2.CAP_PROP_WB_TEMPERATURE: cv2.CAP_PROP_AUTO_WB}
        if key in locked and self.values[locked[key]] not in ((1,) if key == cv2.CAP_PROP_EXPOSURE else (0,)):
            return False
        self.values[key] = min(value, self.clamp.get(key, value))
        return True


def test_settings_are_locked_and_read_back():
    capture = Capture()
    config = CameraConfig(driver="uvc", device="0", exposure=0.02, gain=10, white_balance=4500)
    assert lock(cv2, capture, "front", config) == {"exposure": 0.02, "gain": 10.0, "white_balance": 4500.0}
    assert capture.values[cv2.CAP_PROP_EXPOSURE] == 200
    assert lock(cv2, Capture(), "front", CameraConfig(driver="uvc", device="0")) == {}


def test_a_setting_that_the_camera_clamps_is_refused():
    capture = Capture({cv2.CAP_PROP_GAIN: 100})
    with pytest.raises(CameraError, match="camera front: gain is asked to be 255, but the camera says 100"):
        lock(cv2, capture, "front", CameraConfig(driver="uvc", device="0", gain=255))


@pytest.fixture
def plugged(monkeypatch):
    """A capture in place of a camera at /dev/video0: plugged(capture)."""

    def plug(capture):
        monkeypatch.setattr(cv2, "VideoCapture", lambda source, backend: capture)
        monkeypatch.setattr(v4l2, "find", lambda name, config: "/dev/video0")
        monkeypatch.setattr(v4l2, "modes", lambda source: ["640 x 480 at 30/s MJPG"])
        return capture

    return plug


def test_pictures_on_which_new_settings_do_not_show_yet_are_dropped(plugged):
    capture = plugged(Capture())
    camera = UvcCamera("front", CameraConfig(driver="uvc", device="/dev/video0", exposure=0.02))
    camera.open()
    assert capture.taken == 6 and camera.facts.settings == {"exposure": 0.02}
    frame = camera.read()
    assert frame.image[0, 0, 0] == 7
    assert frame.device_stamp == pytest.approx(100.0 + 7 / 30) and frame.stamp == frame.device_stamp
    assert [camera.read().sequence - frame.sequence for _ in range(3)] == [1, 32, 33]  # one second is missing


def test_a_mode_that_the_camera_has_not_is_refused_with_those_that_it_has(plugged):
    plugged(Capture({cv2.CAP_PROP_FPS: 30}))
    with pytest.raises(CameraError, match="has no mode 640 x 480 at 60/s; it has 640 x 480 at 30/s MJPG"):
        UvcCamera("front", CameraConfig(driver="uvc", device="/dev/video0", rate=60)).open()


def test_a_camera_that_gives_nothing_is_an_error(plugged):
    capture = plugged(Capture())
    camera = UvcCamera("front", CameraConfig(driver="uvc", device="/dev/video0"))
    camera.open()
    capture.read = lambda: (False, None)
    with pytest.raises(CameraError, match="camera front gave no picture; is it still plugged in"):
        camera.read()


def test_a_camera_of_this_machine():
    if not Path("/dev/video0").exists():
        pytest.skip("this machine has no /dev/video0")
    camera = UvcCamera("front", CameraConfig(driver="uvc", device="/dev/video0"))
    camera.open()
    frames = [camera.read() for _ in range(5)]
    camera.close()
    assert frames[0].image.shape == (480, 640, 3) and frames[-1].stamp > frames[0].stamp
