import numpy as np
import pytest

from robot_rl.perception import FEATURES

pytest.importorskip("torch")
from robot_rl.perception.encoder import Perception


@pytest.fixture(scope="module")
def perception():
    return Perception("compact", 3, seed=5)


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return {name: rng.integers(0, 256, (128, 128, 3), np.uint8) for name in ("wrist", "front")}


def test_features_of_each_camera(perception, images):
    features = perception.encode(images, 7)
    assert features.keys() == images.keys()
    for maps in features.values():
        assert maps.shape == (3, *FEATURES) and maps.dtype == np.float16
        assert np.isfinite(maps).all() and maps.std() > 0.1
    assert (features["wrist"] != features["front"]).any()


def test_a_tick_gives_the_same_whoever_asks(perception, images):
    other = Perception("compact", 3, seed=5)
    backwards = dict(reversed(images.items()))
    assert other.fingerprint == perception.fingerprint
    first, second = perception.encode(images, 7), other.encode(backwards, 7)
    for name in images:
        np.testing.assert_array_equal(first[name], second[name])


def test_only_the_crops_depend_on_the_tick(perception, images):
    first, second = perception.encode(images, 7)["wrist"], perception.encode(images, 8)["wrist"]
    np.testing.assert_allclose(first[0], second[0], atol=2e-2)
    assert np.abs(first[1:].astype(float) - second[1:]).max() > 0.1


def test_pictures_of_several_sizes(perception, images):
    mixed = images | {"front": images["front"][:96]}
    features = perception.encode(mixed, 7)
    np.testing.assert_allclose(features["wrist"][0], perception.encode(images, 7)["wrist"][0], atol=2e-2)
    assert features["front"].shape == (3, *FEATURES)
