"""What the process of a camera is told when it is started."""

from __future__ import annotations

import dataclasses
import json

from controllers.cameras.config import CameraConfig
from controllers.settings import build


@dataclasses.dataclass(frozen=True)
class Order:
    """One camera to capture, as JSON in the last argument of `controllers.cameras.worker`.

    parent: process that it ends with. ring, pipe: inherited descriptors, of the memory of a `Ring` and of the pipe for
    its reports. task: whose scene driver `twin` renders. failures: in a row, before this start.
    """

    parent: int
    ring: int
    pipe: int
    name: str
    task: str
    failures: int
    config: CameraConfig

    def text(self) -> str:
        """The argument."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def read(cls, text: str) -> Order:
        """From the argument."""
        values = json.loads(text)
        return cls(**{**values, "config": build(CameraConfig, values["config"], f"camera {values['name']}")})
