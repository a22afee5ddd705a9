"""Replay: what the learner draws its batches from."""

from robot_rl.data.replay.batch import Batch
from robot_rl.data.replay.prefetch import Prefetcher
from robot_rl.data.replay.replay import Replay
from robot_rl.data.replay.sampler import Sampler

__all__ = ["Batch", "Prefetcher", "Replay", "Sampler"]
