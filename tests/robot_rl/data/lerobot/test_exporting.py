import dataclasses
import json

import numpy as np
import pytest

from robot_rl.data.journal import JournalReader
from robot_rl.data.label import Label, Labels
from robot_rl.data.lerobot import export_lerobot, import_lerobot
from robot_rl.data.lerobot.dataset import Dataset
from robot_rl.data.lerobot.writer import DatasetWriter
from robot_rl.data.transition import Transition
from robot_rl.exceptions import DataError
from tests.robot_rl.data.episodes import same
from tests.robot_rl.data.lerobot import samples


def difficult() -> list[Transition]:
    """A hole, a step that observes otherwise than its predecessor led to, an episode of one step, one left open."""
    steps = list(samples.stream((6, 1, 4, 3)))
    del steps[2]
    steps[3] = dataclasses.replace(
        steps[3], observation={**steps[3].observation, "gripper": np.array([-0.0], np.float32)}
    )
    steps[2] = dataclasses.replace(
        steps[2], next_observation={**steps[2].next_observation, "gripper": np.array([0.0], np.float32)}
    )
    return [dataclasses.replace(step, sequence=sequence) for sequence, step in enumerate(steps)]


def test_every_transition_comes_back_to_the_bit_where_images_are_lossless(tmp_path):
    steps = difficult()
    assert export_lerobot(samples.journal(tmp_path / "set", steps), tmp_path / "there", lossless=True) == len(steps)
    assert import_lerobot(tmp_path / "there", tmp_path / "back") == len(steps)
    back = JournalReader(tmp_path / "back")
    assert back.schema == samples.schema()
    assert all(same(left, right) for left, right in zip(steps, back.read(), strict=True))


@pytest.mark.parametrize("codec", ["h264", "av1"])
def test_a_video_keeps_everything_but_the_last_bits_of_its_images(tmp_path, codec):
    steps = difficult()
    export_lerobot(samples.journal(tmp_path / "set", steps), tmp_path / "there", codec=codec)
    import_lerobot(tmp_path / "there", tmp_path / "back")
    for left, right in zip(steps, JournalReader(tmp_path / "back").read(), strict=True):
        for where in ("observation", "next_observation"):
            before, after = getattr(left, where), dict(getattr(right, where))
            for name in ("wrist", "depth"):
                assert samples.shows(after[name], left.step + (where == "next_observation"))
                after[name] = before[name]
            right = dataclasses.replace(right, **{where: after})
        assert same(left, right)


def test_each_row_says_what_followed_and_the_last_observation_has_a_row_of_its_own(tmp_path):
    export_lerobot(samples.journal(tmp_path / "set"), tmp_path / "there", lossless=True)
    dataset = Dataset(tmp_path / "there")
    assert (dataset.info.fps, dataset.info.total_frames, dataset.tasks) == (10, 10, ("lift",))
    rows = [row for _, row in dataset.rows(list(dataset.info.features))]
    only = [bool(row["observation_only"]) for row in rows]
    assert only == [False] * 5 + [True] + [False] * 3 + [True]
    assert [bool(row["next.done"]) for row in rows] == [False] * 4 + [True] * 2 + [False] * 2 + [True] * 2
    assert [int(row["index"]) for row in rows] == list(range(10))
    assert [float(row["timestamp"]) for row in rows[:3]] == [float(np.float32(k / 10)) for k in range(3)]
    steps = list(samples.stream())
    assert np.array_equal(rows[5]["observation.state"], state(steps[4].next_observation))
    assert np.array_equal(rows[5]["action"], steps[4].action)
    assert rows[4]["next.reward"] == steps[4].reward
    assert dataset.info.features["observation.environment_state"].shape == (6,)


def state(observation):
    return np.concatenate([observation["gripper"], observation["tool_pose"]])


def test_labels_are_applied_and_what_was_recorded_stays(tmp_path):
    steps = list(samples.stream())
    labels = [
        samples.label(steps[1], "reward", 7.5),
        samples.label(steps[4], "success", 0.0),
        samples.label(steps[6], "discard", 1.0),
    ]
    records = [steps[0], labels[0], *steps[1:], *labels[1:2]]
    export_lerobot(samples.journal(tmp_path / "set", records), tmp_path / "there", lossless=True, labels=labels[2:])
    rows = [row for _, row in Dataset(tmp_path / "there").rows(["next.reward", "raw.reward", "next.success"])]
    assert (rows[1]["next.reward"], rows[1]["raw.reward"]) == (7.5, steps[1].reward)
    assert not rows[4]["next.success"]
    import_lerobot(tmp_path / "there", tmp_path / "back")
    found, judged = list(JournalReader(tmp_path / "back").records()), Labels()
    for record in found:
        if isinstance(record, Label):
            judged.add(record)
    back = [record for record in found if isinstance(record, Transition)]
    assert [step.reward for step in back] == [step.reward for step in steps]
    assert judged.reward(steps[1].episode, 1, 0.0) == 7.5
    assert judged.success(steps[4].episode, 4, True) is False
    assert [judged.discarded(step.episode, step.step) for step in back] == [k == 6 for k in range(8)]


def test_several_journals_make_one_dataset(tmp_path):
    readers = [samples.journal(tmp_path / "a"), samples.journal(tmp_path / "b", list(samples.stream((2,), seed=1)))]
    assert export_lerobot(readers, tmp_path / "there", lossless=True) == 10
    import_lerobot(tmp_path / "there", tmp_path / "back")
    wanted = [*samples.stream(), *samples.stream((2,), seed=1)]
    for left, right in zip(wanted, JournalReader(tmp_path / "back").read(), strict=True):
        assert same(dataclasses.replace(left, sequence=right.sequence), right)


def test_a_dataset_cut_short_by_another_tool_truncates_where_it_was_cut(tmp_path):
    export_lerobot(samples.journal(tmp_path / "set", list(samples.stream((4, 3)))), tmp_path / "there", lossless=True)
    data = tmp_path / "there/data/chunk-000/file-000.parquet"
    samples.keep_rows(data, range(8))  # episode 1 without its last observation, as a tool that drops frames leaves it
    samples.rewrite(tmp_path / "there/meta/episodes/chunk-000/file-000.parquet", length=[5, 3])
    info = json.loads((tmp_path / "there/meta/info.json").read_text()) | {"total_frames": 8}
    (tmp_path / "there/meta/info.json").write_text(json.dumps(info))
    assert import_lerobot(tmp_path / "there", tmp_path / "back") == 6
    back = list(JournalReader(tmp_path / "back").read())
    assert [step.truncated for step in back] == [False] * 5 + [True]


def test_a_crash_in_the_middle_leaves_no_dataset(tmp_path, monkeypatch):
    reader = samples.journal(tmp_path / "set")
    end = DatasetWriter.end

    def dies(writer):
        end(writer)
        raise KeyboardInterrupt

    monkeypatch.setattr(DatasetWriter, "end", dies)
    with pytest.raises(KeyboardInterrupt):
        export_lerobot(reader, tmp_path / "there")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set"]


def test_a_full_disk_is_a_sentence_and_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(DatasetWriter, "add", full)
    with pytest.raises(DataError, match="No space left"):
        export_lerobot(samples.journal(tmp_path / "set"), tmp_path / "there")
    assert not (tmp_path / "there").exists()


def test_what_cannot_be_exported_is_said(tmp_path):
    reader = samples.journal(tmp_path / "set")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/file").write_text("mine")
    with pytest.raises(DataError, match="taken"):
        export_lerobot(reader, tmp_path / "taken")
    assert (tmp_path / "taken/file").read_text() == "mine"
    with pytest.raises(DataError, match="fps is -3"):
        export_lerobot(reader, tmp_path / "there", fps=-3)
    with pytest.raises(DataError, match="'vp8' is unknown; choose from h264, av1"):
        export_lerobot(reader, tmp_path / "there", codec="vp8")
    with pytest.raises(DataError, match="holds no transitions"):
        export_lerobot(samples.journal(tmp_path / "none", []), tmp_path / "there")
    still = [dataclasses.replace(step, next_stamp=step.stamp) for step in samples.stream()]
    with pytest.raises(DataError, match="say which fps"):
        export_lerobot(samples.journal(tmp_path / "still", still), tmp_path / "there")
    assert not (tmp_path / "there").exists()


def test_progress_counts_to_the_last(tmp_path):
    told = []
    export_lerobot(samples.journal(tmp_path / "set"), tmp_path / "there", progress=told.append)
    assert told == list(range(1, 9))
