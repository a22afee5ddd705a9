"""Run by the peer's own Python, with LeRobot's own loader and writer. Arguments: what, a dataset's folder, a result's.

load: every frame through `LeRobotDataset`, as arrays in RESULT.npz; what it says of them and its time in RESULT.json.
stats: LeRobot's own statistics of the rows of a dataset, in RESULT.json.
write: a small dataset of two tasks by `LeRobotDataset.create`; the last argument says video or image.
pairs: the transitions that LeRobot's replay buffer makes of it, as arrays in RESULT.npz.
merge: the dataset twice, joined by LeRobot's own tool, at RESULT.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

# LeRobot's dataset needs torchvision for a transform only; its compiled half may be missing for this build of torch
_library = torch.library.Library("torchvision", "DEF")
_library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

from lerobot.datasets.lerobot_dataset import LeRobotDataset  # noqa: E402


def load(folder: Path, result: Path) -> None:
    began = time.perf_counter()
    dataset = LeRobotDataset("local/set", root=folder, video_backend="pyav")
    items = [dataset[index] for index in range(len(dataset))]
    seconds = time.perf_counter() - began
    numbers = {name for name, value in items[0].items() if isinstance(value, torch.Tensor)}
    arrays: dict[str, Any] = {name: np.stack([item[name].numpy() for item in items]) for name in numbers}
    texts = {name: [item[name] for item in items] for name in items[0] if name not in numbers}
    facts = {"fps": dataset.fps, "frames": len(dataset), "texts": texts, "seconds": seconds}
    np.savez(result.with_suffix(".npz"), **arrays)
    result.with_suffix(".json").write_text(json.dumps(facts))


def stats(folder: Path, result: Path) -> None:
    from lerobot.datasets.compute_stats import get_feature_stats

    rows = LeRobotDataset("local/set", root=folder, video_backend="pyav").hf_dataset.with_format("numpy")
    found = {}
    for name in ("observation.state", "action", "next.reward"):
        values = np.array(rows[name])
        summed = get_feature_stats(values, axis=0, keepdims=values.ndim == 1)
        found[name] = {what: value.tolist() for what, value in summed.items()}
    result.with_suffix(".json").write_text(json.dumps(found))


def pairs(folder: Path, result: Path) -> None:
    from lerobot.rl.buffer import ReplayBuffer

    dataset = LeRobotDataset("local/set", root=folder, video_backend="pyav")
    found = ReplayBuffer._lerobotdataset_to_transitions(dataset, ["observation.state"])
    np.savez(
        result.with_suffix(".npz"),
        state=np.concatenate([step["state"]["observation.state"].numpy() for step in found]),
        next_state=np.concatenate([step["next_state"]["observation.state"].numpy() for step in found]),
        done=np.array([step["done"] for step in found]),
    )


def write(folder: Path, result: Path, kind: str) -> None:
    features = {
        "observation.state": {"dtype": "float64", "shape": (3,), "names": ["x", "y", "z"]},
        "observation.images.top": {"dtype": kind, "shape": (48, 64, 3), "names": ["height", "width", "channels"]},
        "action": {"dtype": "float32", "shape": (2,), "names": ["dx", "dy"]},
        "next.reward": {"dtype": "float32", "shape": (1,), "names": None},
        "next.done": {"dtype": "bool", "shape": (1,), "names": None},
    }
    dataset = LeRobotDataset.create("local/set", fps=15, features=features, root=folder, use_videos=kind == "video")
    rng = np.random.default_rng(0)
    kept: dict[str, list] = {name: [] for name in features}
    for episode in range(3):
        for frame in range(12):
            ramp = np.linspace(0, 200, 64)[None, :, None] + 3 * frame + 10 * episode
            values = {
                "observation.state": rng.normal(size=3),
                "observation.images.top": np.broadcast_to(ramp, (48, 64, 3)).astype(np.uint8),
                "action": rng.uniform(-1, 1, 2).astype(np.float32),
                "next.reward": np.array([frame == 11], np.float32),
                "next.done": np.array([frame == 11]),
            }
            dataset.add_frame({**values, "task": f"task {episode % 2}"})
            for name, value in values.items():
                kept[name].append(value)
        dataset.save_episode()
    dataset.finalize()
    arrays: dict[str, Any] = {name: np.stack(values) for name, values in kept.items()}
    np.savez(result.with_suffix(".npz"), **arrays)


def merge(folder: Path, result: Path) -> None:
    from lerobot.datasets.aggregate import aggregate_datasets

    aggregate_datasets(["local/a", "local/b"], "local/ab", roots=[folder, folder], aggr_root=result)


def main() -> None:
    what, folder, result = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    if what == "write":
        write(folder, result, sys.argv[4])
    else:
        {"load": load, "stats": stats, "pairs": pairs, "merge": merge}[what](folder, result)


main()
