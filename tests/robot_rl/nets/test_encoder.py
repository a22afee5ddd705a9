import jax
import jax.numpy as jnp
import numpy as np
import pytest

from robot_rl.nets.encoder import (
    PAD,
    augment,
    convolve,
    init_convolutions,
    init_projections,
    input_size,
    join_features,
    random_crop,
)
from robot_rl.nets.observation import ObservationSpec

KEY = jax.random.PRNGKey(0)


@pytest.mark.parametrize("shape", [(16, 16, 3), (20, 36, 1)])
def test_any_image_size_gives_bounded_features(shape):
    spec = ObservationSpec((("pose", 3),), (("front", shape), ("wrist", (16, 16, 3))))
    rng = np.random.default_rng(0)
    observation = {
        "pose": np.ones((2, 3), np.float32),
        "front": rng.integers(0, 255, (2, *shape), np.uint8),
        "wrist": rng.integers(0, 255, (2, 16, 16, 3), np.uint8),
    }

    @jax.jit
    def encode(key):
        features = convolve(init_convolutions(key, spec), observation)
        return join_features(spec, init_projections(key, spec), features, observation)

    joined = encode(KEY)
    assert joined.shape == (2, input_size(spec)) == (2, 3 + 50 + 50)
    np.testing.assert_array_equal(joined[:, :3], 1)
    assert np.abs(joined[:, 3:]).max() <= 1
    assert not np.allclose(joined[0], joined[1])


def test_crops_are_shifts_within_the_pad():
    image = np.arange(12 * 12).reshape(12, 12, 1).astype(np.uint8)
    padded = np.pad(image, ((PAD, PAD), (PAD, PAD), (0, 0)), mode="edge")
    shifts = {padded[y : y + 12, x : x + 12].tobytes() for y in range(2 * PAD + 1) for x in range(2 * PAD + 1)}
    crops = np.asarray(jax.jit(random_crop)(KEY, jnp.asarray(np.stack([image] * 50))))
    seen = {crop.tobytes() for crop in crops}
    assert seen <= shifts
    assert len(seen) > 20


def test_augment_leaves_vectors_alone():
    spec = ObservationSpec((("pose", 3),))
    observation = {"pose": np.ones((2, 3), np.float32)}
    np.testing.assert_array_equal(augment(KEY, spec, observation)["pose"], observation["pose"])
