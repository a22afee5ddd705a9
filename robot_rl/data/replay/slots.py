"""Numbers of slots: given out, counted while something refers to them, and given out again."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Slots:
    """Slot numbers from 0. One that nothing holds any more is free again; the longest free one is taken first.

    kept: of so many last saves, what they refer to is not given out again; it waits until newer saves replace them.
    """

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self.used = 0  # lower numbers were given out at some time
        self.saves = 0
        self._holders = array("i")
        self._born = array("i")  # how many saves there were when the slot was taken
        self._free: deque[int] = deque()
        self._waiting: deque[tuple[int, int]] = deque()  # slots, and the last save that refers to each

    @property
    def waiting(self) -> int:
        """How many slots nothing but a save refers to."""
        return len(self._waiting)

    @property
    def busy(self) -> int:
        """How many slots are not free."""
        return self.used - len(self._free)

    def take(self, count: int) -> tuple[int, ...]:
        """Slots that nothing holds yet; whoever fails to use them must `give_back`."""
        while len(self._free) < count:
            self._free.append(self.used)
            self._holders.append(0)
            self._born.append(0)
            self.used += 1
        taken = tuple(self._free.popleft() for _ in range(count))
        for slot in taken:
            self._born[slot] = self.saves
        return taken

    def give_back(self, slots: tuple[int, ...]) -> None:
        """Undo the last `take`."""
        self._free.extendleft(reversed(slots))

    def hold(self, slots: Iterable[int]) -> None:
        """Count one more holder of each."""
        for slot in slots:
            self._holders[slot] += 1

    def drop(self, slots: Iterable[int]) -> None:
        """Count one holder less of each."""
        for slot in slots:
            self._holders[slot] -= 1
            if not self._holders[slot]:
                self._release(slot)

    def _release(self, slot: int) -> None:
        if self._kept and self._born[slot] < self.saves:
            self._waiting.append((slot, self.saves))
        else:
            self._free.append(slot)

    def save(self) -> tuple[dict[str, NDArray], dict[str, Any]]:
        """Count a save; what to restore from."""
        self.saves += 1
        while self._waiting and self._waiting[0][1] <= self.saves - self._kept:
            self._free.append(self._waiting.popleft()[0])
        waiting = np.array(self._waiting, np.int32).reshape(-1, 2)
        return {"free": np.array(self._free, np.int32), "waiting": waiting}, {"used": self.used, "saves": self.saves}

    def restore(self, arrays: dict[str, NDArray], state: dict[str, Any], held: NDArray[np.int32]) -> None:
        """Take back what `save` gave. held: the slots that are held, as often as they are."""
        self.used, self.saves = int(state["used"]), int(state["saves"])
        self._holders = array("i", np.bincount(held, minlength=self.used).astype(np.int32).tobytes())
        self._born = array("i", bytes(4 * self.used))
        self._free = deque(arrays["free"].tolist())
        self._waiting = deque((int(slot), int(save)) for slot, save in arrays["waiting"])
