from io import BytesIO

import numpy as np
import pytest
from mcap.writer import Writer as McapWriter
from PIL import Image
from rosbags.rosbag2 import StoragePlugin, Writer

from robot_rl.data.formats.foreign import import_data, kind_of
from robot_rl.data.formats.intake import Want
from robot_rl.data.formats.mapping import parse_map
from robot_rl.data.journal import JournalReader, read_journal
from robot_rl.exceptions import DataError
from tests.robot_rl.data.formats import samples

MAP = {
    "rate": 10,
    "observation": {
        "joints": {"topic": "/joint_states", "field": "position", "joints": ["c", "a"]},
        "wrist": "/wrist/image",
    },
    "action": {"topic": "/command", "field": "data", "names": ["x", "y"], "low": -2, "high": 2},
    "reward": {"topic": "/reward", "field": "data"},
    "terminated": {"topic": "/done", "field": "data"},
}


def image(number):
    return np.full((4, 5, 3), number, np.uint8) + np.arange(3, dtype=np.uint8)


def messages(steps=12, start=5.0, done=None):
    """Joints at 50 Hz, pictures at 20 Hz, commands at 10 Hz between the ticks, a reward each tick."""
    for index in range(steps * 5 + 1):
        yield start + index / 50, "/joint_states", samples.joints([index, index + 0.5, -index])
    for index in range(steps * 2 + 1):
        yield start + index / 20, "/wrist/image", samples.picture(image(index))
    for index in range(steps + 1):
        yield start + index / 10, "/command", samples.floats([index % 12 / 10, -1])
        yield start + index / 10, "/reward", samples.message("std_msgs/msg/Float64", float(index))
        yield start + index / 10, "/done", samples.flag(index == done)


@pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_topics_become_steps_at_the_rate(tmp_path, storage):
    path = samples.bag(tmp_path / "bag", messages(), storage)
    assert kind_of(path) == "rosbag"
    written, notices = import_data(path, tmp_path / "set", Want(parse_map(MAP)))
    steps = list(read_journal(tmp_path / "set"))
    assert (written.steps, written.episodes, notices.lines()) == (12, 1, [])
    for t, step in enumerate(steps):
        assert step.stamp == pytest.approx(5 + t / 10)
        assert step.observation["joints"].tolist() == [-5 * t, 5 * t]
        assert step.next_observation["joints"].tolist() == [-5 * t - 5, 5 * t + 5]
        assert np.array_equal(step.observation["wrist"], image(2 * t))
        assert step.action == pytest.approx([t / 20, -0.5])
        assert step.reward == t + 1
        assert step.truncated == (t == 11) and not step.terminated
    assert JournalReader(tmp_path / "set").schema.actions == ("x", "y")


def test_one_file_is_a_bag_too(tmp_path):
    path = samples.bag(tmp_path / "bag", messages())
    written, _ = import_data(next(path.glob("*.mcap")), tmp_path / "set", Want(parse_map(MAP)))
    assert written.steps == 12


def test_a_flag_ends_an_episode_and_a_topic_begins_one(tmp_path):
    path = samples.bag(tmp_path / "bag", messages(done=4))
    import_data(path, tmp_path / "set", Want(parse_map(MAP)))
    steps = list(read_journal(tmp_path / "set"))
    assert [step.terminated for step in steps].index(True) == 3
    assert [step.step for step in steps] == [0, 1, 2, 3, *range(7)]  # no step joins the end to what comes after
    said = [*messages(), (5.0, "/episode", samples.text("one")), (5.55, "/episode", samples.text("two"))]
    path = samples.bag(tmp_path / "two", said)
    import_data(path, tmp_path / "cut", Want(parse_map({**MAP, "episode": {"topic": "/episode", "field": "data"}})))
    steps = list(read_journal(tmp_path / "cut"))
    assert [step.step for step in steps] == [*range(5), *range(6)] and steps[4].truncated
    assert steps[5].stamp == pytest.approx(5.6)


def test_a_silent_camera_ends_an_episode(tmp_path):
    kept = [item for item in messages(40) if item[1] != "/wrist/image" or not 6.0 < item[0] < 7.5]
    path = samples.bag(tmp_path / "bag", kept)
    written, notices = import_data(path, tmp_path / "set", Want(parse_map({**MAP, "gap": 0.3})))
    steps = list(read_journal(tmp_path / "set"))
    assert written.episodes == 2
    assert notices.lines() == ["1 times a topic was silent for too long: the episode is cut there"]
    cut = [step.truncated for step in steps].index(True)
    assert steps[cut].next_stamp == pytest.approx(6.3) and steps[cut + 1].stamp == pytest.approx(7.5)


@pytest.mark.parametrize("encoding", ["bgr8", "rgba8", "mono8", "png", "jpeg", "16UC1", "depth"])
def test_pictures_of_every_kind(tmp_path, encoding):
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)

    def content():
        if encoding == "bgr8":
            return samples.picture(rgb[:, :, ::-1], encoding)
        if encoding == "rgba8":
            return samples.picture(np.concatenate([rgb, rgb[:, :, :1]], 2), encoding)
        if encoding == "mono8":
            return samples.picture(rgb[:, :, 0], encoding)
        if encoding == "16UC1":
            return samples.picture(rgb[:, :, 0].astype(np.uint16), encoding)
        stream = BytesIO()
        smooth = np.full_like(rgb, 100)
        Image.fromarray(smooth if encoding == "jpeg" else rgb).save(stream, "JPEG" if encoding == "jpeg" else "PNG")
        name = "16UC1; png compressedDepth" if encoding == "depth" else encoding
        data = np.frombuffer(stream.getvalue(), np.uint8)
        return samples.message("sensor_msgs/msg/CompressedImage", samples.header(), name, data)

    sent = [item if item[1] != "/wrist/image" else (*item[:2], content()) for item in messages(3)]
    path = samples.bag(tmp_path / "bag", sent)
    _, notices = import_data(path, tmp_path / "set", Want(parse_map(MAP)))
    step = next(read_journal(tmp_path / "set"))
    if encoding in ("16UC1", "depth"):
        assert list(step.observation) == ["joints"]
        assert notices.lines() == ["left out: wrist (/wrist/image shows depth)"]
    elif encoding == "mono8":
        assert np.array_equal(step.observation["wrist"], rgb[:, :, :1])
    elif encoding == "jpeg":
        assert np.abs(step.observation["wrist"].astype(int) - 100).max() <= 2
    else:
        assert np.array_equal(step.observation["wrist"], rgb)


def test_a_type_of_the_bags_own_is_read_by_its_fields(tmp_path):
    definition = "# gauge\nuint8 LIMIT=3\nstring name\nfloat32[2] force  # N\nfloat64 depth\n"
    from rosbags.typesys import get_types_from_msg, get_typestore
    from rosbags.typesys.stores import Stores

    store = get_typestore(Stores.ROS2_JAZZY)
    store.register(get_types_from_msg(definition, "cell_msgs/msg/Gauge"))
    gauge = store.types["cell_msgs/msg/Gauge"]
    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        topic = writer.add_connection("/gauge", "cell_msgs/msg/Gauge", typestore=store)
        for index in range(5):
            message = gauge("g", np.array([index, 1], np.float32), 0.5)
            writer.write(topic, index * 10**8, store.serialize_cdr(message, "cell_msgs/msg/Gauge"))
    asked = parse_map({"rate": 10, "observation": {"all": "/gauge"}, "action": {"topic": "/gauge", "field": "depth"}})
    import_data(tmp_path / "bag", tmp_path / "set", Want(asked))
    assert [step.observation["all"].tolist() for step in read_journal(tmp_path / "set")][2] == [2.0, 1.0, 0.5]


EVIL = [
    'float64 data\nstring X="""); import os; os.system("touch owned") #"""',
    "float64 data\nfloat64 y 1)]; __import__('os').system('touch owned')",
    "float64 data\nfloat64[__import__('os').system('touch owned')] y",
    "float64 data\n" + "=" * 80 + "\nMSG: a/b(__import__('os').system('touch owned'))\nfloat64 z",
    "float64 data\nfloat64 class\nfloat64 __msgtype__",
    "float64 data\n" + "Evil e\n",
    "",
]


@pytest.mark.parametrize("definition", EVIL)
@pytest.mark.parametrize("kind", ["evil_msgs/msg/Evil", "evil/msg/E;import os;os.system('touch owned')#"])
def test_a_definition_is_never_run(tmp_path, monkeypatch, definition, kind):
    monkeypatch.chdir(tmp_path)
    with (tmp_path / "evil.mcap").open("wb") as stream:
        writer = McapWriter(stream)
        writer.start("ros2", "")
        schema = writer.register_schema(kind, "ros2msg", definition.encode())
        channel = writer.register_channel("/evil", "cdr", schema)
        for index in range(5):
            data = b"\0\1\0\0" + np.float64(index / 10).tobytes()
            writer.add_message(channel, index * 10**8, data, index * 10**8)
        writer.finish()
    asked = parse_map({"rate": 10, "observation": {"x": "/evil"}, "action": "/evil"})
    try:
        import_data(tmp_path / "evil.mcap", tmp_path / "set", Want(asked))
    except DataError:
        assert not (tmp_path / "set").exists()
    assert not (tmp_path / "owned").exists()


def test_mistakes_in_the_map_are_named(tmp_path):
    path = samples.bag(tmp_path / "bag", messages(3))

    def refused(text, **changes):
        asked = {key: value for key, value in {**MAP, **changes}.items() if value is not None}
        with pytest.raises(DataError, match=text):
            import_data(path, tmp_path / "set", Want(parse_map(asked)))
        assert [item.name for item in tmp_path.iterdir()] == ["bag"]

    refused(r"needs a map.*/joint_states \(sensor_msgs/msg/JointState\)", rate=None)
    refused("has no topic /wrst/image; did you mean /wrist/image", observation={"wrist": "/wrst/image"})
    refused(
        "has no field 'positon'; did you mean position",
        observation={"j": {"topic": "/joint_states", "field": "positon"}},
    )
    refused(
        "has no joint d in 'position'",
        observation={"j": {"topic": "/joint_states", "field": "position", "joints": ["d"]}},
    )
    refused("unknown key 'topics'; did you mean topic", reward={"topics": "/reward"})
    refused("outside its bounds", action={"topic": "/command", "field": "data", "low": -0.1, "high": 0.1})
    refused("actions of 2 numbers, not 1", action={"topic": "/command", "field": "data", "names": ["x"]})
    refused("has 3 numbers; name one with field", reward={"topic": "/joint_states", "field": "position"})
    refused("shows pictures", action="/wrist/image")
    refused("rate is -1, but must be above 0", rate=-1)
    with pytest.raises(DataError, match="observation.wrist must be a mapping of names, not 3"):
        import_data(path, tmp_path / "set", Want(parse_map({**MAP, "observation": {"wrist": 3}})))
