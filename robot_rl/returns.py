"""How good the policy is, as the learner can tell: the returns of the last episodes that it heard of to their end."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from robot_rl.data.transition import Transition

EPISODES = 10
"""Episodes that a mean is taken over: few enough to follow the policy, enough to tell policies apart."""


class Returns:
    """Sums of recorded rewards, per episode; an episode that was cut off counts for nothing."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[str, int, float]] = {}  # actor: episode, its next step, rewards so far
        self._last: deque[float] = deque(maxlen=EPISODES)

    @property
    def mean(self) -> float | None:
        """Over the last `EPISODES` episodes; None before there are so many."""
        return sum(self._last) / EPISODES if len(self._last) == EPISODES else None

    def add(self, transition: Transition) -> None:
        """Take in an actor's next step."""
        episode, step, total = self._open.pop(transition.actor, ("", 0, 0.0))
        if transition.step == 0:
            total = 0.0
        elif (episode, step) != (transition.episode, transition.step):
            return  # its beginning was not seen
        total += float(transition.reward)
        if transition.terminated or transition.truncated:
            self._last.append(total)
        else:
            self._open[transition.actor] = (transition.episode, transition.step + 1, total)

    def save(self) -> dict[str, Any]:
        """What JSON can hold, for `restore`."""
        return {"open": self._open, "last": list(self._last)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `save` gave."""
        self._open = {str(a): (str(episode), int(n), float(r)) for a, (episode, n, r) in state["open"].items()}
        self._last = deque((float(total) for total in state["last"]), maxlen=EPISODES)
