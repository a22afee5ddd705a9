import numpy as np
import pytest

from controllers.cameras import CameraConfig, Intrinsics
from controllers.cameras.processing import check_shape, process, process_depth, process_intrinsics
from controllers.exceptions import CameraError

CONFIG = CameraConfig(width=16, height=8, rate=30, crop=(4, 0, 8, 8), size=(4, 4))


def test_each_pixel_is_the_mean_of_those_that_it_covers():
    image = np.random.default_rng(0).integers(0, 256, (8, 16, 3), dtype=np.uint8)
    expected = image[:, 4:12].reshape(4, 2, 4, 2, 3).mean(axis=(1, 3))
    shrunk = process(image, CONFIG)
    assert shrunk.shape == CONFIG.shape and shrunk.dtype == np.uint8
    assert np.abs(shrunk - expected).max() <= 0.5


def test_a_picture_that_is_only_cut_is_a_copy():
    image = np.zeros((8, 16, 3), np.uint8)
    cut = process(image, CameraConfig(width=16, height=8, crop=(1, 2, 3, 4)))
    cut[:] = 7
    assert cut.shape == (4, 3, 3) and not image.any()


def test_depth_is_taken_from_one_pixel_and_nothing_measured_is_nan():
    depth = np.zeros((8, 16), np.uint16)
    depth[:, 6:] = 1500
    shrunk = process_depth(depth, 0.001, CONFIG)
    assert shrunk.shape == (4, 4) and shrunk.dtype == np.float32
    np.testing.assert_allclose(shrunk[0], [np.nan, 1.5, 1.5, 1.5], rtol=1e-6)


def test_the_pinhole_sees_the_same_ray_through_the_same_spot():
    whole = Intrinsics(16, 8, 20.0, 22.0, 7.5, 3.5)
    part = process_intrinsics(whole, CONFIG)
    point = np.array([0.05, -0.02, 0.4])

    def pixel(pinhole):
        return (
            pinhole.fx * point[0] / point[2] + pinhole.cx,
            pinhole.fy * point[1] / point[2] + pinhole.cy,
        )

    across, down = pixel(whole)
    # a spot's distance from the picture's corner, which is half a pixel before the first centre
    np.testing.assert_allclose(pixel(part), ((across + 0.5 - 4) / 2 - 0.5, (down + 0.5) / 2 - 0.5))
    assert (part.width, part.height) == (4, 4)


def test_another_size_than_stated_is_refused_with_the_true_one():
    with pytest.raises(CameraError, match="camera wrist delivers 32 x 8, .* set width: 32 and height: 8"):
        check_shape(np.zeros((8, 32, 3), np.uint8), CONFIG, "wrist")
