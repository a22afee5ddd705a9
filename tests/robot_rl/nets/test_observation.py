import numpy as np
import pytest

from robot_rl.exceptions import DataError
from robot_rl.nets.observation import ObservationSpec

OBSERVATION = {
    "wrist": np.zeros((6, 8, 3), np.uint8),
    "b": np.array([3, 4], np.float32),
    "a": np.array([1, 2], np.float32),
    "c": np.float32(5),
    "wrist_features": np.zeros((2, 4, 4, 8), np.float16),
}


def test_names_are_sorted_whatever_the_order_given():
    spec = ObservationSpec.of(OBSERVATION)
    assert spec == ObservationSpec.of(dict(reversed(OBSERVATION.items())))
    assert spec.vectors == (("a", 2), ("b", 2), ("c", 1))
    assert spec.images == (("wrist", (6, 8, 3)),)
    assert spec.features == (("wrist_features", (2, 4, 4, 8)),)
    batch = {name: np.atleast_1d(OBSERVATION[name])[None] for name in "cab"}
    np.testing.assert_array_equal(spec.join(batch), [[1, 2, 3, 4, 5]])


@pytest.mark.parametrize(
    "change, words",
    [
        ({"a": np.zeros(3, np.float32)}, "'a' is float32 of shape"),
        ({"a": np.array([np.nan, 0], np.float32)}, "'a' is not finite"),
        ({"wrist": np.zeros((6, 8, 3), np.float32)}, "'wrist' is float32"),
        ({"a": np.zeros(2, np.uint8)}, "'a' is uint8"),
        ({"wrist_features": np.zeros((2, 4, 4, 8), np.float32)}, "'wrist_features' is float32"),
        ({"wrist_features": np.zeros((1, 4, 4, 8), np.float16)}, r"made for float16 of shape \(2, 4, 4, 8\)"),
        ({"wrist_features": np.full((2, 4, 4, 8), np.inf, np.float16)}, "'wrist_features' is not finite"),
    ],
)
def test_check_names_the_odd_array(change, words):
    with pytest.raises(DataError, match=words):
        ObservationSpec.of(OBSERVATION).check(OBSERVATION | change)


def test_check_names_the_missing_array_and_ignores_others():
    spec = ObservationSpec.of(OBSERVATION)
    spec.check(OBSERVATION | {"sim/truth": np.full(3, np.nan)})
    with pytest.raises(DataError, match="lacks 'a'"):
        spec.check({name: value for name, value in OBSERVATION.items() if name != "a"})


def test_an_example_of_a_stack_is_of_its_spec():
    spec = ObservationSpec.of(OBSERVATION).stacked(3)
    assert ObservationSpec.of(spec.example()) == spec
    spec.check(spec.example())
    assert dict(spec.features) == {"wrist_features": (2, 4, 4, 24)}


@pytest.mark.parametrize(
    "example",
    [
        {},
        {"x": np.zeros((2, 2), np.float32)},
        {"x": np.zeros(2, np.int64)},
        {"x": np.zeros((4, 4, 8), np.float16)},
        {"x": np.zeros((2, 4, 4, 8), np.float32)},
    ],
)
def test_what_is_no_vector_image_or_features_is_refused(example):
    with pytest.raises(DataError):
        ObservationSpec.of(example)
