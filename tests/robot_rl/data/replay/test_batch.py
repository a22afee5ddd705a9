import jax
import numpy as np

from robot_rl.data.replay.batch import ALIGNMENT, empty_batch
from tests.robot_rl.data.replay.truth import SPEC


def test_arrays_have_the_right_form_and_do_not_overlap():
    batch = empty_batch(SPEC, 3, (2, 5))
    shapes = {name: (2, 5, *value.shape) for name, value in SPEC.example().items()}
    for where in (batch.observation, batch.next_observation):
        assert {name: array.shape for name, array in where.items()} == shapes
        assert {name: array.dtype for name, array in where.items()} == {n: v.dtype for n, v in SPEC.example().items()}
    assert batch.action.shape == (2, 5, 3)
    assert batch.reward.shape == batch.terminated.shape == batch.discount.shape == (2, 5)
    leaves = jax.tree.leaves(batch)
    for number, leaf in enumerate(leaves):
        leaf[:] = number
    for number, leaf in enumerate(leaves):
        assert (leaf == number).all() and leaf.ctypes.data % ALIGNMENT == 0


def test_jax_uses_the_arrays_as_they_are_on_a_cpu():
    batch = empty_batch(SPEC, 3, (64,))
    batch.reward[:] = 1.5
    cpu = jax.local_devices(backend="cpu")[0]
    assert jax.device_put(batch.reward, cpu).unsafe_buffer_pointer() == batch.reward.ctypes.data


def test_map_changes_every_array():
    batch = empty_batch(SPEC, 3, (4, 6)).map(lambda array: array[1, 2:5])
    assert all(leaf.shape[0] == 3 for leaf in jax.tree.leaves(batch))
    np.testing.assert_array_equal(len(jax.tree.leaves(batch)), 2 * len(SPEC.arrays) + 4)
