"""Small files in other people's formats, made with their own libraries."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import h5py
import numpy as np
from PIL import Image
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

LENGTHS = (5, 3, 7)
STORE = get_typestore(Stores.ROS2_JAZZY)


def path_of(rng: np.random.Generator, steps: int) -> dict[str, np.ndarray]:
    """What an arm with a camera observes at `steps` times."""
    return {
        "eef_pos": rng.normal(size=(steps, 3)),
        "gripper": rng.uniform(size=steps),
        "agentview_image": rng.integers(0, 256, (steps, 8, 6, 3), dtype=np.uint8),
        "agentview_depth": rng.uniform(size=(steps, 8, 6, 1)).astype(np.float32),
    }


def robomimic(path: Path, next_obs: bool = True, dones: bool = True, seed: int = 0) -> dict[str, dict]:
    """A file of three demonstrations, the first and third of which end in success; and what was written."""
    rng, made = np.random.default_rng(seed), {}
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["env_args"] = json.dumps({"env_name": "Lift", "type": 1, "env_kwargs": {"control_freq": 10}})
        data.attrs["total"] = sum(LENGTHS)
        for index, length in enumerate(LENGTHS):
            seen, demo = path_of(rng, length + 1), data.create_group(f"demo_{index}")
            demo.attrs["num_samples"] = length
            action = rng.uniform(-1, 1, (length, 4))
            reward = np.zeros(length)
            reward[-1] = index != 1
            demo["actions"], demo["rewards"] = action, reward
            if dones:
                demo["dones"] = reward.astype(int)
            for name, values in seen.items():
                demo[f"obs/{name}"] = values[:-1]
                if next_obs:
                    demo[f"next_obs/{name}"] = values[1:]
            made[f"demo_{index}"] = {"seen": seen, "action": action, "reward": reward}
    return made


def minari(folder: Path, low: float = -2.0, high: float = 2.0, seed: int = 0) -> list[dict]:
    """A data set of three episodes, the second cut by a time limit; and what was written."""
    rng, made = np.random.default_rng(seed), []
    (folder / "data").mkdir(parents=True)
    space = {"type": "Box", "dtype": "float32", "shape": [2], "low": [low] * 2, "high": [high] * 2}
    about = {
        "total_episodes": len(LENGTHS),
        "total_steps": sum(LENGTHS),
        "data_format": "hdf5",
        "action_space": json.dumps(space),
        "env_spec": json.dumps({"id": "PointMaze-v3"}),
    }
    (folder / "data" / "metadata.json").write_text(json.dumps(about))
    with h5py.File(folder / "data" / "main_data.hdf5", "w") as file:
        for index, length in enumerate(LENGTHS):
            group = file.create_group(f"episode_{index}")
            goal = rng.normal(size=(length + 1, 2))
            seen = rng.normal(size=(length + 1, 4))
            action = rng.uniform(low, high, (length, 2)).astype(np.float32)
            end = np.arange(length) == length - 1
            group["observations/observation"], group["observations/desired_goal"] = seen, goal
            group["actions"], group["rewards"] = action, rng.normal(size=length)
            group["terminations"], group["truncations"] = end & (index != 1), end & (index == 1)
            group["infos/success"] = np.r_[False, end & (index != 1)]
            made.append({"seen": seen, "goal": goal, "action": action})
    return made


def jpeg(image: np.ndarray) -> np.ndarray:
    """The bytes of a JPEG file."""
    stream = BytesIO()
    Image.fromarray(image.astype(np.uint8)).save(stream, "JPEG")
    return np.frombuffer(stream.getvalue(), np.uint8)


def message(kind: str, *values):
    """A message of a standard type."""
    return STORE.types[kind](*values)


def header(stamp: float = 0.0, frame: str = ""):
    time = message("builtin_interfaces/msg/Time", int(stamp), 0)
    return message("std_msgs/msg/Header", time, frame)


def joints(positions, names=("a", "b", "c")):
    empty = np.zeros(0)
    return message("sensor_msgs/msg/JointState", header(), list(names), np.asarray(positions, float), empty, empty)


def floats(values):
    layout = message("std_msgs/msg/MultiArrayLayout", [], 0)
    return message("std_msgs/msg/Float32MultiArray", layout, np.asarray(values, np.float32))


def picture(image: np.ndarray, encoding: str = "rgb8"):
    height, width = image.shape[:2]
    step = image.nbytes // height
    data = np.frombuffer(image.tobytes(), np.uint8)
    return message("sensor_msgs/msg/Image", header(), height, width, encoding, 0, step, data)


def flag(value: bool):
    return message("std_msgs/msg/Bool", value)


def text(value: str):
    return message("std_msgs/msg/String", value)


def bag(folder: Path, messages, storage: StoragePlugin = StoragePlugin.MCAP) -> Path:
    """A bag of (stamp in s, topic, message), written in order of time."""
    with Writer(folder, version=9, storage_plugin=storage) as writer:
        topics = {}
        for stamp, topic, content in sorted(messages, key=lambda item: item[0]):
            kind = content.__msgtype__
            if topic not in topics:
                topics[topic] = writer.add_connection(topic, kind, typestore=STORE)
            writer.write(topics[topic], round(stamp * 1e9), STORE.serialize_cdr(content, kind))
    return folder
