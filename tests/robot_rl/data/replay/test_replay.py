"""A replay against the truth: streams of every shape that actors, people and crashes can make."""

import errno
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robot_rl.data.label import Label
from robot_rl.data.replay import Replay
from robot_rl.exceptions import DataError
from robot_rl.nets.observation import ObservationSpec
from tests.robot_rl.data.replay.truth import (
    ACTIONS,
    DISCOUNT,
    SPEC,
    Truth,
    World,
    assert_holds,
    give,
    joined,
    moment,
    through_json,
)

SEED, LENGTH = st.integers(0, 2**32), st.integers(0, 150)
SHAPES = st.builds(Truth, capacity=st.integers(1, 30), stack=st.integers(1, 3), n_step=st.integers(1, 5))


def make(truth, folder=None):
    shape = {"stack": truth.stack, "n_step": truth.n_step, "discount": DISCOUNT}
    return Replay(SPEC, ACTIONS, truth.capacity, folder=folder, **shape)


def records(world, rng, count, labels=0.25):
    for number in range(count):
        yield world.any_label(rng, number) if rng.random() < labels else world.any_step(rng)


@settings(max_examples=150, deadline=None)
@given(SEED, LENGTH, SHAPES, st.sampled_from([0.0, 0.2, 0.6]))
def test_every_sample_is_true(seed, length, truth, labels):
    replay = make(truth)
    for record in records(World(), np.random.default_rng(seed), length, labels):
        truth.records.append(record)
        give(replay, record)
        if len(truth.records) % 40 == 0:
            assert_holds(replay, truth)
    assert_holds(replay, truth)


@pytest.mark.parametrize("on_disk", [False, True])
@settings(max_examples=40, deadline=None)
@given(SEED, LENGTH, SHAPES)
def test_a_restored_replay_holds_what_was_saved_and_goes_on_alike(on_disk, seed, length, truth):
    """After a crash, from any of the three newest saves, however much was added since."""
    rng, saves = np.random.default_rng(seed), []
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "replay" if on_disk else None
        replay = make(truth, folder)
        for record in records(World(), rng, length):
            if rng.random() < 0.1:
                arrays, state = replay.save()
                saves = [*saves[-2:], (arrays, through_json(state), list(truth.records))]
            if rng.random() < 0.05 and saves:
                saves = saves[: rng.integers(1, len(saves) + 1)]
                arrays, state, kept = saves[-1]
                truth.records = list(kept)
                replay.close()
                replay = make(truth, folder)
                replay.restore(arrays, state)
                assert_holds(replay, truth)
            truth.records.append(record)
            give(replay, record)
        assert_holds(replay, truth)
        replay.close()


@settings(max_examples=20, deadline=None)
@given(SEED, LENGTH, LENGTH, SHAPES)
def test_what_a_restored_replay_saves_is_the_same_to_the_bit(seed, before, after, truth):
    world, rng = World(), np.random.default_rng(seed)
    one, two = make(truth), make(truth)
    for record in records(world, rng, before):
        give(one, record)
    arrays, state = one.save()
    two.restore(arrays, through_json(state))
    for record in records(world, rng, after):
        give(one, record)
        give(two, record)
    (arrays, state), (others, other_state) = one.save(), two.save()
    assert through_json(state) == through_json(other_state)
    assert arrays.keys() == others.keys()
    assert all(arrays[name].tobytes() == others[name].tobytes() for name in arrays)


def steps(count, length=10, actor="actor0"):
    world = World()
    for number in range(count):
        yield world.step(actor, "truncate" if number % length == length - 1 else "go on")


def test_a_moment_is_stored_once():
    """Ten moments and the first of the episode: eleven for ten transitions, not twenty, and a few bytes more."""
    replay = Replay(SPEC, ACTIONS, 1_000_000)
    for transition in steps(1000):
        replay.add(transition)
    images = sum(np.prod(shape) for _, shape in SPEC.images)
    assert replay.nbytes < 1100 * images + 1000 * 200


def test_a_stack_shows_moments_again_and_stores_none():
    plain, stacked = Replay(SPEC, ACTIONS, 500), Replay(SPEC, ACTIONS, 500, stack=4)
    for transition in steps(800):
        plain.add(transition)
        stacked.add(transition)
    assert stacked.nbytes - plain.nbytes < 500 * 3 * 4 + 1000


def test_what_is_forgotten_leaves_nothing_behind():
    """After many episodes, labels and actors, what a save holds is no more than what the last ones need."""
    replay, rng, world, sizes = Replay(SPEC, ACTIONS, 20), np.random.default_rng(0), World(), []
    for number in range(3000):
        record = world.any_label(rng, number) if rng.random() < 0.1 else world.any_step(rng)
        known = not hasattr(record, "kind") or record.episode in {e for e, _, _ in world.now.values()}
        if known:
            give(replay, record)
        if number % 1000 == 999:
            arrays, state = replay.save()
            sizes.append((len(through_json(state)["episodes"]), sum(a.nbytes for a in arrays.values()) // 1000))
    assert max(episodes for episodes, _ in sizes) <= 23
    assert replay.nbytes < 20 * 400


def test_a_replay_on_disk_is_small_in_a_checkpoint(tmp_path):
    replay = Replay(SPEC, ACTIONS, 500, folder=tmp_path)
    for transition in steps(700):
        replay.add(transition)
    arrays, _ = replay.save()
    assert not any(name.startswith("moments/") for name in arrays)
    assert sum(array.nbytes for array in arrays.values()) < 500 * 100
    replay.close()


def test_a_replay_asks_for_a_checkpoint_while_much_of_its_disk_waits_for_one(tmp_path):
    replay = Replay(SPEC, ACTIONS, 1200, folder=tmp_path)
    stream = steps(5000)
    for _ in range(1200):
        replay.add(next(stream))
    replay.save()
    asked = []
    for _ in range(1200):
        replay.add(next(stream))
        asked.append(replay.needs_checkpoint)
    assert not any(asked[:900]) and asked[-1]
    for _ in range(3):
        replay.save()
    assert not replay.needs_checkpoint
    replay.close()


def test_a_replay_of_another_form_is_refused():
    replay = Replay(SPEC, ACTIONS, 10)
    for transition in steps(5):
        replay.add(transition)
    arrays, state = replay.save()
    others = {
        "other actions": Replay(SPEC, ACTIONS + 1, 10),
        "another stack": Replay(SPEC, ACTIONS, 10, stack=2),
        "room for 3": Replay(SPEC, ACTIONS, 3),
        "this one shows": Replay(ObservationSpec((("pose", 2),)), ACTIONS, 10),
    }
    for words, other in others.items():
        with pytest.raises(DataError, match=words):
            other.restore(arrays, state)


def test_a_full_disk_changes_nothing(tmp_path, monkeypatch):
    truth, stream = Truth(30), steps(50)
    replay = make(truth, tmp_path)
    for _ in range(25):
        truth.records.append(next(stream))
        replay.add(truth.records[-1])
    late = next(stream)

    def full(file, data, at):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(DataError, match="No space left"):
        replay.add(late)
    monkeypatch.undo()
    assert_holds(replay, truth)
    truth.records.append(late)
    replay.add(late)
    assert_holds(replay, truth)
    replay.close()


def test_index_may_have_any_shape():
    replay = Replay(SPEC, ACTIONS, 10, n_step=2, stack=2)
    for transition in steps(10):
        replay.add(transition)
    batch, flat = replay.gather(np.arange(6).reshape(2, 1, 3)), replay.gather(np.arange(6))
    assert batch.observation["front"].shape == (2, 1, 3, 2, 2, 2) and batch.reward.shape == (2, 1, 3)
    np.testing.assert_array_equal(batch.observation["front"].reshape(6, 2, 2, 2), flat.observation["front"])
    assert replay.gather(np.array(3)).action.shape == (ACTIONS,)


def test_steps_that_each_bring_their_own_past_are_forgotten_before_there_is_no_room_for_them():
    replay = Replay(SPEC, ACTIONS, 200, stack=3)
    world = World()
    steps = [world.step("actor0", "restart") for _ in range(400)]
    past = [[moment(10_000 + i), moment(20_000 + i)] for i in range(400)]
    for step, before in zip(steps, past, strict=True):
        replay.add(step, before)
    assert 150 < len(replay) < 200
    newest = replay.gather(np.arange(len(replay)))
    for row, index in enumerate(range(400 - len(replay), 400)):
        seen = joined([*past[index], steps[index].observation])
        np.testing.assert_array_equal(newest.observation["pose"][row], seen["pose"])


def test_steps_are_judged_anew_from_a_row_on_and_labels_stand():
    world, replay = World(), Replay(SPEC, ACTIONS, 6)
    made = [world.step("a", "go on") for _ in range(9)]  # the first three are forgotten
    for step in made:
        replay.add(step)
    said = made[7]
    replay.label(Label("h", 0, 0.0, said.episode, said.step, "human", 1, "reward", 55.0))
    assert replay.rejudge(lambda seen: seen["pose"][:, 0]) == 9
    wanted = [step.next_observation["pose"][0] for step in made[3:]]
    wanted[4] = 55.0
    assert np.array_equal(replay.gather(np.arange(6)).reward, np.float32(wanted))
    replay.rejudge(lambda seen: -seen["pose"][:, 0], 8)
    assert np.array_equal(replay.gather(np.arange(6)).reward, np.float32([*wanted[:5], -wanted[5]]))
    assert replay.rejudge(lambda seen: 1 / 0, 9) == 9  # nothing is asked about nothing
