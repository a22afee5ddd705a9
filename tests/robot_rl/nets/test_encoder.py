import jax
import jax.numpy as jnp
import numpy as np
import pytest

from robot_rl.nets.encoder import (
    EMBEDDINGS,
    LATENT,
    PAD,
    augment,
    convolve,
    init_convolutions,
    init_projections,
    input_size,
    join_features,
    random_choice,
    random_crop,
    unfold,
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


@pytest.mark.parametrize(("size", "stride"), [(4, 4), (3, 2), (3, 1)])
@pytest.mark.parametrize("shape", [(16, 16), (17, 30), (3, 5)])
def test_unfolding_and_a_product_are_the_convolution(size, stride, shape):
    x, kernel = jax.random.normal(KEY, (2, *shape, 3)), jax.random.normal(KEY, (size, size, 3, 5))
    expected = jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    np.testing.assert_allclose(unfold(x, size, stride) @ kernel.reshape(-1, 5), expected, rtol=1e-4, atol=1e-4)


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


MAPS = ObservationSpec((("pose", 3),), (), (("front_features", (3, 4, 4, 8)), ("wrist_features", (3, 4, 4, 8))))


def maps(batch, seed=0):
    rng = np.random.default_rng(seed)
    drawn = {name: rng.normal(size=(batch, *shape)).astype(np.float16) for name, shape in MAPS.features}
    return drawn | {"pose": rng.normal(size=(batch, 3)).astype(np.float32)}


def test_a_backbones_maps_are_read_as_spatial_embeddings_say():
    """One product over the batch is what the sums over the map and the layer behind them give one after the other."""
    seen = maps(5)
    convolutions, projections = init_convolutions(KEY, MAPS), init_projections(KEY, MAPS)
    joined = join_features(MAPS, projections, convolve(convolutions, seen), seen)
    assert joined.shape == (5, input_size(MAPS)) == (5, 3 + 2 * LATENT)
    for number, (name, layer) in enumerate(projections.items()):
        assert layer["embedding"].shape == (4, 4, 8, EMBEDDINGS)
        first = seen[name][:, 0].astype(np.float32)
        sums = np.einsum("bhwc,hwce->bce", first, layer["embedding"]).reshape(5, -1)
        x = sums @ layer["kernel"] + layer["bias"]
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
        np.testing.assert_allclose(joined[:, 3 + number * LATENT :][:, :LATENT], np.tanh(x), rtol=1e-4, atol=1e-5)


def test_nothing_but_the_head_is_learnt_on_maps():
    convolutions = init_convolutions(KEY, MAPS)
    assert jax.tree.leaves(convolutions) == [] and set(convolutions) == dict(MAPS.features).keys()


def test_acting_sees_the_plain_frame_and_learning_any_crop():
    seen = maps(200)
    features = convolve(init_convolutions(KEY, MAPS), seen)
    np.testing.assert_array_equal(features["front_features"], seen["front_features"][:, 0].reshape(200, -1))
    drawn = jax.jit(augment, static_argnums=1)(KEY, MAPS, seen)
    np.testing.assert_array_equal(drawn["pose"], seen["pose"])
    chosen = {}
    for name, crops in MAPS.features:
        assert drawn[name].shape == (200, *crops[1:]) and drawn[name].dtype == np.float16
        equal = (np.asarray(drawn[name])[:, None] == seen[name]).all((2, 3, 4))
        assert (equal.sum(1) == 1).all() and equal.sum(0).min() > 40
        chosen[name] = equal.argmax(1)
    assert 0.2 < np.mean(chosen["front_features"] == chosen["wrist_features"]) < 0.47


def test_one_crop_is_what_is_chosen_where_there_is_but_one():
    one = maps(4)["front_features"][:, :1]
    np.testing.assert_array_equal(random_choice(KEY, one), one[:, 0])
