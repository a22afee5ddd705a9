import numpy as np
import pytest

from robot_rl.data.formats.experience import open_experience
from robot_rl.exceptions import ConfigError, DataError
from robot_rl.rewards.classifier.configuration import ClassifierConfig, validate
from robot_rl.rewards.classifier.data import Frames, join, read_frames
from robot_rl.rewards.classifier.model import calibrate, choose_threshold, load_classifier, softmax
from robot_rl.rewards.classifier.training import area, calibration_error, measures, plain, roc, split, train
from tests.robot_rl.rewards.classifier import scenes

QUICK = ClassifierConfig(steps=400, hidden=16)
BINARY = ("other", "success")


def frames(folder, **settings):
    return read_frames(open_experience(scenes.record(folder, **settings)), QUICK)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    found = frames(tmp_path_factory.mktemp("sets") / "set", episodes=60)
    return train(found, BINARY, QUICK, "reach", lambda step: None)


def test_success_is_told_from_frames_of_episodes_that_were_not_trained_on(trained):
    about = trained.classifier.about
    assert about["accuracy"] == 1.0 and about["false_positives"] == 0 and about["auc"] == 1.0
    assert 0 < about["threshold"] < 1 and about["false_positive_ci95"][1] > 0.01


def test_it_is_written_and_read_back_to_the_bit(trained, tmp_path):
    trained.classifier.save(tmp_path)
    again = load_classifier(tmp_path)
    maps = plain(trained.reported)
    np.testing.assert_array_equal(again.probability(maps), trained.classifier.probability(maps))
    assert (again.threshold, again.backbone_id, again.task) == (
        trained.classifier.threshold, "0123456789abcdef", "reach",
    )  # fmt: skip


def test_damage_and_absence_are_one_sentence(trained, tmp_path):
    with pytest.raises(ConfigError, match="holds no classifier"):
        load_classifier(tmp_path)
    trained.classifier.save(tmp_path)
    file = tmp_path / "classifier.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(DataError, match="is damaged or of another release"):
        load_classifier(tmp_path)


def test_frames_of_another_camera_are_refused(trained):
    with pytest.raises(DataError, match="looks at camera 'wrist'"):
        trained.classifier.probability({"front": np.zeros((1, 4, 4, 64), np.float16)})
    with pytest.raises(DataError, match=r"as \(4, 4, 64\)"):
        trained.classifier.probability({"wrist": np.zeros((1, 2, 2, 64), np.float16)})


def test_one_class_alone_is_refused(tmp_path):
    with pytest.raises(DataError, match="there is no frame of success among"):
        train(frames(tmp_path / "set", successes=0.0), BINARY, QUICK, "reach", lambda step: None)


def test_too_few_held_out_episodes_are_named(tmp_path):
    found = frames(tmp_path / "set", episodes=8)
    with pytest.raises(DataError, match=r"of 'success' there are \d held-out frames to calibrate with"):
        train(found, BINARY, QUICK, "reach", lambda step: None)


def test_wrong_labels_are_survived_and_their_rate_is_told(tmp_path):
    found = frames(tmp_path / "set", episodes=150, flip=0.02)
    about = train(found, BINARY, QUICK, "reach", lambda step: None).classifier.about
    assert 0 < about["calibration_error"] < 0.1
    assert about["false_positive_rate"] <= 0.06


def test_an_episode_lies_in_one_part_and_successes_in_all(tmp_path):
    parts = split(frames(tmp_path / "set"), 0.4, np.random.default_rng(0))
    episodes = [{episode for episode, _ in part.place} for part in parts]
    assert not episodes[0] & episodes[1] and not episodes[1] & episodes[2] and not episodes[0] & episodes[2]
    assert all(part.label.any() for part in parts)
    assert sum(map(len, parts)) == 240


def test_hold_and_margin_say_which_steps_show_success(tmp_path):
    experience = open_experience(scenes.record(tmp_path / "set", episodes=4, successes=1.0))
    held = read_frames(experience, ClassifierConfig(hold=2, margin=3))
    assert [step for _, step in held.place[:3]] == [0, 4, 5]
    assert held.label[:3].tolist() == [0, 1, 1]
    assert len(read_frames(experience, ClassifierConfig(hold=2, margin=3), every=True)) == 24


def test_sets_of_several_backbones_are_not_mixed(tmp_path):
    one = frames(tmp_path / "set", episodes=2)
    other = Frames(one.maps, one.label, one.place, "fedcba9876543210")
    with pytest.raises(DataError, match="the sets are of backbones 0123456789abcdef and fedcba9876543210"):
        join([one, other])
    front = Frames({"front": one.maps["wrist"]}, one.label, one.place, one.backbone_id)
    with pytest.raises(DataError, match="of other cameras or crops"):
        join([one, front])


def test_temperature_undoes_what_logits_were_multiplied_by():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4000, 2)).astype(np.float32) * 2
    chances = softmax(logits)
    label = (rng.random(4000) < chances[:, 1]).astype(np.int64)
    assert calibrate(logits, label) == pytest.approx(1.0, abs=0.15)
    assert calibrate(logits * 5, label) == pytest.approx(5.0, abs=0.6)
    assert calibration_error(chances[:, 1], label == 1) < 0.03
    assert calibration_error(softmax(logits * 5)[:, 1], label == 1) > 0.08


def test_the_threshold_lets_no_more_through_than_was_asked():
    rng = np.random.default_rng(1)
    negative, positive = rng.beta(2, 5, 1000), rng.beta(5, 2, 300)
    said = np.concatenate([negative, positive]).astype(np.float32)
    success = np.arange(1300) >= 1000
    for rate in (0.0, 0.005, 0.05):
        threshold = choose_threshold(said, success, rate)
        assert (said[~success] >= threshold).mean() <= rate
    apart = np.array([0.01, 0.02, 0.9, 0.95], np.float32)
    assert 0.1 < choose_threshold(apart, np.array([False, False, True, True]), 0.0) < 0.6


def test_measures_by_hand():
    said = np.array([0.9, 0.8, 0.4, 0.3, 0.1], np.float32)
    success = np.array([True, False, True, False, False])
    found = measures(said, success, 0.5)
    assert (found["accuracy"], found["precision"], found["recall"]) == (0.6, 0.5, 0.5)
    assert (found["false_positives"], found["negatives"]) == (1, 3)
    assert area(said, success) == pytest.approx(5 / 6)
    false, true = roc(said, success)
    assert false.tolist() == pytest.approx([0, 0, 1 / 3, 1 / 3, 2 / 3, 1]) and true[-1] == 1
    assert area(said, np.ones(5, bool)) is None


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"hold": 0}, "--hold is 0"),
        ({"held_out": 0.9}, "--held-out is 0.9"),
        ({"false_positives": 0.5}, "--false-positives is 0.5"),
        ({"margin": -1}, "--margin is -1"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes, sentence):
    with pytest.raises(ConfigError, match=sentence):
        validate(ClassifierConfig(**changes))
