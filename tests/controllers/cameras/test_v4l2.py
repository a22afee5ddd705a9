import ctypes
import fcntl

import pytest

from controllers.cameras import CameraConfig, v4l2
from controllers.exceptions import CameraError


def test_the_requests_are_those_of_the_kernel():
    # VIDIOC_ENUM_FMT, VIDIOC_ENUM_FRAMESIZES, VIDIOC_ENUM_FRAMEINTERVALS of linux/videodev2.h, as a C compiler has them
    assert v4l2._request(2, v4l2.Format) == 0xC0405602
    assert v4l2._request(74, v4l2.Size) == 0xC02C564A
    assert v4l2._request(75, v4l2.Interval) == 0xC034564B


def test_modes_are_what_the_kernel_enumerates(monkeypatch, tmp_path):
    device = tmp_path / "video0"
    device.touch()
    letters = int.from_bytes(b"MJPG", "little")

    def ioctl(descriptor, request, item):
        answers = {
            v4l2.Format: [{"pixelformat": letters}],
            v4l2.Size: [
                {"type": 1, "width": 640, "height": 480},
                {"type": 1, "width": 1280, "height": 720},
                {"type": 3},
            ],
            v4l2.Interval: [
                {"type": 1, "numerator": 1, "denominator": 30},
                {"type": 1, "numerator": 2, "denominator": 15},
            ],
        }[type(item)]
        assert request & 0xFF in (2, 74, 75) and ctypes.sizeof(item) == request >> 16 & 0x3FFF
        if item.index >= len(answers):
            raise OSError(22, "Invalid argument")
        for name, value in answers[item.index].items():
            setattr(item, name, value)

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    assert v4l2.modes(str(device)) == ["640 x 480 at 30, 7.5/s MJPG", "1280 x 720 at 30, 7.5/s MJPG"]


def test_a_device_that_is_no_camera_has_no_modes(tmp_path):
    (tmp_path / "video0").touch()
    assert v4l2.modes(str(tmp_path / "video0")) == []


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine with two cameras."""
    links, system = tmp_path / "by-id", tmp_path / "sys"
    links.mkdir()
    for number, (model, serial) in enumerate((("C920", "AAA1"), ("Brio", "BBB2"))):
        (tmp_path / f"video{number}").touch()
        (links / f"usb-{model}_{serial}-video-index0").symlink_to(tmp_path / f"video{number}")
        (system / f"video{number}").mkdir(parents=True)
        (system / f"video{number}" / "name").write_text(f"{model}\n")
    monkeypatch.setattr(v4l2, "BY_ID", links)
    monkeypatch.setattr(v4l2, "SYSTEM", system)
    return tmp_path


def test_a_camera_is_found_by_its_serial(machine):
    assert v4l2.find("front", CameraConfig(driver="uvc", serial="BBB2")) == str(machine / "video1")
    assert v4l2.find("front", CameraConfig(driver="uvc", device=str(machine / "video0"))) == str(machine / "video0")
    assert v4l2.devices() == {"/dev/video0": "C920", "/dev/video1": "Brio"}


def test_a_camera_that_is_not_there_is_named_with_those_that_are(machine):
    with pytest.raises(CameraError, match="no camera with serial CCC3 among usb-Brio_BBB2-.*, usb-C920_AAA1-"):
        v4l2.find("front", CameraConfig(driver="uvc", serial="CCC3"))
    with pytest.raises(CameraError, match="several cameras with serial usb"):
        v4l2.find("front", CameraConfig(driver="uvc", serial="usb"))
    with pytest.raises(CameraError, match=r"there is no /dev/video98; connected: /dev/video0 \(C920\), /dev/video1"):
        v4l2.find("front", CameraConfig(driver="uvc", device="98"))
