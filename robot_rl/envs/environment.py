"""What the actor and the evaluation need of an environment, be it a robot's or anybody's."""

from __future__ import annotations

from typing import Any, Protocol

from numpy.typing import NDArray

Look = Any
"""What shows a moment later: a picture (h, w, 3) uint8, or whatever its environment makes one from."""


class Environment(Protocol):
    """A task to act in. Observations are named arrays; actions are in [-1, 1].

    `info` of reset and step holds `stamp` (s, of the observation), `success` (None: nobody tells), `clamped`
    (float32 (2,)), and `fault` where the robot latched.
    """

    @property
    def name(self) -> str:
        """Of the task."""

    @property
    def action_dim(self) -> int:
        """Numbers in an action."""

    @property
    def period(self) -> float:
        """Of a step, s."""

    @property
    def reading(self) -> Any:
        """What lies behind the last observation: SI units of a robot, or an environment's own observation."""

    def reset(self, *, seed: int | None = None) -> tuple[dict[str, NDArray], dict[str, Any]]: ...

    def step(self, action: NDArray) -> tuple[dict[str, NDArray], float, bool, bool, dict[str, Any]]: ...

    def verified(self) -> bool:
        """Whether a success is a true one, as far as anybody can tell."""

    def look(self) -> Look | None:
        """This moment, for `show`; None where nothing can be seen."""

    def show(self, look: Look) -> NDArray:
        """A picture (h, w, 3) uint8. Raises `RenderingError`."""

    def close(self) -> None: ...
