import dataclasses
import json

import numpy as np
import pytest

import tasks
from robot_rl.cli import main
from robot_rl.config import LearnerConfig
from robot_rl.data.beside import Judgement, write_labels
from robot_rl.data.formats.experience import open_experience
from robot_rl.data.journal import Journal
from robot_rl.data.schema import Schema
from robot_rl.data.transition import Transition
from robot_rl.data.worth import RECORDED, Worth
from robot_rl.envs.observation import Observer
from robot_rl.runs import RunFolder
from tests.robot_rl.data import episodes

QUICK = ("--learner.hidden", "16,16", "--learner.batch", "16", "--learner.offline-steps", "40")


@pytest.fixture
def recorded(tmp_path):
    """Somebody's records, of a task that is not here."""

    def seen(observation):
        return {"tool_position": observation["tool_position"]}

    first = next(episodes.stream(1))
    form = Schema.from_example("theirs/lift", seen(first.observation), episodes.ACTIONS)
    with Journal(tmp_path / "set", form, sync=False) as journal:
        for step in episodes.stream(32):
            after = seen(step.next_observation)
            journal.append(dataclasses.replace(step, observation=seen(step.observation), next_observation=after))
    return tmp_path / "set"


@pytest.fixture(scope="module")
def pendulum(tmp_path_factory):
    """A run of somebody's environment: 60 steps at random."""
    folder = tmp_path_factory.mktemp("runs") / "sac"
    command = ["train", "gym:Pendulum-v1", "--run", str(folder), "--steps", "60", "--learner.start", "1000"]
    assert main([*command, "--learner.hidden", "16,16"]) == 0
    return folder


def said(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_a_run_is_learnt_from_and_the_constant_reward_stands_beside(pendulum, tmp_path, capsys):
    options = ("--run", tmp_path / "iql", "--episodes", "2", "--learner.keep-every", "20", *QUICK)
    code, out, _ = said(capsys, "offline", pendulum, *options, "--json")
    assert code == 0
    found = json.loads(out)
    assert list(found) == ["dataset", "constant"]
    assert found["constant"]["run"] == str(tmp_path / "iql-constant")
    assert all(np.isfinite(result["mean_return"]) for result in found.values())
    assert found["dataset"]["mean_return"] != found["constant"]["mean_return"]
    assert (tmp_path / "iql" / "policies" / "step-40.safetensors").is_file()
    config = RunFolder.open(tmp_path / "iql").config()
    assert (config.agent, config.reward, config.demos, config.steps) == ("iql", "task", str(pendulum), 0)


def test_it_goes_on_where_it_stopped(pendulum, tmp_path, capsys):
    options = ("--run", tmp_path / "iql", "--episodes", "1", *QUICK)
    assert said(capsys, "offline", pendulum, *options)[0] == 0
    code, _, err = said(capsys, "offline", pendulum, *options)
    assert code == 2 and "exists" in err
    goes_on = ("offline", pendulum, "--run", tmp_path / "iql", "--episodes", "1", "--resume")
    code, out, _ = said(capsys, *goes_on)  # what it was begun with need not be said again
    assert code == 0 and "reward dataset" in out and "reward constant" in out
    assert RunFolder.open(tmp_path / "iql").config().learner.hidden == (16, 16)
    code, _, err = said(capsys, *goes_on, "--learner.hidden", "8,8")
    assert code == 2 and "hidden is (16, 16)" in err and "cannot become" in err
    code, _, err = said(capsys, "offline", pendulum, "--resume")
    assert code == 2 and "--resume needs --run" in err


def test_online_learning_goes_on_from_it(pendulum, tmp_path, capsys):
    options = ("--run", tmp_path / "iql", "--episodes", "0", "--learner.critics", "2", *QUICK)
    assert said(capsys, "offline", pendulum, *options)[0] == 0
    command = ("train", "gym:Pendulum-v1", "--run", tmp_path / "on", "--steps", "30", "--initial", tmp_path / "iql")
    small = ("--learner.start", "10", "--learner.hidden", "16,16", "--learner.random-steps", "0")
    assert said(capsys, *command, *small)[0] == 0
    code, _, err = said(capsys, *command[:3], tmp_path / "off", *command[4:], "--learner.hidden", "8,8")
    assert code == 2 and "whose networks are others" in err


def test_labels_beside_the_set_are_a_reward(recorded, tmp_path, capsys):
    experience = open_experience(recorded)
    write_labels(experience, "vlm", [Judgement(s.episode, s.step, float(s.step)) for s in experience.steps()])
    code, out, _ = said(capsys, "offline", recorded, "--reward", "vlm", "--run", tmp_path / "run", *QUICK)
    assert code == 0 and "reward vlm" in out and "its environment is not here" in out


def test_cloning_needs_no_control(recorded, tmp_path, capsys):
    bc = ("--agent", "bc", "--learner.bc-steps", "20", "--learner.hidden", "16,16")
    code, out, _ = said(capsys, "offline", recorded, *bc, "--run", tmp_path / "run")
    assert code == 0 and "constant" not in out


def test_a_set_with_pictures_is_learnt_from_by_its_state(tmp_path, capsys):
    task = tasks.load("reach")
    shown, state = Observer(task, "pixels"), Observer(task, "state").schema()
    seen = {name: np.ones_like(value) for name, value in shown.example().items()}
    action = np.zeros(3, np.float32)
    with Journal(tmp_path / "set", shown.schema(), sync=False) as journal:
        for step in range(12):
            last = step == 11
            journal.append(
                Transition(
                    "a", step, "e", step, step / 10, step / 10 + 0.1, seen, seen, action, action, False, 0.5, False,
                    last, False, 0,
                )
            )  # fmt: skip
    steps = list(Worth(open_experience(tmp_path / "set"), RECORDED, LearnerConfig(), state))
    assert {*steps[0].observation} == {item.name for item in state.observation} == {*steps[0].next_observation}
    assert type(steps[0]) is Transition and steps[0].reward == 0.5
    options = ("--run", tmp_path / "run", "--episodes", "0", *QUICK)
    code, _, err = said(capsys, "offline", tmp_path / "set", *options)
    assert code == 0, err
    code, _, err = said(capsys, "offline", tmp_path / "set", "--obs", "features", "--run", tmp_path / "other", *QUICK)
    assert code == 2 and "observe otherwise" in err and not (tmp_path / "other").exists()


def test_a_dry_run_says_what_it_would_do(recorded, tmp_path, capsys):
    code, out, _ = said(capsys, "offline", recorded, "--run", tmp_path / "run", "--dry-run")
    assert code == 0 and "iql with the reward of constant" in out and not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--agent", "sac"), "--agent is sac, but only bc and iql learn offline"),
        (("--agent", "bc", "--reward", "vlm"), "agent bc looks at no reward"),
        (("--reward", "vlm"), "no labels of 'vlm' lie beside"),
        (("--learner.expectile", "2"), "learner.expectile is 2.0, but must be from 0 to 1"),
        (("--episodes", "-1"), "--episodes is -1"),
    ],
)
def test_mistakes_are_one_sentence(recorded, capsys, options, sentence):
    code, _, err = said(capsys, "offline", recorded, *options)
    assert code == 2 and sentence in err and "Traceback" not in err


def test_what_no_network_can_see_is_refused_before_anything_is_written(tmp_path, capsys):
    with Journal(tmp_path / "set", episodes.schema(task="theirs/lift"), sync=False) as journal:
        for step in episodes.stream(8):
            journal.append(step)
    code, _, err = said(capsys, "offline", tmp_path / "set", "--run", tmp_path / "run")
    assert code == 2 and "observation 'sim/cube' is float32 of shape (2, 3)" in err
    assert not (tmp_path / "run").exists()


def test_nothing_recorded_is_one_sentence(tmp_path, capsys):
    code, _, err = said(capsys, "offline", tmp_path / "nothing")
    assert code == 2 and "does not exist; name a run, a journal" in err
