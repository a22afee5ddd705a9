import dataclasses

import pytest

from robot_rl.config import LearnerConfig
from robot_rl.data.beside import Judgement, read_labels, sources, write_labels
from robot_rl.data.formats.experience import open_experience
from robot_rl.data.journal import Journal
from robot_rl.data.label import Label
from robot_rl.data.transition import Transition
from robot_rl.data.worth import CONSTANT, RECORDED, Worth
from robot_rl.exceptions import DataError
from tests.robot_rl.data import episodes

SETTINGS = LearnerConfig()


@pytest.fixture
def recorded(tmp_path):
    """16 steps in 4 episodes with pictures; a person gave the second step 7 and discarded the last episode."""
    steps = list(episodes.stream(16, images=True))
    labels = [
        Label("desk", 0, 1.0, steps[1].episode, 1, "human", 0, "reward", 7.0),
        Label("desk", 0, 1.0, steps[-1].episode, -1, "human", 0, "discard", 1.0),
        Label("desk", 0, 1.0, steps[2].episode, 2, "old", 0, "reward", 9.0),
    ]
    with Journal(tmp_path / "set", episodes.schema(images=True), sync=False) as journal:
        for record in (*steps, *labels):
            journal.append(dataclasses.replace(record, sequence=journal.next_sequence))
    return open_experience(tmp_path / "set")


def judgements(experience, value=0.5):
    return [Judgement(step.episode, step.step, value) for step in experience.steps(packed=True)]


def rewards(experience, reward, settings=SETTINGS):
    return [record.reward for record in Worth(experience, reward, settings) if isinstance(record, Transition)]


def test_labels_lie_beside_the_set_which_stays_as_it_was(recorded):
    before = {file.name: file.read_bytes() for file in recorded.path.glob("*.mcap")}
    folder = write_labels(recorded, "classifier", judgements(recorded))
    assert folder == recorded.path / "labels" / "classifier-v1"
    assert {file.name: file.read_bytes() for file in recorded.path.glob("*.mcap")} == before
    assert sum(file.stat().st_size for file in folder.iterdir()) < 16_000
    assert write_labels(recorded, "classifier", judgements(recorded, 0.25)).name == "classifier-v2"
    assert sources(recorded.path) == {"classifier": 2}
    assert {label.value for label in read_labels(recorded.path, "classifier")} == {0.25}
    assert {label.value for label in read_labels(recorded.path, "classifier", 1)} == {0.5}
    assert open_experience(recorded.path).records == recorded.records


def test_the_set_is_worth_what_it_says_with_its_own_labels(recorded):
    plain = [step.reward for step in recorded.steps()]
    found = rewards(recorded, RECORDED)
    assert found[1] == 7.0 and found[2] == 9.0
    assert found[3:] == plain[3:] and found[0] == plain[0]


def test_a_source_is_worth_what_it_says_but_for_what_a_person_said(recorded):
    write_labels(recorded, "vlm", judgements(recorded))
    assert rewards(recorded, "vlm") == [0.5, 7.0, *[0.5] * 14]


def test_constant_is_worth_nothing_whoever_said_what(recorded):
    assert rewards(recorded, CONSTANT) == [0.0] * 16


def test_what_is_discarded_stays_so(recorded):
    kinds = [record.kind for record in Worth(recorded, CONSTANT, SETTINGS) if isinstance(record, Label)]
    assert kinds == ["discard"]


def test_rewards_are_scaled_by_the_range_of_returns_and_shifted(recorded):
    settings = dataclasses.replace(SETTINGS, reward_scaling=True, reward_shift=-1.0)
    plain, found = rewards(recorded, RECORDED), rewards(recorded, RECORDED, settings)
    totals = [sum(plain[4 * e : 4 * e + 4]) for e in range(4)]
    scale = 1000 / (max(totals) - min(totals))
    assert found == pytest.approx([scale * reward - 1 for reward in plain])


def test_labels_that_are_not_there_or_not_of_all_steps_are_refused(recorded):
    with pytest.raises(DataError, match=r"no labels of 'vlm' lie beside .*there are none.*data relabel"):
        Worth(recorded, "vlm", SETTINGS)
    write_labels(recorded, "vlm", judgements(recorded)[1:])
    with pytest.raises(DataError, match="1 of 12 steps of .* have no reward of 'vlm'"):
        Worth(recorded, "vlm", SETTINGS)
    write_labels(recorded, "vlm", judgements(recorded)[:-1])
    Worth(recorded, "vlm", SETTINGS)  # what is missing is discarded


@pytest.mark.parametrize("name", ["human", "constant", "../x", ""])
def test_names_that_mean_something_else_are_refused(recorded, name):
    with pytest.raises(DataError, match="labels cannot be of source"):
        write_labels(recorded, name, [])
    assert sources(recorded.path) == {}


def test_grades_do_not_say_when_the_task_is_done(recorded):
    ended = [step.terminated for step in recorded.steps(packed=True)]
    assert any(ended)

    def ends(source, value):
        write_labels(recorded, source, judgements(recorded, value))
        steps = [record for record in Worth(recorded, source, SETTINGS) if isinstance(record, Transition)]
        assert [step.terminated or step.truncated for step in steps].count(True) >= ended.count(True)
        return [step.terminated for step in steps]

    assert not any(ends("vlm", 0.5)) and ends("classifier", 1.0) == ended
