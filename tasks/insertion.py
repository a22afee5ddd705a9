"""What tasks share in which something held goes into a socket whose true place is hidden.

In their scenes the mocap body `socket` has the site `socket_rim`, the centre of its rim with z up, and what is held
has the site `plug_tip`, whose axes are the tool's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from controllers import spatial
from controllers.interface import Array, Pose, Reading
from tasks.expert import Noise, steer
from tasks.spec import Randomise, TaskSpec

if TYPE_CHECKING:
    import mujoco


def hide_socket(rim: Array, offset: float, tilt: float, turn: float = 0.0) -> Randomise:
    """An episode's draw: the socket moved from `rim` by up to `offset` m in x and y.

    tilt, turn: rad at most, out of the vertical and about it.
    Only what is hidden is drawn, so that a socket that is not turned is drawn as ever.
    """

    def randomise(model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator) -> None:
        mocap = int(model.body("socket").mocapid[0])
        lean = np.append(rng.uniform(-1, 1, 2) * tilt / np.sqrt(2), 0.0)
        data.mocap_pos[mocap] = rim + np.append(rng.uniform(-offset, offset, 2), 0.0)
        if turn:
            lean[2] = rng.uniform(-turn, turn)
        x, y, z, w = spatial.exp(lean)
        data.mocap_quat[mocap] = w, x, y, z

    return randomise


def sim(model: mujoco.MjModel, data: mujoco.MjData) -> Mapping[str, Array]:
    """The rim in base, and the plug's tip in the socket's frame: x, y lateral and depth below the rim, m.

    plug_turn: rad about the tool's z by which the plug is turned from the socket.
    """
    socket, tip = data.site("socket_rim"), data.site("plug_tip")
    frame = socket.xmat.reshape(3, 3)
    local = frame.T @ (tip.xpos - socket.xpos)
    along = frame.T @ tip.xmat.reshape(3, 3)[:, 0]
    return {
        "socket_position": socket.xpos.copy(),
        "plug_lateral": local[:2].copy(),
        "plug_depth": np.array([-local[2]]),
        "plug_turn": np.array([-np.arctan2(along[1], along[0])]),
    }


class InsertExpert:
    """Goes above the true socket, turned as it is, then down; it reads `sim/*`, as a person with eyes would.

    tip: from the tool point to the plug's tip, depth: of the socket, m. aligned: m and rad within which it goes down.
    """

    ABOVE = 0.006
    ENTERED = 0.001

    def __init__(self, task: TaskSpec, tip: float, depth: float, aligned: tuple[float, float] = (0.001, 0.03)) -> None:
        self._task, self._noise = task, Noise()
        self._tip, self._depth, self._aligned = tip, depth, aligned

    def reset(self, rng: np.random.Generator) -> None:
        self._noise.reset(rng)

    def act(self, reading: Reading) -> Array:
        tool, turn = reading.arm.pose, float(reading.sim["plug_turn"][0])
        aside = float(np.linalg.norm(reading.sim["plug_lateral"]))
        aligned = aside < self._aligned[0] and abs(turn) < self._aligned[1]
        entered = float(reading.sim["plug_depth"][0]) > self.ENTERED
        height = self._tip - self._depth if entered or aligned else self._tip + self.ABOVE
        goal = Pose(
            reading.sim["socket_position"] + np.array([0.0, 0.0, height]),
            spatial.multiply(tool.quaternion, spatial.exp(np.array([0.0, 0.0, -turn]))),
        )
        return self._noise.add(steer(self._task.action, tool, goal))
