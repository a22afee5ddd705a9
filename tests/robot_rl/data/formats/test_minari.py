import json
from itertools import pairwise

import h5py
import numpy as np
import pytest

from robot_rl.data.formats.foreign import import_data, kind_of
from robot_rl.data.formats.intake import Want
from robot_rl.data.formats.mapping import parse_map
from robot_rl.data.journal import JournalReader, read_journal
from robot_rl.exceptions import DataError
from tests.robot_rl.data.formats import samples


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "maze" / "umaze-v0"


def test_an_episode_observes_one_time_more_than_it_acts(folder, tmp_path):
    made = samples.minari(folder)
    assert kind_of(folder) == kind_of(folder / "data") == "minari"
    written, notices = import_data(folder, tmp_path / "set", Want())
    assert (written.steps, written.episodes) == (sum(samples.LENGTHS), 3)
    assert notices.lines() == ["actions scaled from the bounds of their space to -1 and 1"]
    for step in read_journal(tmp_path / "set"):
        index = int(step.episode.split("_")[1])
        assert np.array_equal(step.observation["observation"], made[index]["seen"][step.step].astype(np.float32))
        assert np.array_equal(
            step.next_observation["desired_goal"], made[index]["goal"][step.step + 1].astype(np.float32)
        )
        assert step.action == pytest.approx(made[index]["action"][step.step] / 2, abs=1e-6)
        last = step.step == samples.LENGTHS[index] - 1
        assert (step.terminated, step.truncated) == (last and index != 1, last and index == 1)
        assert step.success == step.terminated
    assert JournalReader(tmp_path / "set").schema.task == "PointMaze-v3"


def test_the_map_has_the_last_word_on_names_and_bounds(folder, tmp_path):
    samples.minari(folder)
    asked = parse_map({"observation": {"goal": "desired_goal"}, "action": {"names": ["x", "y"], "low": -4, "high": 4}})
    import_data(folder, tmp_path / "set", Want(asked))
    schema = JournalReader(tmp_path / "set").schema
    assert [field.name for field in schema.observation] == ["goal"] and schema.actions == ("x", "y")
    assert max(np.abs(step.action).max() for step in read_journal(tmp_path / "set")) <= 0.5


def test_a_single_observation_has_a_name(folder, tmp_path):
    samples.minari(folder, -1, 1)
    with h5py.File(folder / "data" / "main_data.hdf5", "a") as file:
        for group in file.values():
            seen = group["observations/observation"][:]
            del group["observations"]
            group["observations"] = seen
    _, notices = import_data(folder, tmp_path / "set", Want())
    assert [field.name for field in JournalReader(tmp_path / "set").schema.observation] == ["observation"]
    assert notices.lines() == []


@pytest.mark.parametrize("same_length", [False, True])
def test_pictures_stored_as_jpeg_are_decoded(folder, tmp_path, same_length):
    samples.minari(folder, -1, 1)
    rng = np.random.default_rng(0)
    with h5py.File(folder / "data" / "main_data.hdf5", "a") as file:
        for group in file.values():
            count = len(group["actions"]) + 1
            frames = [samples.jpeg(np.full((32, 40, 3), 0 if same_length else rng.integers(256))) for _ in range(count)]
            if same_length:
                group["observations/camera"] = np.stack(frames)
                continue
            rows = group.create_dataset("observations/camera", (count,), h5py.vlen_dtype(np.uint8))
            for index in range(count):
                noise = rng.integers(0, 1 + index, (32, 40, 3))
                rows[index] = samples.jpeg(noise)
    import_data(folder, tmp_path / "set", Want())
    steps = list(read_journal(tmp_path / "set"))
    assert steps[0].observation["camera"].shape == (32, 40, 3)
    for before, after in pairwise(steps):
        if after.step:
            assert np.array_equal(before.next_observation["camera"], after.observation["camera"])
    assert abs(float(steps[0].observation["camera"].mean())) < 1


def test_what_is_not_read_says_so(folder, tmp_path):
    samples.minari(folder)
    path = folder / "data" / "metadata.json"
    about = json.loads(path.read_text())

    def refused(text, **changes):
        path.write_text(json.dumps({**about, **changes}))
        with pytest.raises(DataError, match=text):
            import_data(folder, tmp_path / "set", Want())
        assert not (tmp_path / "set").exists() and not (tmp_path / "set.part").exists()

    refused("stored as 'arrow'", data_format="arrow")
    refused("holds 3 episodes where metadata.json says 4", total_episodes=4)
    path.write_text("{")
    with pytest.raises(DataError, match=r"metadata.json cannot be read"):
        import_data(folder, tmp_path / "set", Want())
    path.write_text(json.dumps(about))
    with h5py.File(folder / "data" / "main_data.hdf5", "a") as file:
        del file["episode_1/truncations"]
    with pytest.raises(DataError, match="'episode_1' has 3 actions and no truncations"):
        import_data(folder, tmp_path / "set", Want())
