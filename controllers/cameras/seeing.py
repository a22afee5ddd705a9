"""A cell that sees: an arm's backend whose readings hold the newest picture of each camera, in one process."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from typing import Any

from controllers.cameras.base import PICTURE_AGE, Frame
from controllers.cameras.watchdog import SupervisedCamera
from controllers.exceptions import CellTimeout, ControllersError
from controllers.interface import Backend, Health, Image, Reading


class SeeingCell:
    """A `Backend` made of another one and its cameras, which it opens and closes.

    A reading waits for a picture that is fresh: at most `PICTURE_AGE` s (or one period) old in real time, of the
    present tick in lockstep. Where none comes within its camera's `stale_after`, `CellTimeout`.
    Raises `CameraError`, and closes the backend, where a camera cannot be opened.
    """

    def __init__(self, backend: Backend, cameras: Mapping[str, SupervisedCamera]) -> None:
        self._backend, self._cameras = backend, cameras
        self._frames: dict[str, Frame] = {}
        self._ticked = 0.0
        try:
            for name, camera in cameras.items():
                camera.open()
                self._frames[name] = camera.read()
        except ControllersError:
            self.close()
            raise

    def __getattr__(self, name: str) -> Any:
        """All else is the arm's."""
        return getattr(self._backend, name)

    def wait(self) -> Reading:
        """The reading at the end of the tick."""
        reading = self._backend.wait()
        self._ticked = time.monotonic()
        return self._seeing(reading)

    def read(self) -> Reading:
        """The newest reading, without advancing."""
        return self._seeing(self._backend.read())

    def health(self) -> Health:
        """The worst of the arm's and the cameras'."""
        parts = {"arm": self._backend.health()} | {name: camera.health() for name, camera in self._cameras.items()}
        name, worst = max(parts.items(), key=lambda part: ("ok", "warn", "error").index(part[1].level))
        values = {f"{part}: {key}": value for part, health in parts.items() for key, value in health.values.items()}
        return Health(worst.level, f"{name}: {worst.message}", values)

    def close(self) -> None:
        """Release the arm first, then the cameras."""
        self._backend.close()
        for camera in self._cameras.values():
            camera.close()

    def _seeing(self, reading: Reading) -> Reading:
        return dataclasses.replace(reading, images={name: self._newest(name) for name in self._cameras})

    def _newest(self, name: str) -> Image:
        camera, now = self._cameras[name], time.monotonic()
        oldest = self._ticked if self._backend.abilities.lockstep else now - max(PICTURE_AGE, self._backend.period)
        end = now + camera.config.stale_after
        self._frames[name] = camera.poll(0.0) or self._frames[name]
        while (frame := self._frames[name]).stamp < oldest:
            left = end - time.monotonic()
            if left <= 0:
                age = time.monotonic() - frame.stamp
                raise CellTimeout(f"camera {name} has delivered no picture for {age:.1f} s; see to it and its cable.")
            self._frames[name] = camera.poll(left) or frame
        return frame.image
