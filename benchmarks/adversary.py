"""Commands that no sane program would send, for the safety benchmark: extreme, broken, late, duplicated, foreign.

Some use the arm's own state against it: they push along its motion, or back and forth, with the stiffest springs and
the least damping that are let through.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from controllers import spatial
from controllers.exceptions import ArmLatched, CommandRejected
from controllers.interface import OWNERS, Array, Pose, PoseTarget
from controllers.twin import TwinCell

BROKEN = (np.nan, np.inf, -np.inf, 1e300)


class Adversary:
    """Sends one command after the other to a cell; everything it draws comes from `rng`.

    sent: commands by kind. refused: by the filter.
    """

    def __init__(self, cell: TwinCell, rng: np.random.Generator) -> None:
        self._cell, self._rng = cell, rng
        self._owner, self._sequence = "policy", 0
        self.sent: Counter[str] = Counter()
        self.refused = 0
        self._kinds: dict[str, Callable[[], None]] = {
            "sane": self._sane,
            "anywhere": self._anywhere,
            "huge": self._huge,
            "corner": self._corner,
            "along": self._along,
            "against": self._against,
            "twist": self._twist,
            "broken": self._broken,
            "quaternion": self._quaternion,
            "duplicate": self._duplicate,
            "foreign": self._foreign,
            "handover": self._handover,
            "released": self._released,
            "stop": self._stop,
            "silence": lambda: None,
        }
        weights = {"anywhere": 3, "corner": 3, "along": 4, "against": 3, "twist": 2, "stop": 0.3}
        odds = np.array([float(weights.get(kind, 1)) for kind in self._kinds])
        self._odds = odds / odds.sum()

    def start(self) -> None:
        """Take the arm."""
        self._cell.acquire(self._owner)

    def command(self) -> None:
        """One command; a refused one is counted. An arm that an earlier one stopped is recovered before, or later."""
        if self._cell.controller.state == "latched" and self._rng.random() < 0.5:
            self._cell.recover()
        kind = str(self._rng.choice(list(self._kinds), p=self._odds))
        self.sent[kind] += 1
        try:
            self._kinds[kind]()
        except (CommandRejected, ArmLatched):
            self.refused += 1

    # Poses and gains.

    def _send(self, position: Array, quaternion: Array, **fields: Any) -> None:
        self._sequence += 1
        width = None if self._rng.random() < 0.7 else float(self._rng.choice([0.0, 0.08, -1.0, 9.0]))
        target = PoseTarget(Pose(position, quaternion), self._sequence)
        self._cell.command(replace(target, **fields), width)

    def _rotation(self, spread: float) -> Array:
        turned: Array = spatial.multiply(
            self._cell.task.start.quaternion, spatial.exp(spread * self._rng.standard_normal(3))
        )
        return turned

    def _inside(self) -> Array:
        box = self._cell.task.workspace
        return self._rng.uniform(box.low, box.high)

    def _gains(self) -> dict[str, Any]:
        """Any gains that the arm allows, the extremes often."""
        rng, arm = self._rng, self._cell.controller.arm
        bound = np.repeat(10.0 ** rng.uniform(-3, 3, 2), 3)
        share = rng.uniform(0, 1, 6) if rng.random() < 0.5 else rng.integers(0, 2, 6).astype(float)
        least = rng.uniform(0, 1, 6) if rng.random() < 0.5 else np.full(6, float(rng.integers(0, 2)))
        gains: dict[str, Any] = {
            "stiffness": np.repeat(arm.stiffness, 3) * share,
            "damping": np.repeat(arm.damping, 3) * least,
            "clip": np.concatenate([-bound, bound]),
        }
        return {name: value for name, value in gains.items() if rng.random() < 0.8}

    def _fierce(self) -> dict[str, Any]:
        """The stiffest springs, a clip that never acts, and no damping."""
        arm = self._cell.controller.arm
        wide = np.full(6, 1e6)
        damping = {} if self._rng.random() < 0.5 else {"damping": np.zeros(6)}
        return {"stiffness": np.repeat(arm.stiffness, 3), "clip": np.concatenate([-wide, wide]), **damping}

    def _sane(self) -> None:
        self._send(self._inside(), self._rotation(0.1))

    def _anywhere(self) -> None:
        self._send(self._rng.normal(0, 1, 3), self._rotation(2.0), **self._gains())

    def _huge(self) -> None:
        far = self._rng.standard_normal(3) * 10.0 ** self._rng.uniform(0, 300)
        self._send(far, self._rotation(9.0), **self._gains())

    def _corner(self) -> None:
        box = self._cell.task.workspace
        at = np.where(self._rng.random(3) < 0.5, box.low, box.high)
        self._send(at, self._rotation(1.0), **(self._fierce() if self._rng.random() < 0.5 else self._gains()))

    # The arm's own state.

    def _push(self, sign: float) -> None:
        arm = self._cell.read().arm
        speed, spin = arm.twist[:3], arm.twist[3:]
        position = arm.pose.position + sign * speed / max(float(np.linalg.norm(speed)), 1e-6)
        turn = sign * 1.5 * spin / max(float(np.linalg.norm(spin)), 1e-6)
        self._send(position, spatial.multiply(spatial.exp(turn), arm.pose.quaternion), **self._fierce())

    def _along(self) -> None:
        self._push(1.0)

    def _against(self) -> None:
        self._push(-1.0)

    def _twist(self) -> None:
        arm = self._cell.read().arm
        twist = self._rng.standard_normal(6) * 10.0 ** self._rng.uniform(-1, 2)
        at = self._inside() if self._rng.random() < 0.5 else arm.pose.position
        self._send(at, self._rotation(0.3), twist=twist, **self._gains())

    # What is refused.

    def _broken(self) -> None:
        rng, worst = self._rng, float(self._rng.choice(BROKEN))
        fields: dict[str, Any] = {"frame": "tool"}
        position, quaternion = self._inside(), self._rotation(0.1)
        where = rng.choice(["position", "quaternion", "stiffness", "damping", "clip", "twist", "frame"])
        if where == "position":
            position[rng.integers(3)] = worst
        elif where == "quaternion":
            quaternion[rng.integers(4)] = worst
        elif where != "frame":
            vector = rng.standard_normal(12 if where == "clip" else 6)
            vector[rng.integers(6)] = worst
            fields = {where: vector}
        self._send(position, quaternion, **(fields if where not in ("position", "quaternion") else {}))

    def _quaternion(self) -> None:
        self._send(self._inside(), self._rotation(1.0) * self._rng.choice([0.0, 0.5, 0.9995, 1.0005, 1.1, -1.0]))

    def _duplicate(self) -> None:
        self._sequence -= int(self._rng.integers(1, 5))
        self._anywhere()

    def _foreign(self) -> None:
        other = str(self._rng.choice([*OWNERS, "nobody", ""]))
        self._sequence += 1
        pose = Pose(self._inside(), self._rotation(1.0))
        self._cell.controller.submit(other, PoseTarget(pose, self._sequence, enabled=bool(self._rng.random() < 0.5)))

    # What changes hands.

    def _handover(self) -> None:
        self._owner = str(self._rng.choice(OWNERS))
        self._cell.acquire(self._owner)
        if self._rng.random() < 0.5:
            self._corner()

    def _released(self) -> None:
        self._send(self._inside(), self._rotation(1.0), enabled=False)

    def _stop(self) -> None:
        if self._rng.random() < 0.5:
            self._cell.controller.fault("a reflex, as if the robot had one")
        else:
            self._cell.stop()
        if self._rng.random() < 0.5:
            self._cell.recover()
