import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robot_rl.data.replay import Batch, Replay, Sampler
from robot_rl.exceptions import DataError
from robot_rl.nets.observation import ObservationSpec
from tests.robot_rl.learning import transition as make_transition

SPEC = ObservationSpec((("pose", 2),), (("front", (2, 2, 1)), ("wrist", (1, 2, 3))))
VECTORS = ObservationSpec((("pose", 2),))


def observation(rng):
    return {
        "pose": rng.normal(size=2).astype(np.float32),
        "front": rng.integers(0, 255, (2, 2, 1), np.uint8),
        "wrist": rng.integers(0, 255, (1, 2, 3), np.uint8),
    }


def stream(rng, lengths, actors=1, jump=False):
    """Episodes of given lengths, dealt to actors whose steps interleave at random."""

    def episode(actor, number, length):
        current = observation(rng)
        for step in range(length):
            following = observation(rng)
            yield make_transition(
                step,
                actor=actor,
                episode=f"{actor}{number}",
                observation=current,
                following=following,
                reward=rng.normal(),
            )
            # a gap: what is seen next is not what the last step ended in
            current = observation(rng) if jump and rng.random() < 0.2 else following

    queues = [
        [t for n, length in enumerate(lengths[a::actors]) for t in episode(f"actor{a}", n, length)]
        for a in range(actors)
    ]
    while any(queues):
        queue = queues[rng.choice([i for i, q in enumerate(queues) if q])]
        yield queue.pop(0)


def assert_holds(replay, expected):
    """The replay holds exactly `expected`, oldest first."""
    assert len(replay) == len(expected)
    batch = replay.gather(np.arange(len(expected)))
    for i, true in enumerate(expected):
        for name in ("pose", "front", "wrist"):
            np.testing.assert_array_equal(batch.observation[name][i], true.observation[name])
            np.testing.assert_array_equal(batch.next_observation[name][i], true.next_observation[name])
        np.testing.assert_array_equal(batch.action[i], true.action)
        assert batch.reward[i] == np.float32(true.reward) and batch.terminated[i] == true.terminated


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32),
    st.integers(1, 40),
    st.lists(st.integers(1, 12), max_size=25),
    st.integers(1, 3),
    st.booleans(),
)
def test_every_sample_is_a_true_transition(seed, capacity, lengths, actors, jump):
    replay = Replay(SPEC, 2, capacity)
    given_ = list(stream(np.random.default_rng(seed), lengths, actors, jump))
    for transition in given_:
        replay.add(transition)
    assert_holds(replay, given_[-capacity:])


def test_episodes_of_one_step_leave_room_for_all():
    """Two moments each, and none shared."""
    replay = Replay(SPEC, 2, 300)
    given_ = list(stream(np.random.default_rng(0), [1] * 900, 2))
    for transition in given_:
        replay.add(transition)
    assert_holds(replay, given_[-300:])


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 30), st.integers(0, 40), st.integers(1, 40))
def test_a_restored_replay_goes_on_as_the_saved_one(seed, capacity, before, after):
    given_ = list(stream(np.random.default_rng(seed), [7] * 12, actors=2))
    one, two = Replay(SPEC, 2, capacity), Replay(SPEC, 2, capacity)
    for transition in given_[:before]:
        one.add(transition)
    two.restore(*one.save())
    for transition in given_[before : before + after]:
        one.add(transition)
        two.add(transition)
    assert_holds(two, given_[: before + after][-capacity:])
    assert two.nbytes <= one.nbytes


def test_a_replay_of_other_observations_is_refused():
    replay = Replay(SPEC, 2, 10)
    for transition in stream(np.random.default_rng(0), [5]):
        replay.add(transition)
    arrays, state = replay.save()
    with pytest.raises(DataError):
        Replay(SPEC, 3, 10).restore(arrays, state)
    with pytest.raises(DataError):
        Replay(SPEC, 2, 3).restore(arrays, state)
    with pytest.raises(DataError):
        Replay(VECTORS, 2, 10).restore(arrays, state)


def sources(share):
    online, demonstrations = Replay(VECTORS, 2, 50), Replay(VECTORS, 2, 50)
    for i in range(30):
        pose = {"pose": np.array([i, 0], np.float32)}
        online.add(make_transition(i, observation=pose, following=pose, reward=0.0))
        demonstrations.add(make_transition(i, observation=pose, following=pose, reward=1.0))
    return {"demonstrations": (demonstrations, share), "online": (online, 1 - share)}


@pytest.mark.parametrize("share, expected", [(0.5, 5), (0.25, 2), (0.0, 0), (1.0, 10)])
def test_every_slice_has_its_share_of_demonstrations(share, expected):
    batch = Sampler(sources(share), 0).sample(7, 10)
    assert batch.reward.shape == (7, 10) and batch.action.shape == (7, 10, 2)
    np.testing.assert_array_equal(batch.reward.sum(1), expected)


def test_all_rows_are_drawn_about_equally():
    batch = Sampler(sources(0.5), 0).sample(100, 60)
    counts = np.bincount(batch.observation["pose"][..., 0].astype(int).ravel(), minlength=30)
    assert counts.min() > 130 and counts.max() < 270  # 200 expected, deviation 14


def test_without_demonstrations_all_is_online():
    filled = sources(0.5) | {"demonstrations": (Replay(VECTORS, 2, 1), 0.5)}
    assert Sampler(filled, 0).sample(3, 8).reward.sum() == 0


def test_sampling_is_a_function_of_the_seed():
    one, two, other = (Sampler(sources(0.5), seed).sample(2, 8) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.observation["pose"], two.observation["pose"])
    assert not np.array_equal(one.observation["pose"], other.observation["pose"])
    assert isinstance(one, Batch)
