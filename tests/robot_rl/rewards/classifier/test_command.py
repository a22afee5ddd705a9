import dataclasses
import json

import numpy as np
import pytest

from controllers.interface import ArmState, Pose, Reading
from robot_rl.cli import main
from robot_rl.config import RunConfig, validate
from robot_rl.data.beside import read_labels
from robot_rl.data.formats.experience import open_experience
from robot_rl.exceptions import ConfigError, DataError
from robot_rl.perception.backbone import fingerprint, open_backbone
from robot_rl.rewards.classifier.model import load_classifier
from robot_rl.rewards.classifier.reward import ClassifierReward, open_classifier
from robot_rl.rewards.compose import InARow
from tests.robot_rl.rewards.classifier import scenes

QUICK = ("--steps", "200", "--hidden", "16")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A set of pictures, and a classifier trained on it."""
    folder = tmp_path_factory.mktemp("made")
    scenes.record(folder / "set", episodes=40, length=3, observe=scenes.pictures)
    assert main(["classifier", "train", str(folder / "set"), "--out", str(folder / "model"), *QUICK]) == 0
    return folder


def test_training_leaves_the_model_its_report_and_the_worst_frames(made, said):
    about = json.loads((made / "model" / "report.json").read_text())
    assert about["accuracy"] == 1.0 and about["frames"]["success"] > 10
    assert all((made / "model" / name).stat().st_size > 5000 for name in ("roc.png", "worst.png"))
    code, _, err = said("classifier", "train", made / "set", "--out", made / "model")
    assert code == 2 and "exists already" in err


def test_recorded_experience_is_relabelled_beside_it(made, said):
    code, out, _ = said("data", "relabel", made / "set", "--reward", "classifier", "--model", made / "model")
    assert code == 0 and "--reward classifier" in out
    experience = open_experience(made / "set")
    truth = {(step.episode, step.step): step.success for step in experience.steps(packed=True)}
    found = {(label.episode, label.step): label.value == 1.0 for label in read_labels(made / "set", "classifier")}
    assert found == truth


def test_what_a_person_says_of_doubtful_frames_counts_in_the_next_training(made, said, tmp_path):
    scenes.record(tmp_path / "set", episodes=30, length=3, observe=scenes.pictures, flip=0.1, seed=3)
    options = (tmp_path / "set", "--model", made / "model")
    code, out, _ = said("classifier", "review", *options, "--count", "3", "--answers", "yns")
    assert code == 0 and (made / "model" / "review.png").is_file() and "2 labels" in out
    reviewed = {(label.episode, label.step): label.value for label in read_labels(tmp_path / "set", "review")}
    assert sorted(reviewed.values()) == [0.0, 1.0]
    from robot_rl.rewards.classifier.command import backbone
    from robot_rl.rewards.classifier.configuration import ClassifierConfig
    from robot_rl.rewards.classifier.data import read_frames

    frames = read_frames(open_experience(tmp_path / "set"), ClassifierConfig(), backbone("compact"))
    assert all(frames.label[frames.place.index(place)] == value for place, value in reviewed.items())
    assert said("classifier", "review", *options, "--answers", "yy")[0] == 2
    assert "no terminal; give --answers" in said("classifier", "review", *options)[2]


def test_classes_by_set(tmp_path, said):
    ours = fingerprint(open_backbone("compact"))
    for number, name in enumerate(("good", "dropped", "beside")):

        def observe(rng, shows, row=number):
            maps = rng.normal(size=scenes.SHAPE)
            maps[:, row] += 3
            return {"wrist_features": maps.astype(np.float16)}

        scenes.record(tmp_path / name, episodes=12, length=2, observe=observe, seed=number, backbone=ours)
    sets = (f"success={tmp_path / 'good'}", f"dropped={tmp_path / 'dropped'}", f"beside={tmp_path / 'beside'}")
    code, _, err = said("classifier", "train", *sets, "--out", tmp_path / "model", *QUICK)
    assert code == 0, err
    about = json.loads((tmp_path / "model" / "report.json").read_text())
    assert about["classes_right"] == 1.0 and set(about["frames"]) == {"success", "dropped", "beside"}
    assert said("classifier", "train", sets[0], tmp_path / "beside", "--out", tmp_path / "x")[0] == 2
    assert "every set is called success" in said("classifier", "train", sets[0], "--out", tmp_path / "x")[2]


def reading(shows, tick=0):
    rng = np.random.default_rng(tick)
    zeros, pose = np.zeros(6), Pose(np.zeros(3), np.array([0.0, 0, 0, 1]))
    from robot_rl.rewards.classifier.command import backbone

    maps = backbone("compact").encode(scenes.pictures(rng, shows), tick)
    return Reading(tick, 0.0, ArmState(zeros, zeros, zeros, pose, zeros, zeros, pose, 0.0), features=maps)


def test_as_a_reward_it_wants_so_many_frames_in_a_row(made):
    model = InARow(ClassifierReward(load_classifier(made / "model")), 2)
    results = [model(reading(shows, tick)) for tick, shows in enumerate([False, True, True, False])]
    assert [result.success for result in results] == [False, False, True, False]
    assert [result.value for result in results] == [0.0, 0.0, 1.0, 0.0]
    assert results[1].probability > 0.9 > 0.5 > results[0].probability
    with pytest.raises(DataError, match="holds no features"):
        model(dataclasses.replace(reading(True), features={}))


def test_another_task_or_backbone_is_refused_with_the_mend(made):
    ours = fingerprint(open_backbone("compact"))
    assert open_classifier(made / "model", "reach", ours).source == "classifier"
    with pytest.raises(ConfigError, match="trained on task reach, not peg_insert"):
        open_classifier(made / "model", "peg_insert", ours)
    with pytest.raises(ConfigError, match="--backbone compact"):
        open_classifier(made / "model", "reach", "0" * 16)


def test_a_run_judged_by_it_is_refused_where_it_would_see_nothing(made):
    config = RunConfig("reach", reward="classifier", obs="features", reward_model=made / "model")
    validate(config)
    with pytest.raises(ConfigError, match="a classifier needs --obs features"):
        validate(dataclasses.replace(config, obs="state"))
    with pytest.raises(ConfigError, match="name one with --reward-model"):
        validate(dataclasses.replace(config, reward_model=None))


def test_another_task_s_set_is_not_relabelled(made, said, tmp_path):
    scenes.record(tmp_path / "set", episodes=2, length=2, observe=scenes.pictures, task="lift")
    code, _, err = said("data", "relabel", tmp_path / "set", "--reward", "classifier", "--model", made / "model")
    assert code == 2 and "was trained on task reach" in err and "of lift; train one for that task" in err


def test_sets_that_show_nothing_are_refused(said, tmp_path):
    scenes.record(tmp_path / "set", episodes=2, observe=lambda rng, shows: {"pose": np.zeros(3, np.float32)})
    code, _, err = said("classifier", "train", tmp_path / "set", "--out", tmp_path / "model")
    assert code == 2 and "was recorded without cameras" in err
    scenes.record(tmp_path / "theirs", episodes=2)
    code, _, err = said("classifier", "train", tmp_path / "theirs", "--out", tmp_path / "model")
    assert code == 2 and "the sets' features are of 0123456789abcdef" in err
    assert not (tmp_path / "model").exists()
