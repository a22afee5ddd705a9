"""The task that docs/new-task.md makes, made from the page itself."""

import re
import runpy
from pathlib import Path

import numpy as np
import pytest

from robot_rl.demonstrate import record_demos
from robot_rl.envs import make_env
from robot_rl.new_task import make_task
from tasks.spec import TaskSpec

PAGE = Path(__file__).resolve().parents[2] / "docs/new-task.md"


def blocks():
    found = re.findall(r"```(?:xml|python)\n(?:<!-- |# )(\S+)(?: -->)?\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert [name for name, _ in found] == ["scene.xml", "task.py"]
    return dict(found)


def test_the_command_writes_what_the_page_says(tmp_path):
    folder = make_task("press_pad", tmp_path)
    assert {name: (folder / name).read_text() for name in blocks()} == blocks()


@pytest.fixture
def task(tmp_path):
    for name, text in blocks().items():
        (tmp_path / name).write_text(text)
    return runpy.run_path(str(tmp_path / "task.py"))["SPEC"]


def test_the_expert_of_the_page_solves_the_task_of_the_page(task):
    assert isinstance(task, TaskSpec)
    env = make_env(task, seed=0)
    try:
        episodes = record_demos(env, 3, seed=0)
    finally:
        env.close()
    assert all(episode[-1].success and episode[-1].reward == 1.0 for episode in episodes)
    assert all(len(episode) > 3 for episode in episodes)


def test_the_height_is_hidden(task):
    env = make_env(task, seed=0)
    try:
        heights = set()
        for seed in range(3):
            observation, _ = env.reset(seed=seed)
            heights.add(round(float(env.reading.sim["pad_position"][2]), 6))
            assert not any(name.startswith("sim/") for name in observation)
    finally:
        env.close()
    assert len(heights) == 3
    assert np.ptp(sorted(heights)) <= 0.02
