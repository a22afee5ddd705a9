"""The next batch is gathered and on its way to the device while the learner works on this one."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import jax

from robot_rl.data.replay.batch import Batch
from robot_rl.data.replay.sampler import Sampler


class Prefetcher:
    """`count` batches of (slices, batch, ...) on the device, the very ones that `count` calls of `sample` give.

    One batch ahead and no further, so that memory holds two, and none is drawn beyond the last: whoever adds
    transitions after the last batch gets the same numbers as without.
    """

    def __init__(self, sampler: Sampler, count: int, slices: int, batch: int) -> None:
        self._sampler, self._count, self._shape = sampler, count, (slices, batch)

    def __iter__(self) -> Iterator[Batch]:
        """Batches, whose arrays are JAX's. The replays must not be added to meanwhile."""
        with ThreadPoolExecutor(1, thread_name_prefix="prefetch") as thread:
            ahead = thread.submit(self._draw)
            for _ in range(self._count - 1):
                batch, ahead = ahead.result(), thread.submit(self._draw)
                yield batch
            yield ahead.result()

    def _draw(self) -> Batch:
        batch = jax.device_put(self._sampler.sample(*self._shape))
        return Batch(*jax.block_until_ready(batch))
