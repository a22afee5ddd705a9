"""Which cameras Linux knows (video4linux), found without opening a stream."""

from __future__ import annotations

import ctypes
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from controllers.cameras.config import CameraConfig
from controllers.exceptions import CameraError

BY_ID = Path("/dev/v4l/by-id")
SYSTEM = Path("/sys/class/video4linux")
CAPTURE = 1
"""V4L2_BUF_TYPE_VIDEO_CAPTURE"""
DISCRETE = 1
"""V4L2_FRMSIZE_TYPE_DISCRETE, V4L2_FRMIVAL_TYPE_DISCRETE"""


class Format(ctypes.Structure):
    """struct v4l2_fmtdesc (linux/videodev2.h)."""

    _fields_ = [
        ("index", ctypes.c_uint32),
        ("type", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("description", ctypes.c_char * 32),
        ("pixelformat", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32 * 4),
    ]


class Size(ctypes.Structure):
    """struct v4l2_frmsizeenum; of its union the discrete size, room for the rest."""

    _fields_ = [
        ("index", ctypes.c_uint32),
        ("pixelformat", ctypes.c_uint32),
        ("type", ctypes.c_uint32),
        ("width", ctypes.c_uint32),
        ("height", ctypes.c_uint32),
        ("rest", ctypes.c_uint32 * 6),
    ]


class Interval(ctypes.Structure):
    """struct v4l2_frmivalenum; of its union the discrete interval, room for the rest."""

    _fields_ = [
        ("index", ctypes.c_uint32),
        ("pixelformat", ctypes.c_uint32),
        ("width", ctypes.c_uint32),
        ("height", ctypes.c_uint32),
        ("type", ctypes.c_uint32),
        ("numerator", ctypes.c_uint32),
        ("denominator", ctypes.c_uint32),
        ("rest", ctypes.c_uint32 * 6),
    ]


def _request(number: int, structure: type[ctypes.Structure]) -> int:
    """_IOWR('V', number, structure) of asm-generic/ioctl.h."""
    return 3 << 30 | ctypes.sizeof(structure) << 16 | ord("V") << 8 | number


def devices() -> dict[str, str]:
    """Device to model of every camera that Linux shows; a camera may show several, the first gives pictures."""
    paths = sorted(SYSTEM.glob("video*"), key=lambda path: int(path.name.removeprefix("video")))
    return {f"/dev/{path.name}": (path / "name").read_text().strip() for path in paths}


def model(device: str) -> str:
    """The model of a device, or what kind of source it is."""
    return devices().get(str(Path(device).resolve()), "video")


def find(name: str, config: CameraConfig) -> str:
    """The device of camera `name`: the one given, or the one whose serial number it is.

    Raises `CameraError` listing those there are.
    """
    if config.serial:
        links = sorted(BY_ID.glob(f"*{config.serial}*-video-index0")) if BY_ID.is_dir() else []
        if len(links) == 1:
            return str(links[0].resolve())
        serials = ", ".join(link.name for link in sorted(BY_ID.glob("*-index0"))) if BY_ID.is_dir() else ""
        trouble = "several cameras" if links else "no camera"
        raise CameraError(
            f"camera {name}: {trouble} with serial {config.serial} among {serials or 'none'} in {BY_ID}; "
            "plug it in, or name it by its device."
        )
    device = f"/dev/video{config.device}" if config.device.isdigit() else config.device
    if not Path(device).exists():
        known = ", ".join(f"{path} ({what})" for path, what in devices().items())
        raise CameraError(f"camera {name}: there is no {device}; connected: {known or 'no camera'}.")
    return device


def modes(device: str) -> list[str]:
    """What the device offers, as `640 x 480 at 30, 60/s MJPG`."""
    descriptor = os.open(device, os.O_RDWR | os.O_NONBLOCK)
    try:
        found = []
        for form in _enumerate(descriptor, 2, Format, type=CAPTURE):
            letters = form.pixelformat.to_bytes(4, "little").decode()
            for size in _enumerate(descriptor, 74, Size, pixelformat=form.pixelformat):
                if size.type != DISCRETE:
                    continue
                chosen = {"pixelformat": form.pixelformat, "width": size.width, "height": size.height}
                rates = [
                    f"{step.denominator / step.numerator:g}"
                    for step in _enumerate(descriptor, 75, Interval, **chosen)
                    if step.type == DISCRETE
                ]
                found.append(f"{size.width} x {size.height} at {', '.join(rates)}/s {letters}")
        return found
    finally:
        os.close(descriptor)


def _enumerate(descriptor: int, number: int, kind: type[ctypes.Structure], **fields: int) -> Iterator:
    """What the kernel answers for index 0, 1, ... until it refuses."""
    index = 0
    while True:
        item = kind(index=index, **fields)
        try:
            fcntl.ioctl(descriptor, _request(number, kind), item)
        except OSError:
            return  # EINVAL: there are no more; ENOTTY: the driver has no list
        yield item
        index += 1
