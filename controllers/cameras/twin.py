"""The twin's camera as if it were one on a cable: a task's scene, rendered at a steady rate."""

from __future__ import annotations

import math
import time

import tasks
from controllers.cameras.base import Facts, Frame, Intrinsics
from controllers.cameras.clock import ExposureClock
from controllers.cameras.config import CameraConfig
from controllers.cameras.processing import process, process_intrinsics
from controllers.emulators.control import Control
from controllers.exceptions import CameraError
from controllers.twin.plant import Plant
from tasks.spec import CameraSpec


class TwinCamera:
    """Camera `name` of the scene of `task`, as the emulator at `config.device` has it, else standing still.

    A picture is stamped when its scene was asked for; its device stamp is the emulator's time.
    """

    def __init__(self, name: str, config: CameraConfig, task: str) -> None:
        self.facts = Facts(name)
        self._name, self._config, self._task = name, config, task
        self._spec = CameraSpec(name, config.width, config.height)
        self._clock = ExposureClock(config.latency)
        self._plant: Plant | None = None
        self._control: Control | None = None
        self._sequence = 0
        self._due = 0.0

    def open(self) -> None:
        config = self._config
        try:
            self._plant = Plant(tasks.load(self._task), randomise=False)
        except tasks.UnknownTask as error:
            raise CameraError(f"camera {self._name} of the twin: {error}.") from None
        self._refuse_settings()
        if config.device:
            self._control = self._emulator()
        self._plant.render(self._spec)
        opening = math.radians(self._plant.model.camera(self._name).fovy[0])
        focal = 0.5 * config.height / math.tan(0.5 * opening)
        centre = 0.5 * config.width - 0.5, 0.5 * config.height - 0.5
        pinhole = Intrinsics(config.width, config.height, focal, focal, *centre)
        self.facts = Facts(f"twin of {self._task}", process_intrinsics(pinhole, config))

    def read(self) -> Frame:
        assert self._plant is not None, "open comes first"
        now = time.monotonic()
        self._due = max(self._due + 1.0 / self._config.rate, now) if self._due else now
        time.sleep(self._due - now)
        stamp = self._clock.stamp(math.nan, time.monotonic(), "none")
        device = self._see(self._plant)
        image = process(self._plant.render(self._spec), self._config)
        self._sequence += 1
        return Frame(image, None, self._sequence, stamp, time.monotonic(), device)

    def close(self) -> None:
        if self._control is not None:
            self._control.close()
        if self._plant is not None:
            self._plant.close()

    def _see(self, plant: Plant) -> float:
        """Bring the scene up to date; the simulated time that it is of, s, NaN where it stands still.

        A lockstep emulator's time stops between two ticks, so that it says nothing of when the picture is seen.
        """
        if self._control is None:
            return math.nan
        plant.set_state_vector(self._control.state()["state_vector"])
        return plant.time

    def _emulator(self) -> Control:
        """The one at the configured address. Raises `CameraError` where it simulates another task."""
        control = Control(self._config.device)
        if control.about["task"] != self._task:
            control.close()
            raise CameraError(
                f"camera {self._name}: the emulator at {self._config.device} simulates task {control.about['task']}, "
                f"not {self._task}; start it with --task {self._task}."
            )
        return control

    def _refuse_settings(self) -> None:
        for key in ("exposure", "gain", "white_balance"):
            if getattr(self._config, key) is not None:
                raise CameraError(f"camera {self._name} is the twin's: {key} cannot be set; leave it out.")
