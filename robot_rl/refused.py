"""Updates that were refused because they made numbers that are not finite: counted, and kept to look at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import safetensors.numpy
from jax import Array
from numpy.typing import NDArray

from robot_rl.agents.guard import REFUSED
from robot_rl.data.replay import Batch
from robot_rl.disk import disk_errors
from robot_rl.exceptions import DataError

KEPT = 3
"""Batches kept of a run, one of a block at most."""
ROW = 100
"""Refusals one after the other that end a run: nothing is learnt any more."""


class Refusals:
    """Looks at every update of a run. folder: where batches are kept, `BLOCK.safetensors`; None: nowhere.

    total: updates refused by this learner. notice: of the last one whose batch was kept, a sentence for a person.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self.total = 0
        self.notice = ""
        self._row = self._kept = 0
        self._last = -1  # block of the batch kept last
        if folder is not None:
            self._kept = len(list(folder.glob("*.safetensors")))

    def look(self, block: int, batch: Batch, metrics: Mapping[str, Array]) -> bool:
        """Whether the update of `block` on `batch` was taken. DataError: it is the last of too many that were not."""
        if not float(metrics[REFUSED]):
            self._row = 0
            return True
        self.total, self._row = self.total + 1, self._row + 1
        if self._kept < KEPT and block != self._last:
            self._keep(block, batch)
        if self._row >= ROW:
            raise DataError(
                f"{self._row} updates one after the other were refused, the last because {why(batch)}; "
                f"batches are kept in {self._folder or 'no folder'}: mend what made them, then go on with --resume"
            )
        return False

    def _keep(self, block: int, batch: Batch) -> None:
        self._kept, self._last = self._kept + 1, block
        self.notice = f"block {block}: an update was refused because {why(batch)}; the agent stays as it was before"
        if self._folder is None:
            return
        path = self._folder / f"{block:06d}.safetensors"
        with disk_errors(path):
            self._folder.mkdir(parents=True, exist_ok=True)
            path.write_bytes(safetensors.numpy.save(dict(_arrays(batch)), {"why": why(batch)}))
        self.notice += f", and its batch is kept in {path}"


def why(batch: Batch) -> str:
    """What is wrong, as far as the batch shows it."""
    parts = []
    for name, array in _arrays(batch):
        if odd := array.size - np.count_nonzero(np.isfinite(array)):
            parts.append(f"{name} is not finite in {odd:,} of {array.size:,} numbers")
    return " and ".join(parts) or "a loss or gradient overflowed on a batch that is finite (lower the learning_rate?)"


def _arrays(batch: Batch) -> Iterator[tuple[str, NDArray]]:
    """Every array by its name, such as `observation/tool_wrench`."""
    for field, value in batch._asdict().items():
        if isinstance(value, dict):
            yield from ((f"{field}/{name}", np.asarray(array)) for name, array in value.items())
        else:
            yield field, np.asarray(value)
