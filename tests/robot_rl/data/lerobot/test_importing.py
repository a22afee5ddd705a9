import json
import random

import numpy as np
import pyarrow.parquet as pq
import pytest

from robot_rl.data.formats.foreign import import_any
from robot_rl.data.formats.intake import Want
from robot_rl.data.formats.mapping import parse_map
from robot_rl.data.journal import JournalReader
from robot_rl.data.lerobot import import_lerobot
from robot_rl.data.lerobot.layout import Feature
from robot_rl.exceptions import DataError
from tests.robot_rl.data.episodes import same
from tests.robot_rl.data.lerobot import samples
from tests.robot_rl.data.lerobot.test_dataset import CAMERA, DAMAGE, DATA


def steps(tmp_path, name="set", into="back", **options):
    count = import_lerobot(tmp_path / name, tmp_path / into, **options)
    found = list(JournalReader(tmp_path / into).read())
    assert count == len(found)
    return found


def test_pairs_are_of_consecutive_frames_and_the_last_frame_is_a_next_observation(tmp_path):
    kept = samples.foreign(tmp_path / "set", **{"next.done": lambda *_: False})
    found = steps(tmp_path)
    assert [step.step for step in found] == [0, 1, 2, 0, 1]
    assert [(step.terminated, step.truncated) for step in found] == [(False, k in (2, 4)) for k in range(5)]
    for step, row in zip(found, (0, 1, 2, 4, 5), strict=True):
        assert np.array_equal(step.observation["state"], kept["observation.state"][row].astype(np.float32))
        assert np.array_equal(step.next_observation["state"], kept["observation.state"][row + 1].astype(np.float32))
        assert np.array_equal(step.action, kept["action"][row]) and np.array_equal(step.policy_action, step.action)
        assert step.reward == kept["next.reward"][row]
        assert np.array_equal(step.observation["top"], samples.picture(step.step))
        assert np.array_equal(step.next_observation["top"], samples.picture(step.step + 1))
    assert len({step.episode for step in found}) == 2
    assert [round(step.stamp, 3) for step in found] == [0, 0.1, 0.2, 0.4, 0.5]
    assert all(step.next_stamp > step.stamp for step in found)


def test_the_step_that_ended_the_task_keeps_its_reward(tmp_path):
    samples.foreign(tmp_path / "set")  # done in the last row of each episode
    found = steps(tmp_path)
    assert [step.terminated for step in found] == [False] * 3 + [True] + [False] * 2 + [True]
    assert [step.reward for step in found] == [0, 1, 2, 3, 0, 1, 2]
    assert same(found[3], found[3]) and np.array_equal(found[3].observation["top"], found[3].next_observation["top"])
    assert not any(step.truncated for step in found)


def test_an_end_within_an_episode_begins_another(tmp_path):
    samples.foreign(tmp_path / "set", (6,), **{"next.done": lambda _, step: step == 2})
    found = steps(tmp_path)
    assert [step.step for step in found] == [0, 1, 2, 0, 1]
    assert found[2].episode != found[3].episode
    assert found[2].terminated and found[4].truncated


def test_an_episode_of_one_frame_has_no_pair(tmp_path):
    samples.foreign(tmp_path / "set", (1, 3), **{"next.done": lambda *_: False})
    assert len(steps(tmp_path)) == 2
    samples.foreign(tmp_path / "short", (1, 1), **{"next.done": lambda *_: False})
    with pytest.raises(DataError, match="no step"):
        steps(tmp_path, "short", "none")
    assert not (tmp_path / "none").exists()


def test_several_tasks_are_told_apart_by_their_number(tmp_path):
    samples.foreign(tmp_path / "set")
    samples.rewrite(tmp_path / "set" / DATA, task_index=np.array([0] * 4 + [1] * 3))
    samples.write_tasks(tmp_path / "set/meta/tasks.parquet", "stack", "sort")
    found = steps(tmp_path)
    assert [step.observation["task_index"].item() for step in found] == [0] * 4 + [1] * 3
    assert JournalReader(tmp_path / "back").schema.task == "stack and 1 more"


def test_the_same_dataset_gives_the_same_episodes_and_another_gives_others(tmp_path):
    for name, lengths in (("a", (3, 2)), ("b", (3, 3))):
        samples.foreign(tmp_path / name, lengths)
    names = [
        {step.episode for step in steps(tmp_path, name, into)} for name, into in (("a", "1"), ("a", "2"), ("b", "3"))
    ]
    assert names[0] == names[1]
    assert not names[0] & names[2]


@pytest.mark.parametrize("fps", [5, 29.97])
def test_videos_at_another_rate_give_the_nearest_frames(tmp_path, fps):
    camera = samples.video_feature(CAMERA, fps)
    samples.foreign(tmp_path / "set", (6,), {**samples.FOREIGN, CAMERA: camera}, fps=fps)
    path = tmp_path / "set/meta/info.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"fps": 10}))
    samples.rewrite(tmp_path / "set" / DATA, timestamp=np.arange(6, dtype=np.float32) / 10 * min(1, 10 / fps))
    found = steps(tmp_path)
    for row, step in enumerate(found):
        nearest = row / 10 * min(1, 10 / fps) * fps
        assert samples.shows(step.observation["top"], nearest)


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_dataset_leaves_nothing_behind(tmp_path, name):
    damage, words = DAMAGE[name]
    samples.foreign(tmp_path / "set", features={**samples.FOREIGN, CAMERA: samples.video_feature(CAMERA)})
    damage(tmp_path / "set")
    with pytest.raises(DataError, match=words):
        steps(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set"]


def test_a_value_that_is_no_number_is_refused_by_its_name(tmp_path):
    samples.foreign(tmp_path / "set", **{"next.reward": lambda _, step: np.nan if step == 2 else 0.0})
    with pytest.raises(DataError, match=r"step 2 of episode.*reward is nan"):
        steps(tmp_path)


def test_a_taken_folder_stays_as_it_is(tmp_path):
    samples.foreign(tmp_path / "set")
    (tmp_path / "back").mkdir()
    (tmp_path / "back/mine").write_text("x")
    with pytest.raises(DataError, match="exists already"):
        steps(tmp_path)
    assert (tmp_path / "back/mine").read_text() == "x"


def test_frames_are_read_few_at_a_time(tmp_path, monkeypatch):
    from robot_rl.data.lerobot import dataset

    monkeypatch.setattr(dataset, "_ROWS", 4)
    samples.foreign(tmp_path / "set", (50, 50))
    read, sizes = dataset._values, []
    monkeypatch.setattr(dataset, "_values", lambda column, feature: sizes.append(len(column)) or read(column, feature))
    assert len(steps(tmp_path)) == 100
    assert max(sizes) == 4


def test_a_map_file_names_features_bounds_and_the_size_of_pictures(tmp_path):
    kept = samples.foreign(tmp_path / "set", action=lambda _, step: np.array([10 * step, -step], np.float32))
    content = {
        "observation": {"joint": "observation.state[0:2]", "cam": "observation.images.top"},
        "action": {"topic": "action", "low": [-40], "high": [40], "names": ["hip", "knee"]},
        "reward": "frame_index",
    }
    want = Want(parse_map(content), size=(16, 24))
    assert import_any(tmp_path / "set", tmp_path / "back", want, "lerobot") == (7, [])
    reader = JournalReader(tmp_path / "back")
    assert reader.schema.actions == ("hip", "knee")
    found = list(reader.read())
    assert [step.reward for step in found] == [0, 1, 2, 3, 0, 1, 2]
    assert np.allclose([step.action for step in found], kept["action"] / 40)
    assert found[0].observation["cam"].shape == (16, 24, 3)
    with pytest.raises(DataError, match="its own rate"):
        import_any(tmp_path / "set", tmp_path / "none", Want(parse_map({"rate": 10})), "lerobot")


@pytest.mark.parametrize("part", ["data", "episodes", "tasks", "info", "video"])
def test_random_damage_is_refused_or_harmless_and_never_anything_else(tmp_path, part):
    """Bits flipped, bytes cut and doubled: a sentence, or all of the steps; no other error, and nothing half."""
    features = {**samples.FOREIGN, "extra": Feature("extra", "string"), CAMERA: samples.video_feature(CAMERA)}
    samples.foreign(tmp_path / "set", (4, 3), features, extra=lambda *_: "x")
    whole = len(steps(tmp_path, into="whole"))
    paths = {
        "data": DATA, "episodes": "meta/episodes/chunk-000/file-000.parquet", "tasks": "meta/tasks.parquet",
        "info": "meta/info.json", "video": f"videos/{CAMERA}/chunk-000/file-000.mp4",
    }  # fmt: skip
    path = tmp_path / "set" / paths[part]
    sound = path.read_bytes()
    random_ = random.Random(part)
    refused = []
    for number in range(60):
        path.write_bytes(damaged(sound, random_))
        into = tmp_path / f"back{number}"
        try:
            count = import_lerobot(tmp_path / "set", into)
        except DataError as error:
            refused.append(str(error))
        else:
            assert part in ("info", "video") or count == whole
            assert into.exists()
    assert len(refused) > 20 and not any("\n" in sentence for sentence in refused)
    assert len(list(tmp_path.glob("back*"))) == 60 - len(refused)


def damaged(content: bytes, random_: random.Random) -> bytes:
    data = bytearray(content)
    kind = random_.randrange(4)
    at = random_.randrange(len(data))
    if kind == 0:
        for _ in range(random_.randrange(1, 9)):
            data[random_.randrange(len(data))] ^= 1 << random_.randrange(8)
    elif kind == 1:
        del data[at:]
    elif kind == 2:
        data[at:at] = data[at : at + random_.randrange(1, 99)]
    else:
        data[at : at + 8] = random_.randbytes(8)
    return bytes(data)


def test_a_group_of_the_file_holds_an_episode(tmp_path):
    samples.foreign(tmp_path / "set", (4, 3))
    assert pq.ParquetFile(tmp_path / "set" / DATA).metadata.row_group(1).num_rows == 3
