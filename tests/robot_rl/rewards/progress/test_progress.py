import dataclasses
import itertools
import time
import zlib

import numpy as np
import pytest

import tasks
from benchmarks.chat_service import Manners, Service, column_of_the_square
from robot_rl.config import effective
from robot_rl.data.beside import read_labels
from robot_rl.data.formats.experience import open_experience
from robot_rl.data.journal import JournalReader, read_journal
from robot_rl.data.label import LATE
from robot_rl.exceptions import ConfigError, DataError
from robot_rl.rewards.progress.configuration import ProgressConfig
from robot_rl.rewards.progress.model import open_progress, parse_progress
from robot_rl.rewards.progress.reward import ProgressReward
from tests.robot_rl.rewards.preference import moving
from tests.robot_rl.rewards.test_compose import READING
from tests.robot_rl.test_training import SMALL, begin, train

CONFIG = ProgressConfig(task="the square is at the right", model="looker", retries=0)


@pytest.mark.parametrize(
    "text, value",
    [
        ("70", 0.7),
        ("I see a robot.\nProgress: 100 %", 1.0),
        ("**0**", 0.0),
        ("12.5", 0.125),
        ("101", None),
        ("nearly there", None),
        ("", None),
        ("50\nor 60, who knows", None),
    ],
)
def test_an_answer_is_a_number_on_the_last_line(text, value):
    assert parse_progress(text) == value


def seen(x):
    return dataclasses.replace(READING, images={"wrist": moving.picture(np.random.default_rng(0), x)})


def reward(service, folder, **changes):
    config = dataclasses.replace(CONFIG, endpoint=service.url, **changes)
    return ProgressReward(open_progress(config, folder), config)


def test_a_picture_that_shows_the_goal_is_a_success(tmp_path):
    with Service(measure=column_of_the_square) as service:
        judge = reward(service, tmp_path, success=0.7)
        results = [judge(seen(x)) for x in (0.0, 0.5, 1.0)]
        assert [result.success for result in results] == [False, False, True]
        assert results[0].probability < results[1].probability < results[2].probability
        assert [result.value for result in results] == [0, 0, 1]
        judge(seen(0.5))
        assert len(service.requests) == 3  # it was asked before


def test_prose_is_no_success_and_counted(tmp_path):
    with Service(Manners(prose=1.0)) as service:
        judge = reward(service, tmp_path)
        assert not judge(seen(1.0)).success
        assert judge._model.failed == 1


def test_without_pictures_or_of_another_camera_it_says_so(tmp_path):
    with Service() as service:
        with pytest.raises(DataError, match="holds no pictures"):
            reward(service, tmp_path)(READING)
        with pytest.raises(DataError, match="no camera 'top'; there are wrist"):
            reward(service, tmp_path, camera="top")(seen(0.5))


def by_chance(picture):
    """1 of about every eighth picture, always of the same ones."""
    return float(zlib.crc32(picture.tobytes()) % 8 == 0)


LAYER = {"obs": "features", "crops": 1, "reward": "progress", "demos": "1", "steps": 55, "reward_frames": 1}


def asks(service):
    return {"endpoint": service.url, "task": "it is there", "model": "looker", "retries": 0, "camera": "wrist"}


def test_in_lockstep_each_step_waits_for_its_answer(tmp_path):
    with Service(measure=by_chance) as service:
        config, run = begin(tmp_path / "run", **LAYER, progress=asks(service))
        steps, _ = train(config, run)
        assert 10 < len(service.requests) <= 55
    assert any(step.success for step in steps)
    assert all(step.terminated and step.reward == 1 for step in steps if step.success)


def test_in_real_time_nobody_waits_and_a_success_ends_the_episode_when_it_comes(tmp_path):
    numbers = itertools.count()
    with Service(Manners(slow=0.25), measure=lambda picture: float(next(numbers) > 0)) as service:
        layer = LAYER | {"steps": 100, "learner": SMALL | {"start": 1000}}
        config, run = begin(tmp_path / "run", **layer, clock="realtime", progress=asks(service))
        began = time.monotonic()
        train(config, run)
        assert time.monotonic() - began < 60
        assert len(service.requests) < 60  # every few steps
    labels = list(JournalReader(run.journal).labels())
    assert labels and {label.source for label in labels} == {LATE}
    steps = {(step.episode, step.step): step for step in read_journal(run.journal)}
    won = [label for label in labels if label.kind == "success"]
    assert won and not any(step.terminated for step in steps.values())
    for label in won:
        last = max(step for episode, step in steps if episode == label.episode)
        gone = {other.step for other in labels if other.kind == "discard" and other.episode == label.episode}
        assert gone == set(range(label.step + 1, last + 1)) and steps[label.episode, last].truncated


@pytest.mark.parametrize(
    "layer, text",
    [
        ({"obs": "state"}, "pictures are judged"),
        ({"reward_frames": 2}, "reward_frames is 2"),
        ({"progress": {"model": "m"}}, "--progress.task is empty"),
        ({"progress": {"model": "m", "task": "t", "success": 0.0}}, "--progress.success is 0.0"),
    ],
)
def test_a_run_that_cannot_have_it_is_refused(layer, text):
    with pytest.raises(ConfigError, match=text):
        effective(tasks.load("reach"), {"obs": "features", "reward": "progress"} | layer)


def test_a_recorded_set_gets_its_progress_beside_it(tmp_path, said):
    recorded = moving.record(tmp_path / "set", episodes=3, length=7)
    ask = ("preferences", "score", recorded, "--out", tmp_path / "answers", "--task", "right", "--model", "looker")
    with Service(measure=column_of_the_square) as service:
        code, out, err = said(*ask, "--endpoint", service.url, "--every", "3")
        assert code == 0 and "21 labels, 0 pictures without an answer" in out, err
        assert len(service.requests) == 9  # steps 0, 3, 6 of each
        assert said(*ask, "--endpoint", service.url, "--every", "3", "--name", "again")[0] == 0
        assert len(service.requests) == 9
    values = {(label.episode, label.step): label.value for label in read_labels(recorded, "progress")}
    where = {(step.episode, step.step): step.next_observation["x"][0] for step in open_experience(recorded).steps()}
    asked = [place for place in where if place[1] % 3 == 0]
    assert np.corrcoef([values[place] for place in asked], [where[place] for place in asked])[0, 1] > 0.99
    episode = asked[0][0]
    assert values[episode, 1] == pytest.approx((2 * values[episode, 0] + values[episode, 3]) / 3)


def test_pictures_that_got_no_answer_are_passed_over_unless_all_did(tmp_path, said):
    recorded = moving.record(tmp_path / "set", episodes=1, length=8)
    ask = ("preferences", "score", recorded, "--task", "right", "--model", "looker", "--every", "1")
    with Service(Manners(prose=0.4)) as service:
        code, out, _ = said(*ask, "--endpoint", service.url, "--out", tmp_path / "some")
        assert code == 0 and "8 labels" in out and " 0 pictures without" not in out
    with Service(Manners(prose=1.0)) as service:
        code, _, err = said(*ask, "--endpoint", service.url, "--out", tmp_path / "none")
        assert code == 2 and "got an answer; see to the model" in err
    assert said(*ask, "--out", tmp_path / "none", "--every", "0")[0] == 2
