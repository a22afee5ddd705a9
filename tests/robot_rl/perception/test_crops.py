import numpy as np
import pytest

from robot_rl.perception.crops import CONTRAST, SHIFT, make_crops, shift


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (100, 60, 3), np.uint8)


def test_the_first_is_the_picture_itself(picture):
    crops = make_crops(picture, 4, np.random.default_rng(1))
    assert crops.shape == (4, 100, 60, 3) and crops.dtype == np.uint8
    np.testing.assert_array_equal(crops[0], picture)
    assert all((crop != picture).any() for crop in crops[1:])


def test_one_crop_is_the_picture(picture):
    np.testing.assert_array_equal(make_crops(picture, 1, np.random.default_rng(1)), picture[None])


def test_the_same_draw_gives_the_same_crops(picture):
    first, second = (make_crops(picture, 4, np.random.default_rng((3, 5))) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert (make_crops(picture, 4, np.random.default_rng((3, 6))) != first).any()


def test_a_grey_picture_stays_grey_within_the_bounds():
    grey = np.full((64, 64, 3), 128, np.uint8)
    crops = make_crops(grey, 4, np.random.default_rng(0))
    for crop in crops:
        assert len(np.unique(crop)) == 1
        assert abs(int(crop[0, 0, 0]) - 128) <= 255 * CONTRAST + 2


def test_a_shift_moves_by_a_few_pixels_and_repeats_the_border():
    dot = np.zeros((100, 100, 3), np.uint8)
    dot[50, 50] = 255
    for crop in make_crops(dot, 4, np.random.default_rng(2))[1:]:
        row, column = np.unravel_index(crop[..., 0].argmax(), (100, 100))
        assert max(abs(row - 50), abs(column - 50)) <= round(SHIFT * 100)
        assert (crop == crop[0, 0]).all(axis=2).sum() == 100 * 100 - 1


def test_a_shift_moves_right_and_down_and_repeats_the_border():
    image = np.arange(5 * 6 * 3, dtype=np.uint8).reshape(5, 6, 3)
    moved = shift(image, 2, -1)
    assert np.array_equal(moved[:4, 2:], image[1:, :4])
    assert np.array_equal(moved[4, 2:], image[4, :4]) and np.array_equal(moved[:4, 0], image[1:, 0])
