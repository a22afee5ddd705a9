"""Intel RealSense (D400 series) through its own library, and recordings of one through the same pipeline."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from controllers.cameras.base import Clock, Facts, Frame, Intrinsics
from controllers.cameras.clock import ExposureClock
from controllers.cameras.config import CameraConfig
from controllers.cameras.processing import check_shape, process, process_depth, process_intrinsics
from controllers.exceptions import CameraError

DEPTH_UNIT_EXPOSURE, COLOUR_UNIT_EXPOSURE = 1e-6, 1e-4
"""s, of the option `exposure` of a stereo module, and of a colour sensor apart from it."""
SETTLE = 6
"""Pictures until a new exposure shows."""
PATIENCE = 5.0
"""s of silence after which the pipeline gives up; a supervisor has less patience."""
LEAVE, RETURN = 1.0, 10.0
"""s after which a camera that is reset has left the bus, and by which it has come back."""
LONGEST_READOUT = 0.1
"""s that a picture may plausibly take from the middle of its exposure to its stamp."""


def library() -> Any:
    """The pyrealsense2 module. Raises `CameraError` where it cannot be loaded."""
    try:
        import pyrealsense2
    except ImportError as error:
        raise CameraError(
            f"pyrealsense2 cannot be loaded ({error}): pip install 'robot_rl[realsense]' and "
            "apt-get install libusb-1.0-0."
        ) from error
    return pyrealsense2


def connected() -> dict[str, str]:
    """Serial number to model of every RealSense that is plugged in."""
    rs = library()
    return {
        device.get_info(rs.camera_info.serial_number): device.get_info(rs.camera_info.name)
        for device in rs.context().query_devices()
    }


def reset(serial: str, timeout: float = RETURN) -> None:
    """Restart the camera with that serial number and wait until it is back. Raises `CameraError` if it is not."""
    rs = library()
    for device in rs.context().query_devices():
        if device.get_info(rs.camera_info.serial_number) == serial:
            device.hardware_reset()
    end = time.monotonic() + timeout
    time.sleep(min(LEAVE, timeout))
    while serial not in connected():
        if time.monotonic() > end:
            raise CameraError(f"RealSense {serial} did not come back from a reset; unplug it and plug it in again.")
        time.sleep(0.1)


class RealSenseCamera:
    """A camera by its serial number; with `config.device` a recording (.db3, .bag), played over and over.

    reset: restart the camera's own computer before it is opened.
    """

    def __init__(self, name: str, config: CameraConfig, *, reset: bool = False) -> None:
        self.facts = Facts(name)
        self._name, self._config, self._reset = name, config, reset
        self._rs = library()
        self._pipeline: Any = None
        self._align = self._rs.align(self._rs.stream.color) if config.depth else None
        self._clock = ExposureClock(config.latency)
        self._last = -1

    def open(self) -> None:
        rs, config = self._rs, self._config
        wanted = rs.config()
        if config.device:
            self._check_recording()
            wanted.enable_device_from_file(config.device, repeat_playback=True)
        else:
            serial = self._serial()
            if self._reset:
                reset(serial)
            wanted.enable_device(serial)
        wanted.enable_stream(rs.stream.color, config.width, config.height, rs.format.rgb8, config.rate)
        if config.depth:
            wanted.enable_stream(rs.stream.depth, config.width, config.height, rs.format.z16, config.rate)
        pipeline = rs.pipeline()
        try:
            device = wanted.resolve(rs.pipeline_wrapper(pipeline)).get_device()
        except RuntimeError as error:
            raise CameraError(self._unresolved(wanted, error)) from error
        try:
            profile = pipeline.start(wanted)
        except RuntimeError as error:
            raise CameraError(f"camera {self._name} does not start: {error}; is it in use?") from error
        self._pipeline = pipeline
        settings = self._lock(device)
        for _ in range(SETTLE if settings else 0):
            self._wait()
        pinhole = _intrinsics(profile.get_stream(rs.stream.color).as_video_stream_profile().get_intrinsics())
        self.facts = Facts(self._model(device), process_intrinsics(pinhole, config), settings)

    def read(self) -> Frame:
        while True:
            frames = self._wait()
            arrival = time.monotonic()
            if self._align is not None:
                frames = self._align.process(frames)
            colour, depth = frames.get_color_frame(), frames.get_depth_frame()
            complete = colour and (depth or self._align is None)
            if complete and colour.get_frame_number() != self._last:  # depth may come with the picture before
                break
        self._last = colour.get_frame_number()
        image = np.asanyarray(colour.get_data())
        check_shape(image, self._config, self._name)
        device, clock = self._device_stamp(colour)
        return Frame(
            image=process(image, self._config),
            depth=self._depth(depth) if self._align is not None else None,
            sequence=self._last,
            stamp=self._clock.stamp(device, arrival, clock),
            arrival=arrival,
            device_stamp=device,
        )

    def close(self) -> None:
        if self._pipeline is not None:
            self._pipeline.stop()
            self._pipeline = None

    def _wait(self) -> Any:
        try:
            return self._pipeline.wait_for_frames(int(PATIENCE * 1e3))
        except RuntimeError as error:
            raise CameraError(f"camera {self._name} gives no picture ({error}); is it still plugged in?") from error

    def _depth(self, frame: Any) -> Any:
        return process_depth(np.asanyarray(frame.get_data()), frame.get_units(), self._config)

    def _device_stamp(self, frame: Any) -> tuple[float, Clock]:
        """The middle of the exposure on the device's clock, s; without metadata the stamp is the transfer's start."""
        rs, meta = self._rs, self._rs.frame_metadata_value
        stamp = frame.get_timestamp() / 1e3
        if frame.supports_frame_metadata(meta.sensor_timestamp) and frame.supports_frame_metadata(meta.frame_timestamp):
            ticks = frame.get_frame_metadata(meta.frame_timestamp) - frame.get_frame_metadata(meta.sensor_timestamp)
            stamp -= min(max(ticks * 1e-6, 0.0), LONGEST_READOUT)
        own = self._config.device or frame.get_frame_timestamp_domain() == rs.timestamp_domain.hardware_clock
        return stamp, "device" if own else "system"

    def _lock(self, device: Any) -> dict[str, float]:
        if not self._config.device:
            return lock(self._rs, colour_sensor(self._rs, device), self._name, self._config)
        for key in ("exposure", "gain", "white_balance"):
            if getattr(self._config, key) is not None:
                raise CameraError(f"camera {self._name} is a recording: {key} cannot be set; leave it out.")
        return {}

    def _serial(self) -> str:
        """The serial number to open: the one given, or that of the only camera."""
        found = connected()
        listed = ", ".join(f"{serial} ({model})" for serial, model in found.items()) or "none"
        if self._config.serial:
            if self._config.serial not in found:
                raise CameraError(
                    f"camera {self._name}: no RealSense with serial {self._config.serial}; connected: {listed}."
                )
            return self._config.serial
        if len(found) != 1:
            raise CameraError(f"camera {self._name} has no serial; connected: {listed}; set serial to one of them.")
        return next(iter(found))

    def _check_recording(self) -> None:
        if not Path(self._config.device).is_file():
            raise CameraError(f"camera {self._name}: there is no recording {self._config.device}.")

    def _unresolved(self, wanted: Any, error: RuntimeError) -> str:
        """Why the streams cannot be had, with those that can."""
        rs, config = self._rs, self._config
        source = rs.config()
        if config.device:
            source.enable_device_from_file(config.device)
        else:
            source.enable_device(config.serial or self._serial())
        try:
            device = source.resolve(rs.pipeline_wrapper(rs.pipeline())).get_device()
        except RuntimeError:
            return f"camera {self._name} cannot be opened: {error}."
        streams = [rs.stream.color, rs.stream.depth] if config.depth else [rs.stream.color]
        known = "; ".join(f"{stream.name}: {', '.join(modes(device, stream)) or 'none'}" for stream in streams)
        return f"camera {self._name} has no mode {config.width} x {config.height} at {config.rate}/s; it has {known}."

    def _model(self, device: Any) -> str:
        info = self._rs.camera_info
        facts = {"serial": info.serial_number, "firmware": info.firmware_version, "USB": info.usb_type_descriptor}
        told = [f"{word} {device.get_info(key)}" for word, key in facts.items() if device.supports(key)]
        return ", ".join([device.get_info(info.name), *told])


def colour_sensor(rs: Any, device: Any) -> Any:
    """The sensor that gives colour: a D435 has its own, on a D405 the stereo module does. Raises `CameraError`."""
    for sensor in device.query_sensors():
        if any(profile.stream_type() == rs.stream.color for profile in sensor.get_stream_profiles()):
            return sensor
    raise CameraError(f"{device.get_info(rs.camera_info.name)} has no colour sensor.")


def modes(device: Any, stream: Any) -> list[str]:
    """What the device offers of one stream, as `640 x 480 at 15, 30/s`."""
    rates: dict[tuple[int, int], set[int]] = {}
    for sensor in device.query_sensors():
        for profile in sensor.get_stream_profiles():
            if profile.stream_type() == stream:
                video = profile.as_video_stream_profile()
                rates.setdefault((video.width(), video.height()), set()).add(video.fps())
    return [
        f"{width} x {height} at {', '.join(map(str, sorted(each)))}/s"
        for (width, height), each in sorted(rates.items())
    ]


def lock(rs: Any, sensor: Any, name: str, config: CameraConfig) -> dict[str, float]:
    """Make exposure, gain and white balance what the configuration says; those read back, in its units.

    What it leaves open is switched to automatic: an earlier program may have left it otherwise.
    Raises `CameraError` for one that the sensor has not, or does not take.
    """
    option = rs.option
    _automatic(sensor, option.enable_auto_exposure, config.exposure is None and config.gain is None)
    _automatic(sensor, option.enable_auto_white_balance, config.white_balance is None)
    unit = DEPTH_UNIT_EXPOSURE if sensor.is_depth_sensor() else COLOUR_UNIT_EXPOSURE
    wanted = {
        "exposure": (option.exposure, config.exposure, unit),
        "gain": (option.gain, config.gain, 1.0),
        "white_balance": (option.white_balance, config.white_balance, 1.0),
    }
    return {
        key: _set(sensor, which, value, unit, f"camera {name}: {key}")
        for key, (which, value, unit) in wanted.items()
        if value is not None
    }


def _automatic(sensor: Any, option: Any, wanted: bool) -> None:
    if sensor.supports(option) and not sensor.is_option_read_only(option):
        sensor.set_option(option, float(wanted))


def _set(sensor: Any, option: Any, value: float, unit: float, what: str) -> float:
    """Set an option to the nearest step of `value`; what the sensor then says. unit: of the option."""
    if not sensor.supports(option) or sensor.is_option_read_only(option):
        raise CameraError(f"{what} cannot be set on this camera; leave it out.")
    span = sensor.get_option_range(option)
    if not span.min <= value / unit <= span.max:
        low, high = span.min * unit, span.max * unit
        raise CameraError(f"{what} is {value:g}, but this camera takes {low:g} to {high:g}.")
    step = span.step or 1.0
    sensor.set_option(option, span.min + round((value / unit - span.min) / step) * step)
    got = float(sensor.get_option(option)) * unit
    if abs(got - value) > max(step * unit, 0.02 * value):
        raise CameraError(f"{what} is asked to be {value:g}, but the camera says {got:g}; choose a value near that.")
    return got


def _intrinsics(values: Any) -> Intrinsics:
    """What librealsense calls Brown-Conrady is the plumb-bob model; it counts pixels as we do."""
    return Intrinsics(
        values.width, values.height, values.fx, values.fy, values.ppx, values.ppy, "plumb_bob", tuple(values.coeffs)
    )
