import numpy as np
import pytest

from robot_rl.data.lerobot import video
from robot_rl.data.lerobot.layout import Feature
from robot_rl.data.lerobot.video import VideoReader, VideoWriter, decode_picture
from robot_rl.data.png import encode_png
from robot_rl.exceptions import DataError
from tests.robot_rl.data.lerobot.samples import SIZE, picture, shows, video_feature

NAME = "observation.images.top"


def write(folder, episodes, fps=10.0, size=SIZE):
    writer = VideoWriter(folder, NAME, (*size, 3), fps)
    places = []
    for length in episodes:
        writer.begin()
        for step in range(length):
            writer.add(picture(step, size))
        places.append(writer.end())
    writer.close()
    return folder / f"videos/{NAME}/chunk-000/file-000.mp4", places


def test_frames_are_where_the_episodes_say(tmp_path):
    path, places = write(tmp_path, (5, 3, 4))
    assert [place[f"videos/{NAME}/from_timestamp"] for place in places] == [0, 0.5, 0.8]
    assert places[-1][f"videos/{NAME}/to_timestamp"] == 1.2
    reader = VideoReader(path, video_feature(NAME), 10)
    for place, length in zip(places, (5, 3, 4), strict=True):
        for step in range(length):
            assert shows(reader.at(place[f"videos/{NAME}/from_timestamp"] + step / 10), step)
    assert shows(reader.at(0.1), 1)  # and back
    reader.close()


@pytest.mark.parametrize("size", [(32, 48), (33, 47)])
def test_any_size_is_written(tmp_path, size):
    path, _ = write(tmp_path, (3,), size=size)
    assert shows(VideoReader(path, Feature(NAME, "video", (*size, 3)), 10).at(0.2), 2)


@pytest.mark.parametrize("rate", [5.0, 20.0, 29.97])
def test_rows_at_another_rate_get_the_nearest_frame(tmp_path, rate):
    path, _ = write(tmp_path, (15,), fps=rate)
    reader = VideoReader(path, video_feature(NAME), 10)
    for row in range(int(14 / rate * 10)):
        nearest = row / 10 * rate
        image = reader.at(row / 10)
        assert shows(image, int(np.floor(nearest + 0.5))) or shows(image, int(np.ceil(nearest - 0.5)))


def test_a_full_file_is_followed_by_another_and_no_episode_is_split(tmp_path, monkeypatch):
    monkeypatch.setattr(video, "_SECONDS", 0.4)
    _, places = write(tmp_path, (3, 2, 6, 1))
    key = f"videos/{NAME}"
    assert [place[f"{key}/file_index"] for place in places] == [0, 0, 1, 2]
    assert [place[f"{key}/from_timestamp"] for place in places] == [0, 0.3, 0, 0]
    assert len(list(tmp_path.rglob("*.mp4"))) == 3


def test_damage_is_a_sentence(tmp_path):
    path, _ = write(tmp_path, (30,))
    whole = path.read_bytes()
    reader = VideoReader(path, video_feature(NAME), 10)
    with pytest.raises(DataError, match=r"no frame at 3\.100 s"):
        reader.at(3.1)
    with pytest.raises(DataError, match="is 48x32, not 48x48"):
        VideoReader(path, Feature(NAME, "video", (48, 48, 3)), 10)
    for damaged, words in (
        (whole[: len(whole) // 2], "cannot be opened"),
        (b"", "cannot be opened"),
        (b"x" * 99, "opened"),
    ):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=words):
            VideoReader(path, video_feature(NAME), 10)
    with pytest.raises(DataError, match="cannot be opened"):
        VideoReader(tmp_path / "none.mp4", video_feature(NAME), 10)


def test_pictures_in_rows_are_decoded_to_the_bit():
    feature = Feature(NAME, "image", (*SIZE, 3), ("height", "width", "channel"))
    images = np.random.default_rng(0).integers(0, 256, (3, *SIZE, 3), dtype=np.uint8)
    for image in images:
        assert np.array_equal(decode_picture(encode_png(image), feature), image)
    grey = Feature(NAME, "image", (1, *SIZE), ("channels", "height", "width"))
    assert np.array_equal(decode_picture(encode_png(images[0, ..., :1]), grey), images[0, ..., :1])


@pytest.mark.parametrize("data", [b"", b"x" * 50, encode_png(picture(0))[:-40], encode_png(picture(0, (16, 16)))])
def test_a_damaged_picture_is_a_sentence(data):
    with pytest.raises(DataError, match=NAME):
        decode_picture(data, Feature(NAME, "image", (*SIZE, 3), ("height", "width", "channel")))


def test_a_picture_of_a_gigabyte_takes_no_memory():
    import struct
    import zlib

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(10**6))) + chunk(b"IEND", b"")
    with pytest.raises(DataError, match=NAME):
        decode_picture(bomb, Feature(NAME, "image", (*SIZE, 3), ("height", "width", "channel")))
