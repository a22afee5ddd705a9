"""Thousands of mutations of foreign files: a `DataError`, or an import that is whole; never half of one."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin

from robot_rl.data.formats.foreign import import_data, kind_of
from robot_rl.data.formats.intake import Want
from robot_rl.data.formats.mapping import parse_map
from robot_rl.data.journal import JournalReader
from robot_rl.data.verify import verify
from robot_rl.exceptions import DataError
from tests.robot_rl.data.formats import samples
from tests.robot_rl.data.formats.test_rosbag import MAP, messages


def mutated(rng: np.random.Generator, content: bytes) -> bytes:
    """A copy that is cut, has bits flipped, bytes replaced, or a piece moved."""
    data = bytearray(content)
    kind = rng.integers(5)
    if kind == 0:
        return bytes(data[: rng.integers(len(data))])
    for _ in range(rng.integers(1, 6)):
        place = int(rng.integers(len(data)))
        if kind == 1:
            data[place] ^= 1 << int(rng.integers(8))
        elif kind == 2:
            data[place : place + 8] = rng.bytes(8)
        elif kind == 3:
            data[place : place + 4] = rng.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f"])
        else:
            other, size = int(rng.integers(len(data))), int(rng.integers(1, 64))
            data[place : place + size] = data[other : other + size]
    return bytes(data)


def survives(path: Path, into: Path, want: Want) -> bool:
    """Whether the import came to its end; where it did not, nothing is there."""
    try:
        written, _ = import_data(path, into, want, kind_of(path))
    except DataError:
        assert not list(into.parent.glob(f"{into.name}*"))
        return False
    verdict = verify([JournalReader(into)])
    assert verdict.steps == written.steps
    assert not [item for item in verdict.findings if item.level == "fault" and item.kind != "frozen"]
    return True


def fuzz(folder: Path, kind: str, count: int, seed: int) -> None:
    """`count` mutations of a file of `kind`; run in a process of its own, since HDF5 is read by a C library."""
    rng = np.random.default_rng(seed)
    want = Want()
    if kind == "robomimic":
        path = target = folder / "demo.hdf5"
        samples.robomimic(path)
    elif kind == "minari":
        path, target = folder / "maze", folder / "maze" / "data" / "main_data.hdf5"
        samples.minari(path)
    else:
        storage = StoragePlugin.MCAP if kind == "mcap" else StoragePlugin.SQLITE3
        path = samples.bag(folder / "bag", messages(3), storage)
        target = next(path.glob("*.mcap" if kind == "mcap" else "*.db3"))
        want = Want(parse_map(MAP))
    whole, survived = target.read_bytes(), 0
    for index in range(count):
        target.write_bytes(mutated(rng, whole))
        survived += survives(path, folder / f"set{index}", want)
    print(f"{survived} of {count}")
    assert survived < count


@pytest.mark.parametrize("kind, count", [("robomimic", 12), ("minari", 100), ("mcap", 60), ("sqlite3", 40)])
def test_mutations_are_refused_or_harmless(tmp_path, kind, count):
    done = subprocess.run(
        [sys.executable, "-B", "-m", __name__, str(tmp_path), kind, str(count), "0"], capture_output=True, text=True
    )
    assert done.returncode == 0, f"{done.returncode}: {done.stderr[-3000:]}"


@pytest.mark.long
@pytest.mark.timeout(2400)
@pytest.mark.parametrize("kind, count", [("robomimic", 1000), ("minari", 3000), ("mcap", 3000), ("sqlite3", 3000)])
def test_thousands_of_mutations(tmp_path, kind, count):
    done = subprocess.run(
        [sys.executable, "-B", "-m", __name__, str(tmp_path), kind, str(count), "1"], capture_output=True, text=True
    )
    assert done.returncode == 0, f"{done.returncode}: {done.stderr[-3000:]}"


def test_random_bytes_are_no_data(tmp_path):
    rng = np.random.default_rng(0)
    for index, name in enumerate(["a.hdf5", "b.mcap", "c.db3"] * 10):
        path = tmp_path / name
        path.write_bytes(rng.bytes(int(rng.integers(0, 2000))))
        with pytest.raises(DataError, match=name):
            import_data(path, tmp_path / f"set{index}", Want(parse_map(MAP)) if index % 3 else Want())
        path.unlink()
    assert not list(tmp_path.iterdir())


if __name__ == "__main__":
    fuzz(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
