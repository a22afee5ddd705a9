"""LeRobotDataset v3 against LeRobot itself: what it loads of ours, what we import of its, and how fast.

LeRobot (0.4.4, unmodified) runs in an environment of its own; `benchmarks/peer_lerobot.py` is what it is asked.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import ROOT, Figure, at_least, at_most, main, peer_environment, peer_python, progress
from robot_rl.data.formats.whole import write_set
from robot_rl.data.journal import JournalReader
from robot_rl.data.lerobot import export_lerobot, import_lerobot
from robot_rl.data.lerobot.dataset import Dataset
from robot_rl.data.lerobot.layout import Feature
from robot_rl.data.lerobot.writer import DatasetWriter
from robot_rl.data.schema import Schema
from robot_rl.data.transition import Observation, Transition

PEER = "LeRobot 0.4.4"
DEPENDENCIES = (
    "torch==2.13.0", "numpy>=2,<2.3", "datasets>=4,<5", "pandas<3", "av>=15,<16", "huggingface-hub<1", "accelerate",
    "draccus==0.10.0", "deepdiff", "einops", "jsonlines", "termcolor", "packaging<26", "pillow", "typing_extensions",
)  # fmt: skip
ALONE = ("lerobot==0.4.4", "torchvision==0.22.1")
"""Without what they ask for: robots' drivers and user interfaces, and an older torch."""

SIZE = 128
CAMERAS = ("wrist", "scene")


@cache
def peer() -> Path:
    """Python of the environment that LeRobot is in."""
    python = peer_python("lerobot", *DEPENDENCIES)
    done = python.parent.parent / "alone.json"
    if not done.exists() or json.loads(done.read_text()) != list(ALONE):
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", *ALONE]
        subprocess.run(install, check=True, env=peer_environment(), stdout=sys.stderr)
        done.write_text(json.dumps(list(ALONE)))
    return python


def ask(what: str, folder: Path, result: Path, *more: str) -> dict[str, Any]:
    """Have LeRobot do something with a dataset; what it wrote, arrays and facts."""
    script = ROOT / "benchmarks" / "peer_lerobot.py"
    environment = peer_environment() | {"HF_HOME": str(folder.parent / "cache"), "HF_HUB_OFFLINE": "1"}
    command = [str(peer()), "-P", str(script), what, str(folder), str(result), *more]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"LeRobot failed at {what}:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = {}
    if result.with_suffix(".json").exists():
        found |= json.loads(result.with_suffix(".json").read_text())
    if result.with_suffix(".npz").exists():
        found |= dict(np.load(result.with_suffix(".npz")))
    return found


def picture(step: int, episode: int, camera: int) -> NDArray[np.uint8]:
    """A smooth scene with an object that moves through it and a little noise."""
    rows, columns = np.mgrid[:SIZE, :SIZE]
    waves = (np.sin(rows / 17 + camera), np.cos(columns / 23 + episode), np.sin((rows + columns) / 31))
    image = np.stack([120 + 60 * wave for wave in waves], axis=-1)
    top = 4 * step % (SIZE - 24)
    image[top : top + 24, 40:64] = (230, 40, 40)
    noise = np.random.default_rng(step).integers(-2, 3, (SIZE, SIZE, 1))
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def observation(rng: np.random.Generator, step: int, episode: int) -> Observation:
    vectors = {name: rng.normal(size=size).astype(np.float32) for name, size in (("pose", 7), ("wrench", 6))}
    return vectors | {name: picture(step, episode, index) for index, name in enumerate(CAMERAS)}


def steps(count: int, length: int = 50) -> Iterator[Transition]:
    """Episodes, terminated and truncated in turn."""
    rng = np.random.default_rng(0)
    before: Observation = {}
    for index in range(count):
        step, episode = index % length, index // length
        before = before if step else observation(rng, 0, episode)
        after, last = observation(rng, step + 1, episode), step == length - 1
        action = rng.uniform(-1, 1, 4).astype(np.float32)
        yield Transition(
            "actor0", index, f"episode{episode}", step, index / 10 + episode, (index + 1) / 10 + episode, before, after,
            action, action, bool(step % 3), float(rng.normal()), last and episode % 2 == 0, last and episode % 2 == 1,
            last and episode % 2 == 0, index // 20,
        )  # fmt: skip
        before = after


def equal(left: Transition, right: Transition, images: bool) -> bool:
    """Whether two transitions are the same to the bit."""
    right = dataclasses.replace(right, sequence=left.sequence)
    for field in dataclasses.fields(Transition):
        a, b = getattr(left, field.name), getattr(right, field.name)
        if isinstance(a, dict):
            names = [name for name in a if images or name not in CAMERAS]
            if any(a[name].tobytes() != b[name].tobytes() for name in names):
                return False
        elif (a.tobytes() != b.tobytes()) if isinstance(a, np.ndarray) else a != b:
            return False
    return True


def size(folder: Path) -> int:
    """Bytes of its files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def signal(left: NDArray, right: NDArray) -> float:
    """Peak signal to noise, dB."""
    error = float(np.mean((left.astype(np.float64) - right) ** 2))
    return 10 * float(np.log10(255**2 / max(error, 1e-9)))


def there_and_back(base: Path, count: int) -> list[Figure]:
    """Export, LeRobot's view of it, import."""
    journal = base / "journal"
    schema = Schema.from_example("lift", next(steps(1)).observation, ("x", "y", "z", "gripper"))
    write_set(journal, schema, steps(count))
    reader, figures = JournalReader(journal), []
    for name, options in (("video", {}), ("PNG", {"lossless": True})):
        progress(f"{name}: {count} steps there and back")
        began = time.perf_counter()
        export_lerobot(reader, base / name, **options)  # type: ignore[arg-type]
        exported = time.perf_counter()
        import_lerobot(base / name, base / f"{name}-back")
        imported = time.perf_counter()
        back = JournalReader(base / f"{name}-back")
        lossless = name == "PNG"
        same = sum(equal(*pair, images=lossless) for pair in zip(reader.read(), back.read(), strict=True))
        kept = "all of it" if lossless else "all but images"
        figures += [
            at_least(f"{name}: steps that come back to the bit, {kept}", same / count, "share", 1.0),
            Figure(f"{name}: export", count / (exported - began), "steps/s"),
            Figure(f"{name}: import", count / (imported - exported), "steps/s"),
            Figure(f"{name}: dataset over journal", size(base / name) / size(journal), "ratio"),
            *loaded(base / name, name),
        ]
        if not lossless:
            pairs = zip(reader.read(), back.read(), strict=True)
            heard = min(signal(a.observation[camera], b.observation[camera]) for a, b in pairs for camera in CAMERAS)
            figures.append(Figure("video: least signal to noise of a frame", heard, "dB"))
    return [*figures, *judged(base, reader)]


def loaded(folder: Path, name: str) -> list[Figure]:
    """How LeRobot's loader sees a dataset, beside our own reader."""
    theirs = ask("load", folder, folder.with_name(f"{folder.name}-loaded"))
    dataset = Dataset(folder)
    began = time.perf_counter()
    rows = [row for _, row in dataset.rows(list(dataset.info.features))]
    seconds = time.perf_counter() - began
    odd = len(rows) - theirs["frames"]
    for feature in dataset.info.features.values():
        ours = np.stack([np.asarray(row[feature.name]) for row in rows])
        if feature.dtype == "string":
            odd += int((ours != np.array(theirs["texts"][feature.name])).sum())
            continue
        if feature.is_image:
            ours = np.moveaxis(ours, -1, 1).astype(np.float32) / 255
        other = theirs[feature.name]
        odd += int((ours.astype(other.dtype).reshape(other.shape) != other).sum())
    speed = {"peer": PEER, "peer_value": theirs["frames"] / theirs["seconds"]}
    rate = len(rows) / seconds
    return [
        at_most(f"{name}: values that LeRobot loads otherwise than our reader", odd, "values", 0),
        Figure(f"{name}: frames read in order", rate, "1/s", **speed, ratio=rate / speed["peer_value"]),
    ]


def judged(base: Path, reader: JournalReader) -> list[Figure]:
    """LeRobot's statistics, pairs and merge of what was exported."""
    progress("LeRobot's statistics, pairs and merge")
    theirs = ask("stats", base / "PNG", base / "stats")
    ours = json.loads((base / "PNG/meta/stats.json").read_text())
    worst: dict[str, float] = {}
    for name, entry in theirs.items():
        spread = np.ravel(np.subtract(ours[name]["max"], ours[name]["min"]))
        for what, value in entry.items():
            off = np.max(np.abs(np.ravel(np.subtract(ours[name][what], value))) / (1 if what == "count" else spread))
            kind = "quantiles" if what.startswith("q") else "mean, std, min, max, count"
            worst[kind] = max(worst.get(kind, 0.0), float(off))
    found = ask("pairs", base / "PNG", base / "pairs")
    only = np.array([row["observation_only"] for _, row in Dataset(base / "PNG").rows(["observation_only"])])
    names = [field.name for field in reader.schema.arrays]
    after = np.stack([np.concatenate([step.next_observation[name] for name in names]) for step in reader.read()])
    right = (found["next_state"][~only] == after).all(axis=1) | found["done"][~only]
    ask("merge", base / "video", base / "merged")
    import_lerobot(base / "merged", base / "merged-back")
    once, twice = list(JournalReader(base / "video-back").read()), JournalReader(base / "merged-back").read()
    kept = sum(equal(left, right, images=False) for left, right in zip(once * 2, twice, strict=True))
    return [
        at_most("mean, std, min, max, count: difference over range", worst["mean, std, min, max, count"], "", 1e-5),
        # LeRobot's are of a histogram, ours interpolate: on few rows they differ by the gap between two of them
        Figure("quantiles: difference over range", worst["quantiles"], ""),
        at_least("pairs of LeRobot's buffer that are right or end", float(right.mean()), "share", 1.0),
        at_least("merged by LeRobot, then imported: steps that are the same", kept / (2 * len(once)), "share", 1.0),
    ]


def from_lerobot(base: Path) -> list[Figure]:
    """Datasets that LeRobot wrote, imported."""
    figures = []
    for kind in ("video", "image"):
        progress(f"a dataset that LeRobot wrote, with {kind}s")
        kept = ask("write", base / f"theirs-{kind}", base / f"kept-{kind}", kind)
        import_lerobot(base / f"theirs-{kind}", base / f"ours-{kind}")
        found = list(JournalReader(base / f"ours-{kind}").read())
        wrong = 0
        for name, theirs in (("state", "observation.state"), ("action", "action")):
            values = [step.action if name == "action" else step.observation[name] for step in found]
            wrong += int((np.stack(values) != kept[theirs].astype(np.float32)).any(axis=1).sum())
        wrong += int((np.array([step.reward for step in found]) != np.ravel(kept["next.reward"])).sum())
        seen = np.stack([step.observation["top"] for step in found])
        figures += [
            at_most(f"LeRobot's {kind}s: steps imported with another state, action or reward", wrong, "steps", 0),
            at_least(f"LeRobot's {kind}s: signal to noise", signal(seen, kept["observation.images.top"]), "dB", 30),
        ]
    return figures


def streamed(base: Path, count: int) -> list[Figure]:
    """Import of many frames: how fast, and how much memory it takes more than a tenth of them."""
    features = {
        "observation.state": Feature("observation.state", "float32", (26,)),
        "action": Feature("action", "float32", (7,)),
        "next.reward": Feature("next.reward", "float32"),
        **{name: Feature(name, "int64") for name in ("frame_index", "episode_index", "index", "task_index")},
        "timestamp": Feature("timestamp", "float32"),
    }
    peaks = []
    rate = 0.0
    for frames in (count // 10, count):
        progress(f"{frames} frames of a state, written and imported")
        folder = base / f"long-{frames}"
        folder.mkdir()
        writer = DatasetWriter(folder, features, 10, "lift", "h264")
        rng = np.random.default_rng(0)
        states = rng.uniform(-1, 1, (1000, 26)).astype(np.float32)
        for _ in range(frames // 1000):
            writer.begin()
            for state in states:
                writer.add({"observation.state": state, "action": state[:7], "next.reward": 0.0}, {})
            writer.end()
        writer.close()
        call = "from pathlib import Path; from robot_rl.data.lerobot import import_lerobot; import sys, time; "
        call += "t = time.perf_counter(); n = import_lerobot(Path(sys.argv[1]), Path(sys.argv[2])); "
        call += (
            "status = Path('/proc/self/status').read_text().split('VmHWM:')[1]; "  # getrusage counts the parent's too
        )
        call += "print(n / (time.perf_counter() - t), int(status.split()[0]) * 1024)"
        command = [sys.executable, "-c", call, str(folder), str(base / f"long-{frames}-back")]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        rate, peak = map(float, done.stdout.split())
        peaks.append(peak)
        shutil.rmtree(base / f"long-{frames}-back")
    return [
        Figure(f"import of {count} frames of a state", rate, "steps/s"),
        at_most("memory for each frame more", (peaks[1] - peaks[0]) / (0.9 * count), "bytes", 40),
    ]


def measure(quick: bool) -> list[Figure]:
    """Every figure."""
    with TemporaryDirectory() as folder:
        base = Path(folder)
        return [
            *there_and_back(base, 310 if quick else 2010),
            *from_lerobot(base),
            *streamed(base, 50_000 if quick else 1_000_000),
        ]


if __name__ == "__main__":
    main("lerobot", measure)
