"""A camera's frames as MP4: many episodes a file, each beginning with a key frame, frame k at k / fps seconds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot_rl.data.lerobot.layout import VIDEO_MB, VIDEOS, Feature, Shard
from robot_rl.data.lerobot.libraries import av, video_errors
from robot_rl.exceptions import DataError

CODECS = {"h264": ("libx264", {"preset": "veryfast"}), "av1": ("libsvtav1", {"preset": "10"})}
"""By LeRobot's names: FFmpeg's encoder and its own options."""

GOP, CRF = 2, 30
_SECONDS = 1000.0
"""A file holds no more: LeRobot compares times as float32, which from 1024 s on are farther apart than it tolerates."""

_SEEK = 5.0  # s; over a shorter gap decoding is as fast as seeking


def _pixels(height: int, width: int) -> str:
    """FFmpeg's pixel format: halved colour where the size allows."""
    return "yuv444p" if height % 2 or width % 2 else "yuv420p"


def describe_video(shape: tuple[int, ...], fps: float, codec: str) -> dict[str, Any]:
    """What LeRobot keeps of a video in `info.json`. shape: (height, width, ...)."""
    return {
        "video.height": shape[0],
        "video.width": shape[1],
        "video.codec": codec,
        "video.pix_fmt": _pixels(*shape[:2]),
        "video.is_depth_map": False,
        "video.fps": int(fps) if fps == int(fps) else fps,
        "video.channels": 3,
        "has_audio": False,
    }


class VideoWriter:
    """The files of one camera. `begin`, frames, `end` for each episode, then `close`."""

    def __init__(self, folder: Path, camera: str, shape: tuple[int, ...], fps: float, codec: str = "h264") -> None:
        if codec not in CODECS:
            raise DataError(f"the codec {codec!r} is unknown; choose from {', '.join(CODECS)}")
        self._folder, self._camera, self._codec = folder, camera, codec
        self._height, self._width = shape[:2]
        self._rate = Fraction(fps).limit_denominator(1000)
        self._shard = Shard()
        self._container: Any = None
        self._frames = self._first = 0

    def begin(self) -> None:
        """Begin an episode: in a new file where the one at hand is full."""
        if self._container is not None and (self._frames / self._rate >= _SECONDS or self._megabytes >= VIDEO_MB):
            self.close()
            self._shard = self._shard.next()
        if self._container is None:
            path = self._shard.path(self._folder, VIDEOS, video_key=self._camera)
            path.parent.mkdir(parents=True, exist_ok=True)
            encoder, options = CODECS[self._codec]
            os.environ.setdefault("SVT_LOG", "1")  # the AV1 encoder talks on standard error otherwise
            self._container, self._path, self._frames = av().open(str(path), "w"), path, 0
            self._stream = self._container.add_stream(
                encoder, rate=self._rate, options={"g": str(GOP), "crf": str(CRF), "bf": "0", **options}
            )
            self._stream.width, self._stream.height = self._width, self._height
            self._stream.pix_fmt = _pixels(self._height, self._width)
        self._first = self._frames

    def add(self, image: NDArray[np.uint8]) -> None:
        """Append a frame, (h, w, 1 or 3)."""
        if image.shape[-1] == 1:
            image = np.repeat(image, 3, axis=2)
        frame = av().VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        frame.pts, frame.time_base = self._frames, 1 / self._rate
        if self._frames == self._first:
            frame.pict_type = av().video.frame.PictureType.I
        self._container.mux(self._stream.encode(frame))
        self._frames += 1

    def end(self) -> dict[str, int | float]:
        """End the episode: what `meta/episodes` says of it."""
        name = f"videos/{self._camera}"
        return {
            f"{name}/chunk_index": self._shard.chunk,
            f"{name}/file_index": self._shard.file,
            f"{name}/from_timestamp": float(self._first / self._rate),
            f"{name}/to_timestamp": float(self._frames / self._rate),
        }

    def close(self) -> None:
        """Complete the file at hand."""
        if self._container is not None:
            self._container.mux(self._stream.encode())
            self._container.close()
            self._container = None

    @property
    def _megabytes(self) -> float:
        """Of the file at hand, which appears with its first packet."""
        return self._path.stat().st_size / 2**20 if self._path.exists() else 0.0


def _strict(feature: Feature) -> dict[str, str]:
    """Options of a decoder that gives up over damage, and takes no memory for more than the frame that is expected."""
    height, width, _ = feature.image_shape
    return {"err_detect": "explode", "max_pixels": str((height + 64) * (width + 64))}


class VideoReader:
    """The frames of one file at given times, which should grow: it decodes on from where it is."""

    def __init__(self, path: Path, feature: Feature, fps: float) -> None:
        self._path = path
        self._height, self._width, _ = feature.image_shape
        try:
            self._container = av().open(str(path))
            self._stream = self._container.streams.video[0]
            self._stream.codec_context.options = _strict(feature)
        except video_errors() as error:
            raise DataError(f"the video {path} cannot be opened ({error}); fetch it again") from error
        size = self._stream.height, self._stream.width
        if size != (self._height, self._width):
            raise DataError(f"the video {path} is {size[1]}x{size[0]}, not {self._width}x{self._height}")
        self._colours = av().video.reformatter.VideoReformatter()  # shared: making one takes longer than using it
        rate = float(self._stream.average_rate or fps)
        self._tolerance = 0.5 / min(rate, fps) + 1e-3
        self._decoded = self._frames()
        self._at: Any = next(self._decoded, None)
        self._next: Any = self._at

    def close(self) -> None:
        """Let the file go."""
        self._container.close()

    def at(self, seconds: float) -> NDArray[np.uint8]:
        """The frame nearest to a time, uint8 (h, w, 3). Raises `DataError` where the file has none there."""
        if self._at is None or not -self._tolerance <= seconds - self._at.time < _SEEK:
            self._seek(seconds)
        while self._next is not None and (self._at is None or self._closer(seconds)):
            self._at, self._next = self._next, next(self._decoded, None)
        if self._at is None or abs(self._at.time - seconds) > self._tolerance:
            raise DataError(f"the video {self._path} has no frame at {seconds:.3f} s; it is cut off or another's")
        pixels: NDArray[np.uint8] = self._colours.reformat(self._at, format="rgb24").to_ndarray()
        if pixels.shape[:2] != (self._height, self._width):
            raise DataError(f"the video {self._path} changes its size at {seconds:.3f} s; it is damaged")
        return pixels

    def _closer(self, seconds: float) -> bool:
        return bool(abs(self._next.time - seconds) <= abs(self._at.time - seconds))

    def _seek(self, seconds: float) -> None:
        try:
            self._container.seek(max(0, int(seconds / self._stream.time_base) - 1), stream=self._stream)
        except video_errors() as error:
            raise DataError(f"the video {self._path} has no {seconds:.3f} s ({error}); it is damaged") from error
        self._decoded = self._frames()
        self._at, self._next = None, next(self._decoded, None)

    def _frames(self) -> Iterator[Any]:
        try:
            for frame in self._container.decode(self._stream):
                if frame.is_corrupt:
                    raise DataError(f"the video {self._path} is damaged at {frame.time} s; fetch it again")
                if frame.time is not None:
                    yield frame
        except video_errors() as error:
            raise DataError(f"the video {self._path} does not decode ({error}); fetch it again") from error


def decode_picture(data: bytes, feature: Feature) -> NDArray[np.uint8]:
    """The frame, uint8 (h, w, 3 or 1), of the PNG or JPEG that a row holds. Raises `DataError`."""
    height, width, channels = feature.image_shape
    # a fresh decoder for each: FFmpeg's PNG decoder begins a second picture with the last row of the first
    decoder = av().CodecContext.create("mjpeg" if data[:2] == b"\xff\xd8" else "png", "r")
    decoder.options = _strict(feature)
    try:
        frames = decoder.decode(av().Packet(data))
    except video_errors() as error:
        raise DataError(f"an image of '{feature.name}' does not decode ({error})") from error
    if not frames or (frames[0].height, frames[0].width) != (height, width):
        raise DataError(f"an image of '{feature.name}' is not {width}x{height}, as the dataset says")
    pixels: NDArray[np.uint8] = frames[0].to_ndarray(format="gray" if channels == 1 else "rgb24")
    return pixels.reshape(height, width, -1)
