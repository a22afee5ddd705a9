"""One crew of two small tasks for all tests that render."""

from __future__ import annotations

import pytest

import tasks


@pytest.fixture(scope="session")
def crew():
    pytest.importorskip("torch")
    from robot_rl.perception import scenes
    from robot_rl.perception.scenes import Crew

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scenes, "POSES", 8)
        found = Crew([tasks.load("peg_insert"), tasks.load("pick_cube")], seed=0)
    yield found
    found.close()
