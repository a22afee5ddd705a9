"""What the driver process needs to know, as JSON: no task code and no pickle crosses to it."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from controllers.arms.franka.config import FrankaConfig
from controllers.controller import Controller
from controllers.interface import Array
from controllers.limits import ArmLimits
from controllers.settings import build, plain
from tasks.spec import Gains, TaskSpec, Workspace

Record = TypeVar("Record")
STEP = 1e-3
"""Control period of a Franka, s."""


@dataclass(frozen=True)
class Plan:
    """The numbers of one cell. home (n,): joint angles; start (4,): turn that tilt and yaw are bounded against."""

    config: FrankaConfig
    limits: ArmLimits
    gains: Gains
    workspace: Workspace
    home: Array
    start: Array
    lockstep: bool

    @classmethod
    def of(cls, config: FrankaConfig, limits: ArmLimits, task: TaskSpec, lockstep: bool) -> Plan:
        """What `task` asks of the arm."""
        return cls(config, limits, task.gains, task.workspace, task.home, task.start.quaternion, lockstep)

    def controller(self) -> Controller:
        """The safety filter and the law. Raises ValueError for gains that the arm does not allow."""
        return Controller(
            self.limits, self.gains, self.workspace, home=self.home, start=self.start, dt=STEP, ttl=self.config.ttl
        )

    def to_json(self) -> str:
        """As text; numbers come back bit by bit as they were."""
        parts = {field.name: _numbers(getattr(self, field.name)) for field in dataclasses.fields(self)}
        return json.dumps(parts | {"config": plain(self.config)})

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """The plan that `to_json` wrote."""
        parts = json.loads(text)
        return cls(
            config=build(FrankaConfig, parts["config"], "plan"),
            limits=_record(ArmLimits, parts["limits"]),
            gains=_record(Gains, parts["gains"]),
            workspace=_record(Workspace, parts["workspace"]),
            home=np.array(parts["home"]),
            start=np.array(parts["start"]),
            lockstep=parts["lockstep"],
        )


def _numbers(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {field.name: _numbers(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _record(cls: type[Record], parts: dict[str, Any]) -> Record:
    """A dataclass whose lists are arrays, except pairs, which are tuples; what lies in it is of its own kind."""
    made: dict[str, Any] = {}
    for name, part in parts.items():
        if isinstance(part, dict):
            made[name] = _record(cls, part)
        elif isinstance(part, list):
            made[name] = tuple(part) if len(part) == 2 else np.array(part)
        else:
            made[name] = part
    return cls(**made)
