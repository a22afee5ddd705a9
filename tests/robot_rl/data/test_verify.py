import dataclasses

import numpy as np
import pytest

from robot_rl.data.journal import Journal, JournalReader
from robot_rl.data.label import Label
from robot_rl.data.schema import Schema
from robot_rl.data.verify import FROZEN_STEPS, verify
from tests.robot_rl.data import episodes


def write(folder, records, schema=None):
    with Journal(folder, schema or episodes.schema(images=True), sync=False) as journal:
        for record in records:
            journal.append(dataclasses.replace(record, sequence=journal.next_sequence))
    return verify([JournalReader(folder)])


def kinds(verdict):
    return [(item.kind, item.level, item.episode, item.step) for item in verdict.findings]


@pytest.fixture
def made():
    return list(episodes.stream(40, images=True, length=20))


def test_sound_data_has_no_findings(tmp_path, made):
    verdict = write(tmp_path, made)
    assert (verdict.findings, verdict.steps, verdict.episodes) == ([], 40, 2)
    assert verdict.summary()["ok"]


def test_an_empty_journal_is_a_fault(tmp_path):
    assert [item.kind for item in write(tmp_path, []).findings] == ["empty"]


def test_missing_steps_are_a_hole(tmp_path, made):
    verdict = write(tmp_path, made[:5] + made[7:])
    assert ("hole", "fault", made[0].episode, 7) in kinds(verdict)
    assert "steps 5 to 6 are missing" in [item.text for item in verdict.findings]
    assert not [item for item in verdict.findings if item.kind == "next_observation"]  # the hole explains it


def test_a_hole_at_the_start_and_an_episode_in_two_parts(tmp_path, made):
    verdict = write(tmp_path, made[2:10] + made[20:] + made[10:20])
    assert ("hole", "fault", made[0].episode, 2) in kinds(verdict)
    assert ("interleaved", "fault", made[0].episode, 10) in kinds(verdict)


def test_what_goes_on_after_its_end(tmp_path, made):
    made[4] = dataclasses.replace(made[4], terminated=True)
    assert ("end", "fault", made[0].episode, 5) in kinds(write(tmp_path, made))


def test_a_next_observation_that_is_not_the_next(tmp_path, made):
    wrong = {**made[6].observation, "tool_position": np.ones(3, np.float32)}
    made[6] = dataclasses.replace(made[6], observation=wrong)
    verdict = write(tmp_path, made)
    assert kinds(verdict) == [("next_observation", "fault", made[0].episode, 6)]
    assert "'tool_position'" in verdict.findings[0].text


def test_stamps_that_go_back_and_steps_that_take_too_long(tmp_path, made):
    made[6] = dataclasses.replace(made[6], stamp=0.1)
    made[25] = dataclasses.replace(made[25], next_stamp=made[25].next_stamp + 0.09)
    made[26] = dataclasses.replace(made[26], stamp=made[25].next_stamp, next_stamp=made[25].next_stamp + 0.1)
    found = kinds(write(tmp_path, made))
    assert ("stamps", "fault", made[0].episode, 6) in found
    assert ("jitter", "warning", made[20].episode, 5) in found
    assert ("jitter", "warning", made[0].episode, 6) in found  # 0.6 s of a step
    made[6] = dataclasses.replace(made[6], stamp=made[6].next_stamp)
    assert ("stamps", "fault", made[0].episode, 6) in kinds(write(tmp_path / "two", made))


def frozen(made, start, stop):
    """The camera shows one picture in the observations `start` to `stop` of the first episode."""
    still = made[start].observation["wrist"]
    for index in range(start - 1, stop):
        step = made[index]
        before = {**step.observation, "wrist": still} if index >= start else step.observation
        after = {**step.next_observation, "wrist": still}
        made[index] = dataclasses.replace(step, observation=before, next_observation=after)
    last = made[stop]
    made[stop] = dataclasses.replace(last, observation={**last.observation, "wrist": still})
    return made


def test_a_frozen_camera_is_found_while_the_arm_moves(tmp_path, made):
    verdict = write(tmp_path / "a", frozen(made, 4, 5 + FROZEN_STEPS))
    assert kinds(verdict) == [("frozen", "fault", made[0].episode, 3)]
    assert "camera 'wrist' shows the same picture for 12 steps while the arm moves" in verdict.findings[0].text


def test_a_camera_that_shows_an_arm_at_rest_is_not_frozen(tmp_path, made):
    made, rest = frozen(made, 4, 5 + FROZEN_STEPS), np.zeros(3, np.float32)
    for index in range(3, 16):
        step = made[index]
        before = {**step.observation, "tool_position": rest} if index > 3 else step.observation
        made[index] = dataclasses.replace(
            step, observation=before, next_observation={**step.next_observation, "tool_position": rest}
        )
    made[16] = dataclasses.replace(made[16], observation={**made[16].observation, "tool_position": rest})
    assert write(tmp_path / "b", made).findings == []


def test_a_short_standstill_is_nothing(tmp_path, made):
    assert write(tmp_path, frozen(made, 4, 10)).findings == []


def test_saturated_and_constant(tmp_path):
    made = list(episodes.stream(120, length=20))
    made = [
        dataclasses.replace(
            step,
            action=np.array([1, step.action[1], 1], np.float32),
            observation={**step.observation, "sim/cube": np.zeros((2, 3), np.float32)},
            next_observation={**step.next_observation, "sim/cube": np.zeros((2, 3), np.float32)},
        )
        for step in made
    ]
    found = write(tmp_path, made, episodes.schema())
    assert {(item.kind, item.level) for item in found.findings} == {("saturated", "warning"), ("constant", "warning")}
    assert [item.text for item in found.findings if item.kind == "constant"] == [
        "'sim/cube' is the same in all 120 steps"
    ]
    assert sum(item.kind == "saturated" for item in found.findings) == 6  # axis x of each episode, not the gripper
    assert (found.faults, found.warnings) == (0, 7)


def test_actions_out_of_their_bounds(tmp_path, made):
    made[3] = dataclasses.replace(made[3], action=np.array([0, 1.5, 0], np.float32))
    assert kinds(write(tmp_path, made)) == [("action", "fault", made[0].episode, 3)]


def test_a_record_that_cannot_be_read_is_named_and_the_rest_is_read(tmp_path, made):
    write(tmp_path, made)
    reader = JournalReader(tmp_path)
    path = tmp_path / "00000.mcap"
    content = bytearray(path.read_bytes())
    where = content.find(reader.message(10)) + 40
    content[where] ^= 0xFF
    path.write_bytes(content)
    verdict = verify([JournalReader(tmp_path)])
    assert verdict.findings[0].kind == "damaged" and "record 10 in" in verdict.findings[0].text
    assert verdict.steps >= 38
    assert any(item.kind == "hole" and item.episode == made[0].episode for item in verdict.findings)


def test_an_open_episode_and_labels_of_nothing(tmp_path, made):
    said = Label("person", 0, 1.0, "nowhere", 0, "human", 1, "success", 1.0)
    late = Label("person", 0, 1.0, made[0].episode, 99, "human", 1, "success", 1.0)
    verdict = write(tmp_path, [*made[:10], *made[20:], said, late])
    assert [item for item in kinds(verdict) if item[0] != "label"] == [("open", "warning", made[0].episode, 9)]
    assert [item[2:] for item in kinds(verdict) if item[0] == "label"] == [("nowhere", -1), (made[0].episode, 99)]
    assert verdict.labels == 2


def test_a_fault_in_every_step_is_one_finding(tmp_path):
    schema = Schema.from_example("t", {"q": np.zeros(1, np.float32)}, episodes.ACTIONS)
    made = [
        dataclasses.replace(
            step,
            observation={"q": np.array([index], np.float32)},
            next_observation={"q": np.array([-index], np.float32)},
        )
        for index, step in enumerate(episodes.stream(50, length=50))
    ]
    verdict = write(tmp_path, made, schema)
    assert len(verdict.findings) == 1 and verdict.findings[0].count == 49
