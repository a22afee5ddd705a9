"""Independent seeds of one run: the same (seed, purpose, index) gives the same draw on any machine."""

from __future__ import annotations

import uuid
import zlib

import numpy as np


def derive(seed: int, purpose: str, index: int = 0) -> int:
    """A seed in [0, 2^31) for draw `index` of `purpose` (`train`, `demos`, `eval`, ...)."""
    sequence = np.random.SeedSequence([seed, zlib.crc32(purpose.encode()), index])
    return int(sequence.generate_state(1)[0]) & 0x7FFFFFFF


def episode_id(run: str, actor: str, index: int) -> str:
    """The UUID of an actor's episode `index` in the run of that UUID: of no other run, with the same seed neither."""
    return str(uuid.uuid5(uuid.UUID(run), f"{actor}/{index}"))
