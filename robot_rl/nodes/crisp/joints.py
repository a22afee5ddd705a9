"""Joint angles as the safety filter takes them: the tool pose that they mean, and the posture to reach it in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sensor_msgs.msg import JointState

from controllers import spatial
from controllers.exceptions import CommandRejected
from controllers.interface import ArmState, Array, Pose
from controllers.kinematics import Kinematics
from controllers.models import MODELS, ArmModel


class Joints:
    """One arm's joints. names: of `ArmState.q`; prefix: that a client may put before them (`left_`)."""

    def __init__(self, names: Sequence[str], prefix: str = "") -> None:
        self.names, self._prefix = tuple(names), prefix
        self._kinematics = next((Kinematics(model) for model in MODELS.values() if self._is(model)), None)

    def _is(self, model: ArmModel) -> bool:
        """Whether these are the joints of `model`, with whatever tells arms of one cell apart before their names."""
        known = model.joint_names()
        return len(self.names) == len(known) and all(map(str.endswith, self.names, known))

    def ordered(self, names: Sequence[str], values: Sequence[float]) -> Array:
        """`values` (n,) in our order. Raises `CommandRejected` where joints or numbers are missing or strange."""
        given = dict(zip((name.removeprefix(self._prefix) for name in names), values, strict=False))
        given |= dict(zip(names, values, strict=False))
        missing = [name for name in self.names if name not in given]
        if missing or len(names) != len(self.names):
            raise CommandRejected(
                f"the target is for joints {', '.join(names) or '(none)'}, the arm has {', '.join(self.names)}."
            )
        angles = np.array([given[name] for name in self.names], dtype=float)
        if not np.isfinite(angles).all():
            raise CommandRejected(f"the joint target is {angles}: give finite numbers.")
        return angles

    def of(self, message: JointState) -> Array:
        """The angles (n,) of a message, in our order. Raises `CommandRejected`."""
        return self.ordered(message.name, message.position)

    def pose(self, angles: Array, arm: ArmState) -> Pose:
        """Tool pose in base at `angles` (n,); the tool on the flange is where `arm` measures it to be.

        Raises `CommandRejected` for an arm whose kinematics are not known.
        """
        if self._kinematics is None:
            raise CommandRejected(f"the kinematics of an arm with joints {', '.join(self.names)} are not known.")
        here, there = self._kinematics.pose(arm.q), self._kinematics.pose(angles)
        turn = spatial.multiply(there.quaternion, spatial.conjugate(here.quaternion))
        offset = arm.pose.position - here.position
        return Pose(
            there.position + spatial.rotate(turn, offset),
            spatial.normalise(spatial.multiply(turn, arm.pose.quaternion)),
        )
