"""What is streamed, as Rerun's own command reads it back."""

import re
import subprocess
import sys

import numpy as np
import pytest

from robot_rl.config import RunConfig
from robot_rl.data.label import Label
from robot_rl.exceptions import ConfigError
from robot_rl.runs import RunFolder
from robot_rl.view import View, check_view, viewed
from tests.robot_rl.learning import transition
from tests.robot_rl.test_actor import Sink


def rows(path):
    """Rows of each place in a file."""
    printed = subprocess.run(
        [sys.executable, "-m", "rerun", "rrd", "print", str(path)], capture_output=True, text=True, check=True
    ).stdout
    found = {}
    for count, place in re.findall(r"with (\d+) rows .* - (/\S+) - data", printed):
        found[place] = found.get(place, 0) + int(count)
    return found


def test_steps_pictures_labels_and_metrics_are_streamed(tmp_path):
    view = View(str(tmp_path / "run.rrd"), "6f3a3a9e-0000-4000-8000-000000000000", "actor0")
    for number in range(4):
        view.step(transition(number, image=(8, 8, 3), intervened=number == 2), number)
    view.label(Label("actor0", 4, 0.5, "episode", 3, "human", 1, "success", 1.0))
    view.metric({"kind": "update", "time": 1.0, "step": 3, "q": 0.5, "critic_loss": 0.1})
    view.metric({"kind": "notice", "time": 1.0, "text": "the gamepad is gone"})
    view.close()
    found = rows(tmp_path / "run-actor0.rrd")
    for name in ("action", "policy_action", "reward", "intervened", "cameras/wrist", "observation/pose"):
        assert found[f"/actors/actor0/{name}"] == 4
    assert found["/actors/actor0/labels"] == found["/update/q"] == found["/notices"] == 1


def test_a_robots_tool_and_reference_are_shown(tmp_path):
    from robot_rl.envs import make

    env = make("reach")
    env.reset(seed=0)
    env.step(np.zeros(3, np.float32))
    run = RunFolder(tmp_path)
    sink = Sink()
    config = RunConfig("reach", rerun=str(tmp_path / "run.rrd"))
    shown = viewed(sink, config, run, "actor0", env)
    shown.send(transition(0))
    assert (shown.steps, shown.next_sequence) == (1, 1) and sink.sent
    shown._view.close()
    found = rows(tmp_path / "run-actor0.rrd")
    assert found["/actors/actor0/tool"] == found["/actors/actor0/reference"] == found["/actors/actor0/wrench"] == 1
    env.close()


def test_without_it_nothing_stands_between_the_actor_and_its_sink(tmp_path):
    sink = Sink()
    assert viewed(sink, RunConfig("reach"), RunFolder(tmp_path), "actor0", None) is sink


def test_what_cannot_be_meant_is_refused(monkeypatch):
    for target in ("none", "spawn", "rerun+http://robot:9876/proxy", "runs/mine.rrd"):
        check_view(target)
    with pytest.raises(ConfigError, match=r"rerun is 'mine.txt'; say spawn"):
        check_view("mine.txt")
    monkeypatch.setitem(sys.modules, "rerun", None)
    with pytest.raises(ConfigError, match="needs the package rerun-sdk"):
        check_view("spawn")


def test_an_evaluation_is_shown_and_no_file_is_overwritten(tmp_path):
    from robot_rl.envs import make

    env = make("reach")
    env.reset(seed=0)
    for _ in range(2):
        view = View(str(tmp_path / "run.rrd"), "6f3a3a9e-0000-4000-8000-000000000000", "eval")
        for number in range(3):
            view.moment(number, env.reading)
        view.moment(3, None)
        view.close()
    for name in ("run-eval", "run-eval-2"):
        assert rows(tmp_path / f"{name}.rrd")["/eval/tool"] == 3
    env.close()
