"""Whether two runs made the same steps."""

import dataclasses

import numpy as np

from robot_rl.data.journal import read_journal


def assert_same_steps(one_folder, other_folder, count=None):
    """Bit for bit, but for the moments at which they were made and what names their run."""
    pairs = list(zip(read_journal(one_folder), read_journal(other_folder), strict=True))
    assert count is None or len(pairs) == count
    for one, other in pairs:
        for field in dataclasses.fields(one):
            first, second = getattr(one, field.name), getattr(other, field.name)
            if field.name in ("observation", "next_observation"):
                assert set(first) == set(second)
                assert all(np.array_equal(first[key], second[key]) for key in first), (one.sequence, field.name)
            elif field.name not in ("stamp", "next_stamp", "episode"):  # an episode is named by its run
                assert np.array_equal(first, second), (one.sequence, field.name)
    return len(pairs)
