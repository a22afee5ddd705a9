import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from controllers import spatial

QUARTER = np.array([0.0, 0.0, np.sqrt(0.5), np.sqrt(0.5)])
quaternions = (
    arrays(float, 4, elements=st.floats(-1, 1))
    .filter(lambda q: np.linalg.norm(q) > 0.1)
    .map(lambda q: q / np.linalg.norm(q))
)
vectors = arrays(float, 3, elements=st.floats(-10, 10))


def same_rotation(a, b, tolerance=1e-9):
    return min(np.abs(a - b).max(), np.abs(a + b).max()) < tolerance


def test_a_quarter_turn_about_z_takes_x_to_y():
    np.testing.assert_allclose(spatial.rotate(QUARTER, np.array([1.0, 0, 0])), [0, 1, 0], atol=1e-15)
    np.testing.assert_allclose(spatial.log(QUARTER), [0, 0, np.pi / 2], atol=1e-15)
    np.testing.assert_allclose(spatial.multiply(QUARTER, QUARTER), [0, 0, 1, 0], atol=1e-15)


@given(quaternions, quaternions, vectors)
def test_product_turns_by_the_second_then_the_first(a, b, v):
    np.testing.assert_allclose(
        spatial.rotate(spatial.multiply(a, b), v), spatial.rotate(a, spatial.rotate(b, v)), atol=1e-12
    )
    np.testing.assert_allclose(spatial.matrix(a) @ v, spatial.rotate(a, v), atol=1e-12)


@given(quaternions)
def test_exp_undoes_log_and_both_signs_are_one_rotation(q):
    vector = spatial.log(q)
    assert np.linalg.norm(vector) <= np.pi + 1e-12
    assert same_rotation(spatial.exp(vector), q)
    if abs(q[3]) > 1e-9:
        np.testing.assert_allclose(spatial.log(-q), vector, atol=1e-9)


@pytest.mark.parametrize("angle", [0.0, 1e-15, 1e-9, 1e-4, 1.0, 3.0, np.pi - 1e-9, np.pi])
def test_log_is_exact_from_nothing_to_half_a_turn(angle):
    vector = angle * np.array([0.6, 0.0, 0.8])
    np.testing.assert_allclose(spatial.log(spatial.exp(vector)), vector, rtol=1e-9, atol=1e-24)


@given(quaternions, quaternions, st.floats(0, 1))
def test_slerp_walks_the_shortest_arc_evenly(a, b, fraction):
    def angle(p, q):
        return np.linalg.norm(spatial.log(spatial.multiply(spatial.conjugate(p), q)))

    middle = spatial.slerp(a, b, fraction)
    assert abs(np.linalg.norm(middle) - 1.0) < 1e-12
    assert angle(a, middle) == pytest.approx(fraction * angle(a, b), abs=1e-6)


def test_output_may_be_an_input():
    q = QUARTER.copy()
    spatial.multiply(q, q, q)
    np.testing.assert_allclose(q, [0, 0, 1, 0], atol=1e-15)
    spatial.conjugate(q, q)
    np.testing.assert_allclose(q, [0, 0, -1, 0], atol=1e-15)


def test_normalising_nothing_gives_the_identity():
    np.testing.assert_array_equal(spatial.normalise(np.zeros(4)), [0, 0, 0, 1])
