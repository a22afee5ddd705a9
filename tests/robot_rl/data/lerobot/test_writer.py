import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from robot_rl.data.lerobot import video, writer
from robot_rl.data.lerobot.dataset import Dataset
from robot_rl.data.lerobot.layout import Feature
from tests.robot_rl.data.lerobot import samples


def test_the_files_say_what_lerobot_looks_for(tmp_path):
    features = {**samples.FOREIGN, "observation.images.top": samples.video_feature("observation.images.top")}
    kept = samples.foreign(tmp_path / "set", features=features)
    info = json.loads((tmp_path / "set/meta/info.json").read_text())
    assert (info["codebase_version"], info["total_episodes"], info["total_frames"]) == ("v3.0", 2, 7)
    assert info["splits"] == {"train": "0:2"}
    assert info["features"]["observation.images.top"]["info"]["video.codec"] == "h264"
    episodes = pq.read_table(tmp_path / "set/meta/episodes/chunk-000/file-000.parquet").to_pylist()
    assert [(row["dataset_from_index"], row["dataset_to_index"], row["length"]) for row in episodes] == [
        (0, 4, 4),
        (4, 7, 3),
    ]
    assert episodes[1]["tasks"] == ["stack"]
    assert episodes[1]["videos/observation.images.top/from_timestamp"] == 0.4
    assert np.allclose(episodes[0]["stats/action/mean"], kept["action"][:4].mean(axis=0))
    assert np.shape(episodes[0]["stats/observation.images.top/std"]) == (3, 1, 1)
    stats = json.loads((tmp_path / "set/meta/stats.json").read_text())
    assert stats["action"].keys() == {"min", "max", "mean", "std", "count", "q01", "q10", "q50", "q90", "q99"}
    assert np.allclose(stats["observation.state"]["std"], kept["observation.state"].std(axis=0))
    tasks = pq.read_table(tmp_path / "set/meta/tasks.parquet")
    assert json.loads(tasks.schema.metadata[b"pandas"])["index_columns"] == ["task"]
    data = pq.ParquetFile(tmp_path / "set/data/chunk-000/file-000.parquet")
    assert data.num_row_groups == 2  # one an episode
    assert "observation.images.top" not in data.schema_arrow.names


def test_full_files_are_followed_by_others_and_long_episodes_by_several_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "DATA_MB", 1e-4)
    monkeypatch.setattr(video, "VIDEO_MB", 0)
    monkeypatch.setattr(writer, "_ROWS", 5)
    monkeypatch.setattr(writer, "_EPISODES", 2)
    features = {**samples.FOREIGN, "observation.images.top": samples.video_feature("observation.images.top")}
    kept = samples.foreign(tmp_path / "set", (12, 1, 7, 2, 30), features)
    assert len(list((tmp_path / "set/data").rglob("*.parquet"))) == 5
    assert len(list((tmp_path / "set/videos").rglob("*.mp4"))) == 5
    dataset = Dataset(tmp_path / "set")
    rows = [row for _, row in dataset.rows(["action", "index", "observation.images.top"])]
    assert np.array_equal([row["action"] for row in rows], kept["action"])
    assert [row["index"] for row in rows] == list(range(52))
    for row, step in zip(rows, [step for length in (12, 1, 7, 2, 30) for step in range(length)], strict=True):
        assert samples.shows(row["observation.images.top"], step)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32", "uint8", "bool"])
def test_every_dtype_is_kept(tmp_path, dtype):
    values = np.arange(4).astype(dtype)
    features = {**samples.FOREIGN, "extra": Feature("extra", dtype, (4,)), "one": Feature("one", dtype)}
    samples.foreign(tmp_path / "set", (2,), features, extra=lambda *_: values, one=lambda *_: values[1])
    for _, row in Dataset(tmp_path / "set").rows(["extra", "one"]):
        assert row["extra"].dtype == dtype and np.array_equal(row["extra"], values)
        assert row["one"].dtype == dtype and row["one"] == values[1]
