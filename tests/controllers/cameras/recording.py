"""A RealSense that exists in software, recorded as a real one would be."""

from pathlib import Path
from time import monotonic, sleep

import numpy as np
import pyrealsense2 as rs

WIDTH, HEIGHT, RATE, FOCAL = 160, 120, 30, 120.0
SERIAL = "0123456789"
BASELINE = 0.05
"""m that the colour camera lies to the right of the depth camera."""
NEAR, FAR = 0.5, 2.0
"""m to a block in the middle of the scene, and to the wall behind it."""
READOUT = 8000
"""us from the middle of the exposure to the stamp."""
LOST = (20, 21, 22)
"""Numbers of pictures that the device loses."""


class SoftwareCamera:
    """Two sensors, the stereo module first, as on a D435."""

    def __init__(self):
        self.device = rs.software_device()
        self.device.register_info(rs.camera_info.name, "Software D435")
        self.device.register_info(rs.camera_info.serial_number, SERIAL)
        self.stereo = self.device.add_sensor("Stereo Module")
        self.colour = self.device.add_sensor("RGB Camera")
        self.stereo.add_read_only_option(rs.option.depth_units, 0.001)
        self.depth_profile = self.stereo.add_video_stream(_stream(rs.stream.depth, 0, rs.format.z16, 2))
        self.colour_profile = self.colour.add_video_stream(_stream(rs.stream.color, 1, rs.format.rgb8, 3))
        offset = rs.extrinsics()
        offset.rotation, offset.translation = [1, 0, 0, 0, 1, 0, 0, 0, 1], [-BASELINE, 0, 0]
        self.depth_profile.register_extrinsics_to(self.colour_profile, offset)
        self.device.create_matcher(rs.matchers.dlr_c)

    def take(self, number):
        """One picture of either sensor."""
        ticks = 1_000_000 + round(number * 1e6 / RATE)
        self.colour.set_metadata(rs.frame_metadata_value.frame_timestamp, ticks)
        self.colour.set_metadata(rs.frame_metadata_value.sensor_timestamp, ticks - READOUT)
        self.stereo.on_video_frame(_frame(self.depth_profile, number, ticks, depth()))
        self.colour.on_video_frame(_frame(self.colour_profile, number, ticks, colour(number)))


def record(path: Path, seconds: float) -> None:
    """At the pace of a real camera, since a recording is played at the pace at which it was made."""
    camera = SoftwareCamera()
    recorder = rs.recorder(str(path), camera.device)
    syncer = rs.syncer()
    sensors = recorder.query_sensors()
    for sensor in sensors:
        sensor.open(sensor.get_stream_profiles()[0])
        sensor.start(syncer)
    began = monotonic()
    for number in range(round(seconds * RATE)):
        sleep(max(began + number / RATE - monotonic(), 0.0))
        if number not in LOST:
            camera.take(number)
    recorder.pause()
    for sensor in sensors:
        sensor.stop()
        sensor.close()


def colour(number):
    """Red tells the number, green the column, blue the row."""
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[..., 0] = number
    image[..., 1] = np.arange(WIDTH)
    image[..., 2] = np.arange(HEIGHT)[:, None]
    return image


def depth():
    """mm, of the wall and the block before it; nothing measured in the upper rows."""
    image = np.full((HEIGHT, WIDTH), 1000 * FAR, np.uint16)
    image[50:70, 70:90] = 1000 * NEAR
    image[:10] = 0
    return image


def _stream(kind, uid, form, width):
    pinhole = rs.intrinsics()
    pinhole.width, pinhole.height = WIDTH, HEIGHT
    pinhole.ppx, pinhole.ppy, pinhole.fx, pinhole.fy = WIDTH / 2, HEIGHT / 2, FOCAL, FOCAL
    pinhole.model, pinhole.coeffs = rs.distortion.brown_conrady, [0.0] * 5
    stream = rs.video_stream()
    stream.type, stream.uid, stream.fmt, stream.bpp = kind, uid, form, width
    stream.width, stream.height, stream.fps, stream.intrinsics = WIDTH, HEIGHT, RATE, pinhole
    return stream


def _frame(profile, number, ticks, pixels):
    frame = rs.software_video_frame()
    frame.profile = profile.as_video_stream_profile()
    frame.frame_number, frame.timestamp, frame.domain = number, ticks / 1e3, rs.timestamp_domain.hardware_clock
    frame.bpp, frame.stride = pixels[0, 0].nbytes, pixels[0].nbytes
    frame.pixels = pixels
    return frame
