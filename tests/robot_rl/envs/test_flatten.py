import numpy as np
import pytest
from gymnasium import spaces

from robot_rl.envs.flatten import Actions, Flattened
from robot_rl.exceptions import ConfigError


def flat(space, value):
    return Flattened.of(space, "gym:X")(value)


def test_a_box_of_any_float_or_integer_becomes_one_float32_vector():
    box = spaces.Box(-np.inf, np.inf, (2, 3), np.float64)
    found = flat(box, np.arange(6.0).reshape(2, 3) + 0.5)
    assert list(found) == ["state"] and found["state"].dtype == np.float32
    np.testing.assert_array_equal(found["state"], np.arange(6) + 0.5)
    assert flat(spaces.Box(0, 9, (), np.int64), np.int64(7))["state"].tolist() == [7.0]
    memory = flat(spaces.Box(0, 255, (4,), np.uint8), np.array([0, 51, 255, 102], np.uint8))
    np.testing.assert_allclose(memory["state"], [0, 0.2, 1, 0.4], rtol=1e-6)


def test_nested_dictionaries_are_flattened_by_name():
    vector = spaces.Box(-1, 1, (2,), np.float64)
    space = spaces.Dict({"arm": spaces.Dict({"q": vector, "dq": vector}), "goal": vector})
    found = flat(space, {"arm": {"q": np.array([1.0, 2]), "dq": np.array([3.0, 4])}, "goal": np.array([5.0, 6])})
    assert {name: value.tolist() for name, value in found.items()} == {
        "arm/q": [1, 2],
        "arm/dq": [3, 4],
        "goal": [5, 6],
    }


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [((20, 30, 3), (20, 30, 3)), ((3, 20, 30), (20, 30, 3)), ((20, 30), (20, 30, 1)), ((4, 20, 30), (20, 30, 4))],
)
def test_uint8_of_two_or_three_axes_is_an_image_with_its_channels_last(shape, wanted):
    value = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    found = flat(spaces.Box(0, 255, shape, np.uint8), value)["image"]
    assert found.shape == wanted and found.dtype == np.uint8
    first = shape[0] in (3, 4)
    assert found[5, 7, -1] == (value[-1, 5, 7] if first else value[5, 7] if len(shape) == 2 else value[5, 7, -1])


def test_bounded_float_images_are_scaled_by_their_bounds():
    box = spaces.Box(-1, 1, (8, 8, 3), np.float32)
    value = np.zeros((8, 8, 3), np.float32)
    value[0, 0], value[0, 1] = -1, 1
    found = flat(box, value)["image"]
    assert found.dtype == np.uint8
    assert (found[0, 0, 0], found[0, 1, 0], found[1, 1, 0]) == (0, 255, 128)


@pytest.mark.parametrize(
    ("space", "said"),
    [
        (spaces.Discrete(3), "the observation of gym:X is Discrete"),
        (
            spaces.Dict({"a": spaces.Dict({"b": spaces.MultiBinary(2)})}),
            "the observation 'a/b' of gym:X is MultiBinary",
        ),
        (spaces.Tuple([spaces.Discrete(2)]), "the observation of gym:X is Tuple"),
    ],
)
def test_what_is_no_box_is_named(space, said):
    with pytest.raises(ConfigError, match=f"{said}, but only boxes"):
        Flattened.of(space, "gym:X")


def test_actions_of_any_finite_bounds_are_rescaled():
    low, high = np.array([[-2.0, 0.0]]), np.array([[2.0, 10.0]])
    actions = Actions.of(spaces.Box(low, high, dtype=np.float64), "gym:X")
    assert actions.size == 2
    np.testing.assert_allclose(actions(np.float32([-1, 1])), [[-2, 10]])
    np.testing.assert_allclose(actions(np.float32([0.5, -0.5])), [[1, 2.5]])
    np.testing.assert_allclose(actions(np.float32([7, -7])), [[2, 0]])


@pytest.mark.parametrize(
    ("space", "said"),
    [
        (spaces.Discrete(4), "the actions of gym:X are Discrete,"),
        (spaces.Box(0, 5, (2,), np.int32), "the actions of gym:X are Box of int32,"),
        (spaces.Box(-np.inf, 1, (2,)), "the actions of gym:X are not bounded"),
    ],
)
def test_other_actions_are_refused_in_a_sentence(space, said):
    with pytest.raises(ConfigError, match=said):
        Actions.of(space, "gym:X")
