import numpy as np
import pytest

from robot_rl.data.replay import Batch, Replay, Sampler
from robot_rl.nets.observation import ObservationSpec
from tests.robot_rl.data.replay.truth import ACTIONS, SPEC, World
from tests.robot_rl.learning import transition as make_transition

POSE = ObservationSpec((("pose", 2),))


def replay(reward, count=30):
    """Rows that say who they are: their pose is (index, 0), their reward the source's."""
    made = Replay(POSE, ACTIONS, 50)
    for i in range(count):
        pose = {"pose": np.array([i, 0], np.float32)}
        made.add(make_transition(i, observation=pose, following=pose, reward=reward))
    return made


def sources(*weights, **counts):
    return {f"s{n}": (replay(float(n), counts.get(f"s{n}", 30)), weight) for n, weight in enumerate(weights)}


@pytest.mark.parametrize(
    "weights, expected",
    [((0.5, 0.5), (5, 5)), ((1, 3), (2, 8)), ((0, 1), (0, 10)), ((1, 0), (10, 0)), ((2, 3, 5), (2, 3, 5))],
)
def test_every_slice_has_parts_by_weight(weights, expected):
    batch = Sampler(sources(*weights), 0).sample(7, 10)
    assert batch.reward.shape == (7, 10) and batch.action.shape == (7, 10, ACTIONS)
    for number, count in enumerate(expected):
        np.testing.assert_array_equal((batch.reward == number).sum(1), count)


def test_parts_differ_from_the_weights_by_one_at_most():
    for batch in range(1, 60):
        counts = np.bincount(Sampler(sources(0.21, 0.34, 0.45), 0).sample(1, batch).reward[0].astype(int), minlength=3)
        assert counts.sum() == batch and (abs(counts - batch * np.array([0.21, 0.34, 0.45])) <= 1).all()


def test_what_an_empty_source_would_give_comes_from_the_others():
    batch = Sampler(sources(0.5, 0.25, 0.25, s0=0), 0).sample(3, 8)
    np.testing.assert_array_equal((batch.reward == 1).sum(1), 4)
    np.testing.assert_array_equal((batch.reward == 2).sum(1), 4)


def test_nothing_to_draw_from_is_said():
    with pytest.raises(ValueError, match="nothing to draw from in s0, s1"):
        Sampler(sources(1, 0, s0=0), 0).sample(1, 8)


def test_all_rows_are_drawn_about_equally():
    batch = Sampler(sources(0.5, 0.5), 0).sample(100, 60)
    counts = np.bincount(batch.observation["pose"][..., 0].astype(int).ravel(), minlength=30)
    assert counts.min() > 130 and counts.max() < 270  # 200 expected, deviation 14


def test_sampling_is_a_function_of_the_seed():
    one, two, other = (Sampler(sources(0.5, 0.5), seed).sample(2, 8) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.observation["pose"], two.observation["pose"])
    assert not np.array_equal(one.observation["pose"], other.observation["pose"])


@pytest.mark.parametrize("stack", [1, 3])
def test_a_sample_is_what_the_replay_gathers(stack):
    world, made = World(), Replay(SPEC, ACTIONS, 40, stack=stack, n_step=3)
    rng = np.random.default_rng(0)
    for _ in range(60):
        made.add(world.any_step(rng))
    index = np.random.default_rng(7).integers(40, size=(3, 16))
    drawn, gathered = Sampler({"only": (made, 1.0)}, 7).sample(3, 16), made.gather(index)
    assert isinstance(drawn, Batch)
    for one, two in zip(drawn, gathered, strict=True):
        pairs = [(one[name], two[name]) for name in one] if isinstance(one, dict) else [(one, two)]
        for a, b in pairs:
            np.testing.assert_array_equal(a, b)
            assert a.shape[:2] == (3, 16) and a.flags.c_contiguous
