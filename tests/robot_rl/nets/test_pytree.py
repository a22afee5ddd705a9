import jax.numpy as jnp
import numpy as np
import pytest

from robot_rl.exceptions import DataError
from robot_rl.nets.pytree import from_named_leaves, named_leaves

TREE = {"mlp": [{"kernel": jnp.ones((2, 3)), "bias": jnp.zeros(3)}], "count": jnp.int32(4)}


def test_round_trip_is_exact():
    arrays = named_leaves(TREE)
    assert set(arrays) == {"mlp/0/kernel", "mlp/0/bias", "count"}
    back = from_named_leaves(TREE, arrays)
    np.testing.assert_array_equal(back["mlp"][0]["kernel"], TREE["mlp"][0]["kernel"])
    assert back["count"] == 4 and back["count"].dtype == jnp.int32


@pytest.mark.parametrize(
    "change, words",
    [
        ({"mlp/0/kernel": np.ones((3, 2), np.float32)}, "'mlp/0/kernel'"),
        ({"count": np.float32(4)}, "'count'"),
        ({"extra": np.ones(1)}, "'extra' is missing or left over"),
    ],
)
def test_what_does_not_fit_is_named(change, words):
    with pytest.raises(DataError, match=words):
        from_named_leaves(TREE, named_leaves(TREE) | change)
    arrays = named_leaves(TREE)
    del arrays["count"]
    with pytest.raises(DataError, match="'count' is missing"):
        from_named_leaves(TREE, arrays)
