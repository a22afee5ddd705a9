"""Against a recording that the maker's own pipeline plays, and against its software device."""

import dataclasses

import numpy as np
import pytest

from controllers.cameras import CameraConfig
from controllers.cameras import realsense as driver
from controllers.cameras.drivers import RESET_AFTER, make_driver
from controllers.exceptions import CameraError

rs = pytest.importorskip("pyrealsense2")
from tests.controllers.cameras import recording as made  # noqa: E402 - needs the library


@pytest.fixture
def config(recording):
    return CameraConfig(device=str(recording), width=made.WIDTH, height=made.HEIGHT, rate=made.RATE)


@pytest.fixture
def opened(config):
    """A factory of open cameras: opened(depth=True)."""
    cameras = []

    def open_one(**changes):
        camera = driver.RealSenseCamera("wrist", dataclasses.replace(config, **changes))
        cameras.append(camera)
        camera.open()
        return camera

    yield open_one
    for camera in cameras:
        camera.close()


def test_pictures_are_the_recorded_ones_cut_out_of_the_stream(opened):
    camera = opened(crop=(20, 10, 100, 80))
    for _ in range(5):
        frame = camera.read()
        np.testing.assert_array_equal(frame.image, made.colour(frame.sequence)[10:90, 20:120])
        assert frame.depth is None
    assert camera.facts.name == f"Software D435, serial {made.SERIAL}"
    pinhole = camera.facts.intrinsics
    assert (pinhole.width, pinhole.height, pinhole.fx) == (100, 80, made.FOCAL)
    assert (pinhole.cx, pinhole.cy) == (made.WIDTH / 2 - 20, made.HEIGHT / 2 - 10)


def test_depth_lies_on_the_picture_that_it_belongs_to(opened):
    depth = opened(depth=True).read().depth
    shift = round(made.FOCAL * made.BASELINE / made.NEAR)
    assert depth.dtype == np.float32 and shift == 12
    np.testing.assert_allclose(depth[52:68, 72 - shift : 88 - shift], made.NEAR, rtol=1e-5)
    wall = depth[80:, 20:140]
    measured = ~np.isnan(wall)  # the alignment leaves some columns out
    assert measured.mean() > 0.9
    np.testing.assert_allclose(wall[measured], made.FAR, rtol=1e-5)
    assert np.isnan(depth[:9]).all()


def test_stamps_are_of_the_middle_of_the_exposure_and_rise_with_the_arrivals(opened):
    camera = opened()
    frames = [camera.read() for _ in range(10)]
    for frame in frames:
        taken = 1.0 + frame.sequence / made.RATE - 1e-6 * made.READOUT
        assert frame.device_stamp == pytest.approx(taken, abs=1e-5)
        assert frame.stamp <= frame.arrival
    stamps = np.array([frame.stamp for frame in frames])
    assert (
        np.ptp(stamps - [frame.device_stamp for frame in frames]) < 0.05
    )  # one offset, within what it was corrected by
    assert (np.diff(stamps) > 0).all()


def test_a_recording_starts_again_at_its_end(opened):
    camera = opened()
    numbers = [camera.read().sequence for _ in range(60)]
    assert (np.diff(numbers) < 0).sum() == 1


def test_another_size_or_rate_is_refused_with_those_there_are(opened):
    for changes in ({"width": 1280, "height": 720}, {"rate": 60}):
        with pytest.raises(
            CameraError, match=r"camera wrist has no mode .* it has color: 160 x 120 at 30/s; depth: 160"
        ):
            opened(depth=True, **changes)


def test_pictures_on_which_new_settings_do_not_show_yet_are_dropped(opened, monkeypatch):
    monkeypatch.setattr(driver.RealSenseCamera, "_lock", lambda self, device: {"exposure": 0.01})
    camera = opened()
    assert camera.facts.settings == {"exposure": 0.01}
    assert camera.read().sequence >= driver.SETTLE


def test_a_recording_takes_no_settings_and_must_exist(opened):
    with pytest.raises(CameraError, match="is a recording: gain cannot be set"):
        opened(gain=16.0)
    with pytest.raises(CameraError, match=r"there is no recording none.db3"):
        opened(device="none.db3")


def test_a_serial_that_is_not_there_is_refused_with_those_that_are(monkeypatch):
    def opening(found, **settings):
        monkeypatch.setattr(driver, "connected", lambda: found)
        with pytest.raises(CameraError) as caught:
            driver.RealSenseCamera("wrist", CameraConfig(**settings)).open()
        return str(caught.value)

    two = {"111": "D435I", "222": "D405"}
    assert opening(two, serial="333").endswith("no RealSense with serial 333; connected: 111 (D435I), 222 (D405).")
    assert opening(two).endswith("has no serial; connected: 111 (D435I), 222 (D405); set serial to one of them.")
    assert opening({}).endswith("connected: none; set serial to one of them.")


def test_the_library_itself_finds_no_camera_here():
    found = driver.connected()
    if found:
        pytest.skip(f"this machine has {found}")
    with pytest.raises(CameraError, match="no RealSense with serial 42; connected: none"):
        driver.RealSenseCamera("wrist", CameraConfig(serial="42")).open()


def test_a_camera_that_failed_again_and_again_is_reset_first(monkeypatch):
    resets = []

    class Device:
        def get_info(self, _):
            return "111"

        def hardware_reset(self):
            resets.append(len(resets))

    class Context:
        def query_devices(self):
            return [Device()]

    monkeypatch.setattr(rs, "context", Context)
    monkeypatch.setattr(driver, "LEAVE", 0.01)
    seen = iter([{"111": "D435I"}, {}, {}, {"111": "D435I"}])
    monkeypatch.setattr(driver, "connected", lambda: next(seen))
    for failures, expected in ((RESET_AFTER - 1, 0), (RESET_AFTER, 1)):
        with pytest.raises((CameraError, StopIteration)):
            make_driver("wrist", CameraConfig(serial="111"), failures=failures).open()  # there is no such camera here
        assert len(resets) == expected
        seen = iter([{"111": "D435I"}, {}, {}, {"111": "D435I"}])
    monkeypatch.setattr(driver, "connected", dict)
    with pytest.raises(CameraError, match="RealSense 111 did not come back from a reset"):
        driver.reset("111", timeout=0.2)


# Settings, on sensors of the software device


def span(low, high, step, default):
    values = rs.option_range()
    values.min, values.max, values.step, values.default = low, high, step, default
    return values


OPTIONS = {
    rs.option.enable_auto_exposure: span(0, 1, 1, 1),
    rs.option.enable_auto_white_balance: span(0, 1, 1, 1),
    rs.option.exposure: span(1, 10000, 1, 156),
    rs.option.gain: span(0, 128, 1, 64),
    rs.option.white_balance: span(2800, 6500, 10, 4600),
}


@pytest.fixture
def software():
    """A camera whose both sensors have the options of a D435's."""
    camera = made.SoftwareCamera()
    for sensor in (camera.stereo, camera.colour):
        for option, values in OPTIONS.items():
            sensor.add_option(option, values, True)
    return camera


def test_the_colour_sensor_is_the_one_with_colour_not_the_first(software):
    found = driver.colour_sensor(rs, software.device)
    assert found.get_info(rs.camera_info.name) == "RGB Camera"
    assert software.device.query_sensors()[0].get_info(rs.camera_info.name) == "Stereo Module"


def test_settings_are_locked_on_that_sensor_alone_and_read_back(software):
    config = CameraConfig(exposure=0.01, gain=32, white_balance=4504)
    sensor = driver.colour_sensor(rs, software.device)
    assert driver.lock(rs, sensor, "wrist", config) == {"exposure": 0.01, "gain": 32.0, "white_balance": 4500.0}
    set_now = {option: sensor.get_option(option) for option in OPTIONS}
    assert list(set_now.values()) == [0, 0, 100, 32, 4500]
    stereo = software.device.query_sensors()[0]
    assert [stereo.get_option(option) for option in OPTIONS] == [values.default for values in OPTIONS.values()]


def test_a_stereo_module_counts_exposure_in_microseconds(software):
    stereo = software.device.query_sensors()[0]  # gives the colour too on a D405
    driver.lock(rs, stereo, "wrist", CameraConfig(exposure=0.0085))
    assert stereo.get_option(rs.option.exposure) == 8500


def test_what_is_not_asked_for_stays_automatic(software):
    sensor = driver.colour_sensor(rs, software.device)
    assert driver.lock(rs, sensor, "wrist", CameraConfig()) == {}
    assert sensor.get_option(rs.option.enable_auto_exposure) == 1


def test_settings_that_the_camera_cannot_take(software):
    sensor = driver.colour_sensor(rs, software.device)
    with pytest.raises(CameraError, match=r"camera wrist: exposure is 2, but this camera takes 0.0001 to 1\."):
        driver.lock(rs, sensor, "wrist", CameraConfig(exposure=2.0))
    bare = driver.colour_sensor(rs, made.SoftwareCamera().device)
    with pytest.raises(CameraError, match="gain cannot be set on this camera"):
        driver.lock(rs, bare, "wrist", CameraConfig(gain=1.0))


def test_a_setting_that_does_not_stay_is_refused(software):
    class Forgetful:
        def __init__(self, sensor):
            self._sensor = sensor

        def __getattr__(self, name):
            return getattr(self._sensor, name)

        def set_option(self, option, value):
            return None

    with pytest.raises(CameraError, match=r"gain is asked to be 32, but the camera says 64"):
        driver.lock(rs, Forgetful(driver.colour_sensor(rs, software.device)), "wrist", CameraConfig(gain=32))
