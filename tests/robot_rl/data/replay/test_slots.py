import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from robot_rl.data.replay.slots import Slots


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 3))
def test_a_slot_is_free_held_or_waiting_and_what_the_last_saves_refer_to_is_not_given_out(seed, kept):
    rng, slots = np.random.default_rng(seed), Slots(kept)
    held, saved = [], []
    for _ in range(200):
        event = rng.choice(["take", "drop", "save", "restore"], p=[0.5, 0.4, 0.07, 0.03])
        if event == "take":
            taken = slots.take(int(rng.integers(1, 3)))
            assert not {*taken} & {*held} and not any({*taken} & {*before} for before in saved)
            slots.hold(taken)
            held += taken
        elif event == "drop" and held:
            slots.drop([held.pop(rng.integers(len(held)))])
        elif event == "save":
            arrays, state = slots.save()
            saved = [*saved, list(held)][-kept:] if kept else []
        elif event == "restore":
            arrays, state = slots.save()
            saved = [*saved, list(held)][-kept:] if kept else []
            slots = Slots(kept)
            slots.restore(arrays, state, np.array(held, np.int32))
        assert slots.busy == len(held) + slots.waiting
        assert slots.used < 400


def test_a_slot_held_twice_is_free_after_the_second_drop():
    slots = Slots(0)
    (slot,) = slots.take(1)
    slots.hold([slot, slot])
    slots.drop([slot])
    assert slots.take(1) != (slot,)
    slots.drop([slot])
    assert slots.take(1) == (slot,)


def test_what_was_given_back_is_taken_next():
    slots = Slots(2)
    taken = slots.take(3)
    slots.give_back(taken)
    assert slots.busy == 0 and slots.take(3) == taken


def test_what_no_save_saw_does_not_wait():
    slots = Slots(2)
    slots.save()
    taken = slots.take(5)
    slots.hold(taken)
    slots.drop(taken)
    assert slots.waiting == 0 and slots.take(1) == taken[:1]
