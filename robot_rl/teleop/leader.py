"""A leader arm as a device: an arm that a person leads by hand, known by its joints alone.

Its tool's motion becomes the device's axes: how far it moved in one control period, in units of the follower's largest
action, in the base frame of the leader, which is taken for the follower's. So the follower moves as the leader does,
from wherever each of them is, and there is no jump when a person takes over.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from controllers import spatial
from controllers.interface import Pose
from robot_rl.exceptions import DeviceGone
from robot_rl.teleop.device import DeviceState, at_rest
from tasks.spec import TaskSpec

GONE = 0.5
"""Silence, s, after which the leader counts as gone."""
HALF = 0.5
"""Of a gripper joint's travel, 0 open and 1 closed: beyond it the follower's closes."""


class Kinematics(Protocol):
    """Of the leader's arm."""

    def pose(self, q: NDArray) -> Pose: ...


Joints = Callable[[], NDArray | None]
"""The leader's newest joint angles (n,), rad, and one more for a gripper from 0 (open) to 1; None: nothing new."""


class Leader:
    """`joints` of an arm with `count` joints, looked at over one control period of `task`."""

    name = "leader"

    def __init__(
        self,
        kinematics: Kinematics,
        count: int,
        joints: Joints,
        task: TaskSpec,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kinematics, self._count, self._joints, self._clock = kinematics, count, joints, clock
        self._period = task.period
        self._scale = np.array([task.action.translation] * 3 + [task.action.rotation] * 3)
        self._poses: deque[tuple[float, Pose]] = deque()
        self._heard: float | None = None
        self._closed: bool | None = None

    def read(self) -> DeviceState:
        """As `Device.read`; at rest before the first joints have come."""
        now = self._clock()
        pressed: tuple[str, ...] = ()
        if (q := self._joints()) is not None:
            if len(q) not in (self._count, self._count + 1) or not np.isfinite(q).all():
                raise DeviceGone(
                    f"the leader says {len(q)} joints where its arm has {self._count} (and a gripper may be one more), "
                    "or one is not finite; name the right arm, or mend its driver."
                )
            self._heard = now
            self._poses.append((now, self._kinematics.pose(np.asarray(q[: self._count], float))))
            pressed = self._grip(q)
        if self._heard is not None and now - self._heard > GONE:
            raise DeviceGone(f"the leader has been silent for {GONE:g} s; is its driver alive?")
        while len(self._poses) > 1 and now - self._poses[1][0] >= self._period:
            self._poses.popleft()
        return DeviceState(self._moved(), frozenset(), pressed, heard=self._heard is not None)

    def close(self) -> None:
        """Nothing is held."""

    def _moved(self) -> NDArray[np.float32]:
        """How far the tool moved in a control period, as actions."""
        axes = at_rest()
        if len(self._poses) > 1:
            (began, first), (ended, last) = self._poses[0], self._poses[-1]
            share = self._period / max(ended - began, self._period)
            turn = spatial.log(spatial.multiply(last.quaternion, spatial.conjugate(first.quaternion)))
            axes[:] = share * np.concatenate([last.position - first.position, turn]) / self._scale
        return np.clip(axes, -1, 1)

    def _grip(self, q: NDArray) -> tuple[str, ...]:
        """`close` or `open` where the gripper's joint has crossed the middle."""
        if len(q) == self._count:
            return ()
        closed = bool(q[-1] > HALF)
        changed = self._closed is not None and closed != self._closed
        self._closed = closed
        return (("close" if closed else "open"),) if changed else ()
