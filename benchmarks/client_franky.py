"""Joint motions to and fro with franky, for `benchmarks.emulators`: prints robot time and wall time of them, s.

A process of its own, since franky and pylibfranka cannot be imported together.
"""

from __future__ import annotations

import json
import sys
import time

import franky
import numpy as np

STEP = np.array([0.3, -0.1, 0.2, 0.1, 0.2, 0.1, 0.2])


def run(address: str, seconds: float) -> tuple[float, float]:
    """Move for at least so many seconds of robot time."""
    robot = franky.Robot(address, realtime_config=franky.RealtimeConfig.Ignore)
    robot.relative_dynamics_factor = 0.1
    robot.set_collision_behavior(80.0, 80.0)
    home = np.array(robot.state.q)
    moved, spent, side = 0.0, 0.0, 1.0
    while moved < seconds:
        before, start = robot.state.time.to_sec(), time.perf_counter()
        robot.move(franky.JointMotion(home + 0.5 * (1.0 + side) * STEP))
        moved += robot.state.time.to_sec() - before
        spent += time.perf_counter() - start
        side = -side
    return moved, spent


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1], float(sys.argv[2]))))
