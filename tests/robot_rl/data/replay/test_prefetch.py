import threading

import jax
import numpy as np
import pytest

from robot_rl.data.replay import Prefetcher, Replay, Sampler
from tests.robot_rl.data.replay.truth import ACTIONS, SPEC, World


def sampler(seed=0):
    world, replay, rng = World(), Replay(SPEC, ACTIONS, 40, stack=2, n_step=2), np.random.default_rng(0)
    for _ in range(60):
        replay.add(world.any_step(rng))
    return Sampler({"only": (replay, 1.0)}, seed)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_batches_and_random_state_are_those_without(count):
    ahead, plain = sampler(), sampler()
    batches = list(Prefetcher(ahead, count, 2, 8))
    assert len(batches) == count
    for batch in batches:
        jax.tree.map(np.testing.assert_array_equal, batch, plain.sample(2, 8))
        assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(batch))
    assert ahead.rng.bit_generator.state == plain.rng.bit_generator.state


def test_one_batch_is_gathered_ahead_and_no_more():
    source, drawn, go_on = sampler(), [], threading.Semaphore(0)
    sample = source.sample

    def counted(*shape):
        drawn.append(shape)
        go_on.release()
        return sample(*shape)

    source.sample = counted
    batches = iter(Prefetcher(source, 4, 1, 8))
    next(batches)
    for _ in range(2):
        assert go_on.acquire(timeout=60)
    assert len(drawn) == 2
    assert len(list(batches)) == 3 and len(drawn) == 4


def test_what_fails_in_the_thread_fails_here():
    with pytest.raises(ValueError, match="nothing to draw from"):
        next(iter(Prefetcher(Sampler({"empty": (Replay(SPEC, ACTIONS, 5), 1.0)}, 0), 3, 1, 8)))


def test_a_batch_does_not_change_when_the_replay_does():
    source = sampler()
    (batch,) = Prefetcher(source, 1, 1, 8)
    before = jax.tree.map(np.array, batch)
    world, rng = World(1000), np.random.default_rng(1)
    for _ in range(100):
        source.sources["only"][0].add(world.any_step(rng))
    jax.tree.map(np.testing.assert_array_equal, batch, before)
