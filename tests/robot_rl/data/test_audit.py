import json

import numpy as np
import pytest

from robot_rl.cli import main
from robot_rl.config import LearnerConfig
from robot_rl.data.audit import audit, recommend
from robot_rl.data.formats.experience import open_experience
from robot_rl.data.journal import Journal
from robot_rl.data.schema import Schema
from robot_rl.data.transition import Transition
from robot_rl.data.worth import RECORDED, Worth
from robot_rl.exceptions import DataError

LENGTH = 40


def record(folder, act, episodes=30, seed=0, reward=lambda state, action: 1.0, names=("pose",)):
    """A point in a plane that goes where the action says; `act(rng, state)` acts."""
    rng = np.random.default_rng(seed)
    example = {name: np.zeros(2, np.float32) for name in names}
    with Journal(folder, Schema.from_example("plane", example, ("x", "y")), sync=False) as journal:
        for episode in range(episodes):
            state = rng.uniform(-1, 1, 2).astype(np.float32)
            for step in range(LENGTH):
                action = np.clip(act(rng, state), -1, 1).astype(np.float32)
                after = (state + 0.1 * action + 0.001 * rng.normal(size=2)).astype(np.float32)
                seen, found = (dict.fromkeys(names, value) for value in (state, after))
                last = step == LENGTH - 1
                paid = float(reward(state, action))
                journal.append(
                    Transition(
                        "a", journal.next_sequence, f"e{episode}", step, step / 10, step / 10 + 0.1, seen, found,
                        action, action, False, paid, False, last, last and np.linalg.norm(after) < 0.2, 0,
                    )
                )  # fmt: skip
                state = after
    return folder


def looked_at(folder, bounds=None):
    experience = open_experience(folder)
    return audit(experience, Worth(experience, RECORDED, LearnerConfig()), bounds)


def home(rng, state):
    return -5 * state


def anywhere(rng, state):
    return rng.uniform(-1, 1, 2)


def nearer(state, action):
    return -np.linalg.norm(state)


def test_an_expert_s_set_is_for_cloning(tmp_path):
    found = looked_at(record(tmp_path / "set", home, reward=nearer))
    assert found.success_rate == 1.0 and found.recommendation == "BC"
    assert found.action_divergence < 0.1
    assert (found.steps, found.episodes) == (1200, 30)


def test_a_random_set_with_rewards_is_for_iql(tmp_path):
    expert = looked_at(record(tmp_path / "expert", home, reward=nearer))
    found = looked_at(record(tmp_path / "set", anywhere, reward=nearer))
    assert found.recommendation == "IQL"
    assert found.action_divergence > 0.8
    assert found.coverage > 2 * expert.coverage
    assert found.transition_diversity < 0.1  # the world does what it is told


def test_a_world_that_does_as_it_likes_shows(tmp_path):
    def lost(rng, state):
        return np.zeros(2)

    assert looked_at(record(tmp_path / "set", lost, reward=nearer)).transition_diversity > 0.8


def test_returns_are_placed_between_the_bounds_that_are_known(tmp_path):
    folder = record(tmp_path / "set", home, episodes=4)
    found = looked_at(folder, (0.0, 2 * LENGTH))
    assert found.trajectory_quality == pytest.approx(0.5) and found.returns == (LENGTH, LENGTH, LENGTH, 0.0)
    assert looked_at(folder).trajectory_quality is None


@pytest.mark.parametrize(
    ("facts", "word"),
    [
        ((200, 30, 1.0, 0.9, 0.5, 0.1), "collect more"),
        ((5000, 5, 1.0, 0.9, 0.5, 0.1), "collect more"),
        ((5000, 50, 0.9, 0.5, 0.1, 0.1), "BC"),
        ((5000, 50, 0.9, 0.5, 0.1, 0.9), "IQL"),
        ((5000, 50, None, None, 0.5, 0.1), "BC"),
        ((5000, 50, None, None, 0.5, 0.9), "collect more"),
        ((5000, 50, None, 0.05, 0.1, 0.9), "collect more"),
        ((5000, 50, None, 0.05, 0.6, 0.9), "IQL"),
        ((5000, 50, 0.3, 0.3, 0.1, 0.9), "IQL"),
    ],
)
def test_what_is_recommended(facts, word):
    assert recommend(*facts)[0] == word


def test_the_command_says_it_in_words_and_in_json(tmp_path, capsys):
    folder = record(tmp_path / "set", anywhere, episodes=25, reward=nearer)
    assert main(["data", "audit", str(folder)]) == 0
    assert "recommended" in capsys.readouterr().out
    assert main(["data", "audit", str(folder), "--json", "--returns=-80,0"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["recommendation"] == "IQL" and 0 < found["trajectory_quality"] < 1
    assert main(["data", "audit", str(folder), "--returns", "3"]) == 2
    assert "--returns is '3', but must be the worst return and the best" in capsys.readouterr().err
    assert main(["data", "audit", str(folder), "--reward", "vlm"]) == 2
    assert "no labels of 'vlm'" in capsys.readouterr().err


def test_pictures_alone_cannot_be_audited(tmp_path):
    from tests.robot_rl.data import episodes

    step = next(episodes.stream(1, images=True))
    seen = {"wrist": step.observation["wrist"]}
    with Journal(tmp_path / "set", Schema.from_example("t", seen, episodes.ACTIONS), sync=False) as journal:
        journal.append(
            Transition(
                "a", 0, "e", 0, 0.0, 0.1, seen, seen, step.action, step.action, False, 0.0, False, True, False, 0
            )
        )
    with pytest.raises(DataError, match="pictures alone; an audit needs numbers"):
        looked_at(tmp_path / "set")
