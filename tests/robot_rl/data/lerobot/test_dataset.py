import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from robot_rl.data.lerobot.dataset import Dataset
from robot_rl.data.lerobot.layout import Feature
from robot_rl.exceptions import DataError
from tests.robot_rl.data.lerobot import samples

DATA = "data/chunk-000/file-000.parquet"
EPISODES = "meta/episodes/chunk-000/file-000.parquet"
CAMERA = "observation.images.top"
MOVIE = f"videos/{CAMERA}/chunk-000/file-000.mp4"


@pytest.fixture
def folder(tmp_path):
    samples.foreign(tmp_path / "set", features={**samples.FOREIGN, CAMERA: samples.video_feature(CAMERA)})
    return tmp_path / "set"


def read(folder):
    dataset = Dataset(folder)
    return list(dataset.rows(list(dataset.info.features)))


def test_frames_come_in_order_with_their_episode(folder):
    rows = read(folder)
    assert [(episode.index, int(row["frame_index"])) for episode, row in rows] == [
        (0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1), (1, 2),
    ]  # fmt: skip
    assert rows[5][1][CAMERA].shape == (*samples.SIZE, 3)


def test_only_what_is_asked_for_is_read(folder):
    (folder / MOVIE).unlink()
    rows = list(Dataset(folder).rows(["action"]))
    assert rows[0][1].keys() == {"action", "episode_index", "frame_index", "timestamp"}


def cut(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def info(folder, **changes):
    path = folder / "meta/info.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def spoil(folder, name, values):
    samples.rewrite(folder / DATA, **{name: values})


DAMAGE = {
    "data cut off": (lambda folder: cut(folder / DATA, 0.7), "file-000.parquet cannot be read"),
    "data missing": (lambda folder: (folder / DATA).unlink(), "file-000.parquet cannot be read"),
    "data empty": (lambda folder: (folder / DATA).write_bytes(b""), "file-000.parquet cannot be read"),
    "video cut off": (lambda folder: cut(folder / MOVIE, 0.5), "mp4 cannot be opened"),
    "video missing": (lambda folder: (folder / MOVIE).unlink(), "mp4 cannot be opened"),
    "episodes cut off": (lambda folder: cut(folder / EPISODES, 0.5), "cannot be read"),
    "episodes missing": (lambda folder: (folder / EPISODES).unlink(), "holds no episodes"),
    "an episode missing": (lambda folder: samples.keep_rows(folder / EPISODES, range(1)), "2 episodes of 7.*1 of 4"),
    "another episode missing": (lambda folder: samples.keep_rows(folder / EPISODES, range(1, 2)), "without holes"),
    "tasks missing": (lambda folder: (folder / "meta/tasks.parquet").unlink(), "tasks.parquet cannot be read"),
    "frames too many": (lambda folder: info(folder, total_frames=8), "8 frames together, but lists 2 of 7"),
    "rows too few": (lambda folder: samples.keep_rows(folder / DATA, range(6)), "frame 2 of episode 1 and holds no"),
    "rows too many": (
        lambda folder: (samples.rewrite(folder / EPISODES, length=[4, 2]), info(folder, total_frames=6)),
        "rows behind its last episode",
    ),
    "a row twice": (lambda folder: spoil(folder, "frame_index", [0, 1, 1, 2, 0, 1, 2]), "frame 2 of episode 0"),
    "rows of another": (lambda folder: spoil(folder, "episode_index", [0] * 7), "frame 0 of episode 1"),
    "holes": (lambda folder: spoil(folder, "next.reward", [0.0, None] + [0.0] * 5), "1 empty values"),
    "holes inside": (lambda folder: spoil(folder, "action", [[0.0, None]] * 7), "empty elements"),
    "another length": (lambda folder: spoil(folder, "action", [[0.0]] * 7), r"'action' does not hold \(2,\)"),
    "ragged": (lambda folder: spoil(folder, "action", [[0.0], [1.0] * 3] + [[0.0] * 2] * 5), "ragged|does not hold"),
    "text for numbers": (lambda folder: spoil(folder, "next.reward", ["a"] * 7), "holds string, not float32"),
    "a column missing": (lambda folder: spoil(folder, "action", None), "parquet cannot be read.*action"),
    "a video of elsewhere": (
        lambda folder: samples.rewrite(folder / EPISODES, **{f"videos/{CAMERA}/from_timestamp": [0.0, 3.0]}),
        "no frame at 3",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_a_sentence_that_names_the_file_or_the_frame(folder, name):
    damage, words = DAMAGE[name]
    damage(folder)
    with pytest.raises(DataError, match=words):
        read(folder)


def test_a_flipped_bit_in_a_column_is_found(folder):
    path = folder / DATA
    content = bytearray(path.read_bytes())
    column = pq.ParquetFile(path).metadata.row_group(1).column(1)
    content[column.data_page_offset + column.total_compressed_size - 3] ^= 4
    path.write_bytes(content)
    with pytest.raises(DataError, match="cannot be read"):
        read(folder)


def test_lists_of_any_length_and_nested_ones_are_read_by_the_features_shape(tmp_path):
    features = {**samples.FOREIGN, "grid": Feature("grid", "float32", (6,))}
    samples.foreign(tmp_path / "set", (3,), features, grid=lambda *_: np.arange(6))
    nested = [[[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]] * 3
    samples.rewrite(tmp_path / "set" / DATA, grid=pa.array(nested), action=[[0.5, 0.25]] * 3)
    content = json.loads((tmp_path / "set/meta/info.json").read_text())
    content["features"]["grid"]["shape"] = [3, 2]
    (tmp_path / "set/meta/info.json").write_text(json.dumps(content))
    row = next(Dataset(tmp_path / "set").rows(["grid", "action"]))[1]
    assert np.array_equal(row["grid"], np.arange(6).reshape(3, 2))
    assert row["action"].dtype == np.float32 and row["action"].tolist() == [0.5, 0.25]


def test_image_files_that_a_row_only_names_are_refused(tmp_path):
    samples.foreign(tmp_path / "set", (2,))
    outside = pa.array([{"bytes": None, "path": "/etc/passwd"}] * 2)
    samples.rewrite(tmp_path / "set" / DATA, **{CAMERA: outside})
    with pytest.raises(DataError, match="names image files instead of holding them"):
        read(tmp_path / "set")
