import dataclasses
import json

import h5py
import numpy as np
import pytest
from rosbags.highlevel import AnyReader

from robot_rl.data.formats.experience import open_experience
from robot_rl.data.formats.foreign import export_data, import_data
from robot_rl.data.formats.intake import Want
from robot_rl.data.formats.mapping import parse_map
from robot_rl.data.formats.ros_export import quaternion
from robot_rl.data.journal import Journal, read_journal
from robot_rl.data.label import Label
from robot_rl.data.png import decode_png
from robot_rl.data.schema import Field, Schema
from robot_rl.exceptions import DataError
from tests.robot_rl.data import episodes

BAG = {
    "rate": 10,
    "observation": {
        "tool_position": {"topic": "/observation/tool_position", "field": "data"},
        "sim/cube": {"topic": "/observation/sim_cube", "field": "data"},
        "wrist": "/wrist/compressed",
    },
    "action": {"topic": "/action", "field": "data", "names": list(episodes.ACTIONS)},
    "episode": {"topic": "/episode", "field": "data"},
    "reward": {"topic": "/reward", "field": "data"},
    "terminated": {"topic": "/terminated", "field": "data"},
    "truncated": {"topic": "/truncated", "field": "data"},
    "success": {"topic": "/success", "field": "data"},
    "intervened": {"topic": "/intervened", "field": "data"},
}


def apart(count, length=4):
    """Steps whose episodes lie some time apart, as resets make them."""
    for step in episodes.stream(count, images=True, length=length):
        wait = 0.777 * (step.sequence // length)
        yield dataclasses.replace(step, stamp=step.stamp + wait, next_stamp=step.next_stamp + wait)


def write(folder, records, schema=None):
    with Journal(folder, schema or episodes.schema(images=True), sync=False) as journal:
        for record in records:
            journal.append(dataclasses.replace(record, sequence=journal.next_sequence))
    return folder


def label(episode, step, kind, value, sequence=0):
    return Label("person", sequence, 1.0, episode, step, "human", 1, kind, value)


def test_hdf5_comes_back_as_it_went(tmp_path):
    made = list(apart(10))
    experience = open_experience(write(tmp_path / "set", made))
    assert export_data(experience, tmp_path / "out", "hdf5") == 10
    import_data(
        tmp_path / "out" / "demos.hdf5",
        tmp_path / "back",
        Want(
            parse_map(
                {
                    "observation": {"tool_position": "tool_position", "sim/cube": "sim_cube", "wrist": "wrist"},
                    "action": {"names": list(episodes.ACTIONS)},
                }
            )
        ),
    )
    for step, wanted in zip(read_journal(tmp_path / "back"), made, strict=True):
        for name, value in wanted.observation.items():
            assert np.array_equal(step.observation[name], value)
            assert np.array_equal(step.next_observation[name], wanted.next_observation[name])
        assert np.array_equal(step.action, wanted.action)
        assert (step.reward, step.terminated) == (wanted.reward, wanted.terminated)
        assert step.truncated == (wanted.truncated or wanted is made[-1])  # left open: cut


def test_a_backbones_features_come_back_from_hdf5_bit_for_bit(tmp_path):
    made = list(episodes.stream(8, features=True))
    experience = open_experience(write(tmp_path / "set", made, episodes.schema(features=True)))
    assert export_data(experience, tmp_path / "out", "hdf5") == 8
    import_data(tmp_path / "out" / "demos.hdf5", tmp_path / "back", Want())
    for step, wanted in zip(read_journal(tmp_path / "back"), made, strict=True):
        for side in ("observation", "next_observation"):
            found, maps = (getattr(one, side)["wrist_features"] for one in (step, wanted))
            assert (found.shape, found.dtype, found.tobytes()) == (maps.shape, np.float16, maps.tobytes())


def test_a_backbones_features_come_back_from_a_bag_where_the_task_says_their_shape(tmp_path):
    made, schema = list(episodes.stream(8, features=True)), episodes.schema(features=True)
    experience = open_experience(write(tmp_path / "set", made, schema))
    assert export_data(experience, tmp_path / "out", "mcap") == 8
    names = {field.name: field.message_name for field in schema.observation}
    signals = {name: {"topic": f"/observation/{topic}", "field": "data"} for name, topic in names.items()}
    asked = parse_map(BAG | {"observation": signals})
    import_data(tmp_path / "out", tmp_path / "back", Want(asked, schema))
    for step, wanted in zip(read_journal(tmp_path / "back"), made, strict=True):
        for side in ("observation", "next_observation"):
            found, maps = (getattr(one, side)["wrist_features"] for one in (step, wanted))
            assert (found.shape, found.dtype, found.tobytes()) == (maps.shape, np.float16, maps.tobytes())


def test_hdf5_has_what_robomimics_loader_asks_for(tmp_path):
    experience = open_experience(write(tmp_path / "set", apart(10)))
    export_data(experience, tmp_path / "out", "hdf5")
    with h5py.File(tmp_path / "out" / "demos.hdf5", swmr=True) as file:
        about = json.loads(file["data"].attrs["env_args"])
        assert {"env_name", "type", "env_kwargs"} <= about.keys() and about["env_kwargs"]["control_freq"] == 10
        demos = sorted(file["data"], key=lambda name: int(name[5:]))
        assert demos == ["demo_0", "demo_1", "demo_2"]
        assert file["data"].attrs["total"] == sum(file["data"][name].attrs["num_samples"] for name in demos) == 10
        for name in demos:
            demo, count = file["data"][name], file["data"][name].attrs["num_samples"]
            for key in ("actions", "rewards", "dones", "obs/wrist", "next_obs/wrist", "obs/sim_cube"):
                assert demo[key].shape[0] == count
            assert all(isinstance(demo["obs"][key], h5py.Dataset) for key in demo["obs"])
            assert demo["obs/wrist"].dtype == np.uint8 and demo["actions"].dtype == np.float32
        assert [name.decode() for name in file["mask/success"]] == ["demo_0"]


def test_a_bag_comes_back_as_it_went(tmp_path):
    made = list(apart(12))
    experience = open_experience(write(tmp_path / "set", made))
    assert export_data(experience, tmp_path / "out", "mcap") == 12
    import_data(tmp_path / "out", tmp_path / "back", Want(parse_map(BAG)))
    for step, wanted in zip(read_journal(tmp_path / "back"), made, strict=True):
        for name, value in wanted.observation.items():
            assert np.array_equal(step.observation[name].reshape(value.shape), value)
            assert np.array_equal(step.next_observation[name].reshape(value.shape), wanted.next_observation[name])
        assert np.array_equal(step.action, wanted.action)
        names = ("reward", "terminated", "truncated", "success", "intervened", "step")
        assert [getattr(step, name) for name in names] == [getattr(wanted, name) for name in names]


def test_a_bag_is_of_standard_messages_in_si_units(tmp_path):
    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    example = {
        "tool_position": np.array([1, 2, 3], np.float32),
        "tool_rotation": turn[:, :2].T.reshape(6).astype(np.float32),
        "tool_wrench": np.arange(6, dtype=np.float32),
        "robot0_joint_pos": np.arange(7, dtype=np.float32),
        "wrist": np.arange(90, dtype=np.uint8).reshape(6, 5, 3),
    }
    units = {
        "tool_position": ("1", "over 0.05 m, in the task's anchor frame"),
        "tool_wrench": ("1", "over 10.0 N and 2.0 Nm, on the tool, in the tool frame"),
    }
    schema = Schema.from_example("reach", example, ("x", "y", "gripper"), units)
    steps = [dataclasses.replace(step, observation=example, next_observation=example) for step in episodes.stream(3)]
    experience = open_experience(write(tmp_path / "set", steps, schema))
    export_data(experience, tmp_path / "out", "mcap")
    with AnyReader([tmp_path / "out"]) as reader:
        kinds = {item.topic: item.msgtype for item in reader.connections}
        first = {}
        for item, stamp, raw in reader.messages():
            first.setdefault(item.topic, (stamp, reader.deserialize(raw, item.msgtype)))
    assert all(kind.split("/")[0] in ("geometry_msgs", "sensor_msgs", "std_msgs") for kind in kinds.values())
    pose = first["/tool_pose"][1].pose
    assert [pose.position.x, pose.position.y, pose.position.z] == pytest.approx([0.05, 0.1, 0.15])
    assert [pose.orientation.z, pose.orientation.w] == pytest.approx([0.5**0.5, 0.5**0.5])
    wrench = first["/tool_wrench"][1].wrench
    assert [wrench.force.y, wrench.torque.z] == pytest.approx([10, 10])
    assert first["/observation/robot0_joint_pos"][1].position.tolist() == list(range(7))
    picture = first["/wrist/compressed"][1]
    assert np.array_equal(decode_png(bytes(picture.data), (6, 5, 3)), example["wrist"])
    assert first["/action"][1].layout.dim[0].label == "x, y, gripper"
    assert first["/reward"][0] == 10**8  # a step's outcome is known at its next observation


def test_a_rotation_of_any_angle_becomes_its_quaternion():
    from controllers import spatial

    rng = np.random.default_rng(0)
    turns = [*rng.normal(size=(200, 4)), [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    for turn in turns:
        turn = np.asarray(turn, float) / np.linalg.norm(turn)
        found = quaternion(spatial.matrix(turn)[:, :2].T.reshape(6))
        assert abs(found @ turn) == pytest.approx(1)


@pytest.mark.parametrize("form", ["hdf5", "mcap", "lerobot"])
def test_labels_are_applied_in_every_format(tmp_path, form):
    made = list(apart(12))
    first, second = made[0].episode, made[4].episode
    said = [
        label(first, 2, "reward", 5.0),
        label(second, -1, "discard", 1.0),
        label(made[8].episode, 1, "discard", 1.0),
    ]
    experience = open_experience(write(tmp_path / "set", [*made, *said]))
    steps = list(experience.judged())
    assert [step.reward for step in steps[:4]] == [made[0].reward, made[1].reward, 5.0, made[3].reward]
    names = [(step.episode, step.step) for step in steps[4:]]
    third = made[8].episode
    assert names == [(third, 0), (f"{third}.1", 0), (f"{third}.1", 1)] and steps[4].truncated
    count = export_data(experience, tmp_path / "out", form, rate=10)
    assert count == 7 or form == "lerobot"  # which keeps every step, and marks what is discarded


@pytest.mark.parametrize("form", ["hdf5", "mcap", "lerobot"])
def test_nothing_is_overwritten_and_nothing_is_left_of_what_failed(tmp_path, form):
    experience = open_experience(write(tmp_path / "set", apart(4)))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x")
    with pytest.raises(DataError, match="out"):
        export_data(experience, tmp_path / "out", form)
    assert [item.name for item in (tmp_path / "out").iterdir()] == ["mine"]
    steps = list(apart(4))
    steps[2] = dataclasses.replace(steps[2], observation=steps[1].next_observation)

    def broken():
        yield from steps[:3]
        raise DataError("the disk is gone")

    object.__setattr__(experience, "judged", broken)
    if form != "lerobot":
        with pytest.raises(DataError, match="the disk is gone"):
            export_data(experience, tmp_path / "new", form)
        assert sorted(item.name for item in tmp_path.iterdir()) == ["out", "set"]


def test_a_schema_without_what_ros_knows_is_arrays(tmp_path):
    schema = Schema("t", (Field("q", (2, 3)),), ("x", "y", "gripper"))
    seen = {"q": np.arange(6, dtype=np.float32).reshape(2, 3)}
    steps = [dataclasses.replace(step, observation=seen, next_observation=seen) for step in episodes.stream(2)]
    export_data(open_experience(write(tmp_path / "set", steps, schema)), tmp_path / "out", "mcap")
    with AnyReader([tmp_path / "out"]) as reader:
        topics = [item for item in reader.connections if item.topic == "/observation/q"]
        found = [reader.deserialize(raw, item.msgtype) for item, _, raw in reader.messages(topics)]
    assert [dim.size for dim in found[0].layout.dim] == [2, 3] and found[0].data.tolist() == list(range(6))
    assert len(found) == 3
