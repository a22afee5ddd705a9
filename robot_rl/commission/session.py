"""One arm moved slowly by a person: the same interface, filter and watchdog as any policy's."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from controllers import spatial
from controllers.cells import CellConfig, arm_limits, open_cell
from controllers.interface import Array, Backend, Pose, PoseTarget, Reading
from controllers.models import arm_model
from robot_rl.exceptions import CommissionError
from tasks.spec import AXES, Gains, TaskSpec, Workspace

PERIOD = 0.01
"""Of a tick while a person moves the arm, s."""
SHARE = 0.1
"""Part of the reduced speed that jogging uses."""
REDUCED = (0.25, 0.5)
"""Reduced speed of a tool in manual mode: 0.25 m/s after ISO 10218-1; the turn, rad/s, is ours."""
LEASH = (0.02, 0.1)
"""How far the reference may run ahead of the tool, m and rad: with the stiffness it bounds the force."""
STILL = (0.002, 0.02)
"""m/s and rad/s below which the tool stands."""
SETTLE = 3.0
"""Patience, s, with a tool that has to come to rest."""
EVERYWHERE = Workspace(np.full(3, -2.0), np.full(3, 2.0), tilt=math.pi, yaw=math.pi)
"""Where a cell states no box: the arm's own reach."""


def slow_task(cell: CellConfig, task: TaskSpec) -> TaskSpec:
    """`task` with its scene and gripper, but a soft arm that may be moved everywhere in the cell's box."""
    stiffness, damping = np.array([1000.0] * 3 + [60.0] * 3), np.array([160.0] * 3 + [9.0] * 3)
    bound = np.array([LEASH[0]] * 3 + [LEASH[1]] * 3)
    box = EVERYWHERE
    if cell.workspace is not None:
        box = dataclasses.replace(EVERYWHERE, low=np.array(cell.workspace.low), high=np.array(cell.workspace.high))
    allowed = arm_limits(cell) or arm_model(cell.arm).limits
    stiffness = np.minimum(stiffness, np.repeat(allowed.stiffness, 3))
    damping = np.minimum(damping, np.repeat(allowed.damping, 3))
    gains = Gains(stiffness, damping, np.concatenate([-bound, bound]))
    return dataclasses.replace(task, gains=gains, workspace=box, period=PERIOD)


@dataclass
class Session:
    """A cell in a person's hands. `watch` sees every reading; it may raise to end the motion.

    axes are the base's: x, y, z and turns rx, ry, rz about them. width: what the gripper is told next, m.
    """

    cell: Backend
    watch: Callable[[Reading], None] = lambda reading: None
    width: float | None = None
    _sequence: int = field(default=0, init=False)
    _posture: Array | None = field(default=None, init=False)
    _target: Pose | None = field(default=None, init=False)

    def read(self) -> Reading:
        """The newest reading."""
        return self.cell.read()

    def take(self) -> Reading:
        """Hold the arm where it is."""
        reading = self.cell.read()
        if reading.safety == "latched":
            raise CommissionError(
                f"the arm is latched ({reading.reason}); see to the cause, then give --recover, or call ~/recover."
            )
        self.cell.acquire("teleop")
        reading = self.cell.read()
        self._target = reading.arm.pose
        self._posture = reading.arm.q if self.cell.abilities.posture else None
        return reading

    def tick(self, velocity: Array | None = None, **compliance: Array) -> Reading:
        """One tick: the reference moves by `velocity` (6,), m/s and rad/s in base axes, leashed to the tool."""
        assert self._target is not None, "take the arm first"
        if velocity is not None:
            self._target = self._leashed(self._target, velocity * self.cell.period)
        self._sequence += 1
        target = PoseTarget(self._target, self._sequence, posture=self._posture, **compliance)  # type: ignore[arg-type]
        self.cell.command(target, self.width)
        self.width = None  # a gripper is told once
        reading = self.cell.wait()
        self.watch(reading)
        return reading

    def hold(self, seconds: float) -> Reading:
        """Stay for a while."""
        reading = self.tick()
        for _ in range(round(seconds / self.cell.period)):
            reading = self.tick()
        return reading

    def jog(self, axis: str, distance: float, share: float = SHARE) -> Reading:
        """Move the tool by `distance`, m or rad, along or about one axis of the base, and wait until it stands."""
        self.jog_step(axis, distance, share)
        return self.settle()

    def jog_step(self, axis: str, distance: float, share: float = SHARE) -> None:
        """As `jog`, without waiting at its end."""
        velocity, speed = velocity_of(axis, math.copysign(1.0, distance), share)
        ticks = max(1, round(abs(distance) / (speed * self.cell.period)))
        for _ in range(ticks):
            self.tick(velocity * abs(distance) / (speed * self.cell.period * ticks))

    def settle(self) -> Reading:
        """Hold until the tool stands; at most `SETTLE` s."""
        reading = self.hold(0.1)
        for _ in range(round(SETTLE / self.cell.period)):
            if stands(reading):
                break
            reading = self.tick()
        return reading

    def follow_hand(self) -> Reading:
        """One tick of hand-guiding: no stiffness, the reference goes with the tool."""
        soft = {"stiffness": np.zeros(6), "damping": np.array([10.0] * 3 + [1.0] * 3)}
        reading = self.cell.read()
        self._target = reading.arm.pose
        self._posture = reading.arm.q if self.cell.abilities.posture else None
        return self.tick(**soft)

    def _leashed(self, target: Pose, step: Array) -> Pose:
        """The reference moved by `step` (6,) in base axes, but no further than `LEASH` from the tool."""
        tool = self.cell.read().arm.pose
        position = target.position + step[:3]
        offset = position - tool.position
        reach = float(np.linalg.norm(offset))
        if reach > LEASH[0]:
            position = tool.position + offset * LEASH[0] / reach
        quaternion = spatial.multiply(spatial.exp(step[3:]), target.quaternion)
        turn = spatial.log(spatial.multiply(quaternion, spatial.conjugate(tool.quaternion)))
        angle = float(np.linalg.norm(turn))
        if angle > LEASH[1]:
            quaternion = spatial.multiply(spatial.exp(turn * LEASH[1] / angle), tool.quaternion)
        return Pose(position, quaternion)


def velocity_of(axis: str, sign: float, share: float = SHARE) -> tuple[Array, float]:
    """(velocity (6,), its size) of a jog. Raises `CommissionError` for an axis that there is not."""
    if axis not in AXES:
        raise CommissionError(f"there is no axis {axis!r}; choose one of {', '.join(AXES)}.")
    index = AXES.index(axis)
    speed = share * REDUCED[index // 3]
    velocity = np.zeros(6)
    velocity[index] = sign * speed
    return velocity, speed


def stands(reading: Reading) -> bool:
    """Whether the tool is at rest."""
    twist = reading.arm.twist
    return bool(np.linalg.norm(twist[:3]) < STILL[0] and np.linalg.norm(twist[3:]) < STILL[1])


@contextmanager
def opened(cell: CellConfig, task: TaskSpec, *, seed: int = 0, recover: bool = False) -> Iterator[Session]:
    """The cell for commissioning with the scene of `task`; a moving arm is held before it is let go.

    recover: clear a latch that the arm comes up with, which a person asked for.
    """
    backend = open_cell(cell, slow_task(cell, task), seed=seed, clock=cell.clock, period=PERIOD)
    try:
        if recover and backend.read().safety == "latched":
            backend.recover()
        yield Session(backend)
    finally:
        backend.close()
