import json

import pytest

from robot_rl.data.lerobot.layout import DATA, Feature, Info, Shard, place
from robot_rl.exceptions import DataError

FEATURES = {"action": Feature("action", "float32", (2,), ("x", "y"))}


def write(folder, **changes):
    content = json.loads(Info(10, FEATURES, 2, 9, 1).to_json()) | changes
    (folder / "meta").mkdir(exist_ok=True)
    (folder / "meta/info.json").write_text(json.dumps({name: value for name, value in content.items() if value != "-"}))
    return folder


def test_what_is_written_is_read(tmp_path):
    info = Info.read(write(tmp_path))
    assert info == Info(10, FEATURES, 2, 9, 1)
    assert json.loads(info.to_json())["fps"] == 10
    assert json.loads(Info(7.5, FEATURES).to_json())["fps"] == 7.5


def test_files_are_numbered_as_lerobot_does(tmp_path):
    assert place(DATA, chunk_index=0, file_index=12) == "data/chunk-000/file-012.parquet"
    assert Shard(0, 998).next() == Shard(0, 999)
    assert Shard(0, 999).next() == Shard(1, 0)


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"codebase_version": "v2.1"}, r"version v2\.1.*convert_dataset_v21_to_v30"),
        ({"codebase_version": "v4.0"}, r"version v4\.0; v3\.0 is read"),
        ({"codebase_version": "-"}, "codebase_version"),
        ({"fps": 0}, "fps 0"),
        ({"fps": "fast"}, "fast"),
        ({"features": []}, "does not describe"),
        ({"features": {"action": {"dtype": "object", "shape": [2]}}}, "dtype 'object'"),
        ({"features": {"action": {"dtype": "float32", "shape": [-2]}}}, "impossible shape"),
        ({"features": {"camera": {"dtype": "video", "shape": [3]}}}, "impossible shape"),
        ({"total_frames": None}, "does not describe"),
    ],
)
def test_what_is_no_version_3_is_refused_in_a_sentence(tmp_path, changes, words):
    with pytest.raises(DataError, match=words):
        Info.read(write(tmp_path, **changes))


def test_a_file_that_is_missing_or_no_json_is_a_sentence(tmp_path):
    with pytest.raises(DataError, match="is no LeRobot dataset"):
        Info.read(tmp_path)
    (tmp_path / "meta").mkdir()
    for text in (b"{", b"\xff\xfe", b"[" * 100_000, b"3"):
        (tmp_path / "meta/info.json").write_bytes(text)
        with pytest.raises(DataError, match="damaged"):
            Info.read(tmp_path)


@pytest.mark.parametrize("path", ["../{file_index}.parquet", "/etc/passwd", "data/../../x{chunk_index:03d}"])
def test_a_dataset_cannot_point_outside_itself(tmp_path, path):
    with pytest.raises(DataError, match="outside the dataset"):
        Shard().path(tmp_path, path)


def test_a_path_is_filled_with_what_is_known_and_nothing_else(tmp_path):
    with pytest.raises(DataError, match="asks for 'episode_chunk'"):
        Shard().path(tmp_path, "data/chunk-{episode_chunk:03d}/x.parquet")
    assert (
        place("{file_index.__class__}{file_index:999999999d}", file_index=1)
        == "{file_index.__class__}{file_index:999999999d}"
    )


def test_older_names_and_axes_are_understood():
    motors = {"dtype": "float32", "shape": [2], "names": {"motors": ["a", "b"]}}
    assert Feature.from_json("state", motors).names == ("a", "b")
    first = Feature.from_json("top", {"dtype": "image", "shape": [3, 4, 5], "names": ["channels", "height", "width"]})
    last = Feature.from_json("top", {"dtype": "image", "shape": [4, 5, 3], "names": ["height", "width", "channel"]})
    assert first.image_shape == last.image_shape == (4, 5, 3)
    assert Feature.from_json("top", {"dtype": "image", "shape": [3, 4, 5]}).image_shape == (4, 5, 3)
    assert Feature.from_json("d", {"dtype": "video", "shape": [4, 5, 1], "info": {"is_depth_map": True}}).is_depth
