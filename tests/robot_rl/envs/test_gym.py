import itertools
import json

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from robot_rl.cli import main
from robot_rl.config import effective
from robot_rl.data.journal import JournalReader
from robot_rl.envs import gym
from robot_rl.exceptions import ConfigError
from robot_rl.metrics import read_metrics
from robot_rl.runs import RunFolder

SMALL = [
    *("--learner.hidden", "16", "--learner.batch", "16", "--learner.start", "30", "--learner.random-steps", "20"),
    *("--learner.capacity", "500", "--learner.utd", "1"),
]


class Walk(gymnasium.Env):
    """A walk on a line: done where it is left, successful where it is left to the right. Observes the place twice."""

    observation_space = spaces.Dict(
        {
            "place": spaces.Box(-9, 9, (1,), np.float64),
            "more": spaces.Dict({"steps": spaces.Box(0, 99, (1,), np.float64)}),
        }
    )
    action_space = spaces.Box(-2.0, 4.0, (1,), np.float32)
    metadata = {"render_fps": 20, "render_modes": []}  # noqa: RUF012

    def __init__(self, tells=True):
        self.tells = tells

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place, self.count = float(self.np_random.uniform(-1, 1)), 0
        return self._seen(), {}

    def step(self, action):
        self.place, self.count = self.place + float(action[0]), self.count + 1
        over = abs(self.place) > 5
        return self._seen(), self.place / 5, over, False, {"is_success": self.place > 5} if self.tells else {}

    def _seen(self):
        return {"place": np.array([self.place]), "more": {"steps": np.array([self.count], float)}}


class DarkWalk(Walk):
    """A walk that promises pictures where there is nothing to draw them with."""

    metadata = {"render_fps": 20, "render_modes": ["rgb_array"]}  # noqa: RUF012

    def __init__(self, render_mode=None):
        super().__init__()
        self.render_mode = render_mode

    def render(self):
        raise OSError("no screen")


gymnasium.register("DarkWalk-v0", entry_point=DarkWalk, max_episode_steps=7)
for name, tells in (("Walk-v0", True), ("MuteWalk-v0", False)):
    gymnasium.register(name, entry_point=Walk, kwargs={"tells": tells}, max_episode_steps=7)


def test_an_environment_acts_in_minus_one_to_one_and_tells_of_success_and_time():
    env = gym.open_gym("gym:Walk-v0")
    observation, info = env.reset(seed=3)
    assert set(observation) == {"place", "more/steps"} and info["success"] is None and info["stamp"] == 0
    before = float(observation["place"][0])
    observation, _reward, terminated, truncated, info = env.step(np.ones(1, np.float32))
    assert float(observation["place"][0]) == pytest.approx(before + 4, abs=1e-6)
    assert (info["stamp"], info["success"], terminated, truncated) == (0.05, False, False, False)
    observation, _, terminated, truncated, info = env.step(np.ones(1, np.float32))
    assert (terminated, truncated, info["success"]) == (True, False, True)
    assert observation["place"][0] > 5  # where it ended, not where the next begins


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gym:Hoper-v5", r"no environment 'Hoper-v5'; did you mean gym:Hopper-v5"),
        ("gym:no_such_module:Hopper-v5", "needs the module 'no_such_module', which is not installed"),
        ("gym:CartPole-v1", "the actions of gym:CartPole-v1 are Discrete, but"),
        ("gym:qqqqqqqq", "no environment 'qqqqqqqq'; `python -c"),
    ],
)
def test_what_cannot_be_is_one_sentence(name, said, capsys):
    assert main(["train", name, "--dry-run"]) == 2
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        ({"transport": "ros", "sync": "step"}, "transport is ros, but gym:Walk-v0 has no robot"),
        ({"obs": "pixels"}, "obs is pixels, but gym:Walk-v0 shows what it shows"),
        ({"demos": "5"}, "demos is 5, but gym:Walk-v0 has no expert"),
        ({"teleop": "keyboard"}, "teleop is keyboard, but gym:Walk-v0 has no tool to move"),
        ({"teleop": "keyboard", "reward": "human"}, "no tool to move"),
    ],
)
def test_what_needs_a_robot_is_refused(layer, said):
    task = gym.load("gym:Walk-v0")
    with pytest.raises(ConfigError, match=said):
        task.check(effective(task, task.defaults([layer]), layer))


def test_a_run_has_the_settings_of_its_kind_unless_others_are_given():
    task = gym.load("gym:Walk-v0")
    config = effective(task, task.defaults([]))
    assert (config.transport, config.demos, config.agent, config.sync) == ("inprocess", "0", "sac", "checkpoint")
    assert (config.learner.discount, config.learner.entropy_backup, config.learner.critics) == (0.99, True, 2)
    assert task.defaults([{"demos": "some/set"}])["agent"] == "rlpd"
    given = {"learner": {"critics": 10}, "sync": "step"}
    config = effective(task, task.defaults([given]), given)
    assert (config.learner.critics, config.sync) == (10, "step")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A short run with two environments, which stopped at 50 steps and went on to 80."""
    path = tmp_path_factory.mktemp("gym") / "run"
    begin = ["train", "gym:Walk-v0", "--envs", "2", "--steps", "50", "--run", str(path), "--learner.keep-every", "40"]
    assert main([*begin, *SMALL]) == 0
    assert main(["train", "gym:Walk-v0", "--run", str(path), "--resume", "--steps", "80"]) == 0
    return RunFolder.open(path)


def test_each_environment_keeps_a_journal_and_what_it_observed_at_an_end(run):
    for folder in (run.journal, run.path / "journal-actor1"):
        steps = list(JournalReader(folder).read())
        assert len(steps) == 40
        for step, after in itertools.pairwise(steps):
            assert step.terminated == (abs(step.next_observation["place"][0]) > 5)
            assert step.truncated == (step.step == 6 and not step.terminated)
            if after.episode == step.episode:
                np.testing.assert_array_equal(after.observation["place"], step.next_observation["place"])
            else:
                assert after.step == 0 and after.observation["more/steps"] == 0
    assert len({step.episode for folder in ("journal", "journal-actor1") for step in read(run.path / folder)}) > 10


def read(folder):
    return JournalReader(folder).read()


def test_the_run_learnt_from_all_of_them(run):
    updates = [record for record in read_metrics(run.metrics) if record["kind"] == "update"]
    assert updates[-1]["step"] == 80 and updates[-1]["updates"] == 60  # a block each ten steps from 30 to 80
    assert run.config().learner.start == 30


def test_it_is_evaluated_as_any_run_and_its_kept_policies_too(run, capsys):
    assert main(["eval", str(run.path), "--episodes", "4", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert main(["eval", str(run.path), "--episodes", "4", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == first
    assert first["successes"] is not None and first["return_ci95"][0] <= first["mean_return"] <= first["return_ci95"][1]
    assert main(["eval", str(run.path), "--episodes", "2", "--kept", "--json"]) == 0
    assert [result["step"] for result in json.loads(capsys.readouterr().out)["kept"]] == [40, 80]


def test_where_nobody_tells_of_success_the_return_is_what_counts(tmp_path, capsys):
    path = str(tmp_path / "run")
    assert main(["train", "gym:MuteWalk-v0", "--steps", "40", "--run", path, *SMALL]) == 0
    assert "return, last 20 of training" in capsys.readouterr().out
    assert main(["eval", path, "--episodes", "3"]) == 0
    assert "return, deterministic" in capsys.readouterr().out
    summary = json.loads((tmp_path / "run" / "report" / "summary.json").read_text())
    assert summary["evaluations"]["deterministic"]["successes"] is None


def test_what_cannot_be_drawn_costs_the_video_and_not_the_evaluation(tmp_path, capsys):
    path = str(tmp_path / "run")
    assert main(["train", "gym:DarkWalk-v0", "--steps", "40", "--run", path, *SMALL]) == 0
    assert main(["eval", path, "--episodes", "3"]) == 0
    printed = capsys.readouterr()
    assert "success, deterministic" in printed.out
    assert "".join(printed.err.split()).count("novideo:gym:DarkWalk-v0cannotberendered:noscreen") == 1
    assert not RunFolder.open(tmp_path / "run").video.exists()


@pytest.mark.parametrize(("name", "actions"), [("gym:Hopper-v5", 3), ("gym:HalfCheetah-v5", 6), ("gym:Pendulum-v1", 1)])
def test_the_environments_that_the_documents_name_come_with_the_installation(name, actions):
    task = gym.load(name)
    assert task.action_dim == actions
    assert list(task.example) == ["state"]
