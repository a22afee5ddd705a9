"""What a path holds, and its import: everything becomes a journal, which `--demos` takes."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from robot_rl.data.formats.experience import journals
from robot_rl.data.formats.intake import Notices, Source, Want
from robot_rl.data.formats.whole import Progress, Written, refuse_taken, write_set
from robot_rl.exceptions import DataError

KINDS = ("experience", "lerobot", "robomimic", "minari", "rosbag")
HDF5_ENDINGS = (".hdf5", ".h5", ".hdf")


def kind_of(path: Path) -> str:
    """One of `KINDS`. Raises `DataError` where the path holds none, saying what is known."""
    if not path.exists():
        raise DataError(f"there is no {path}; check the path")
    if path.is_dir():
        return _folder_kind(path)
    if path.suffix in HDF5_ENDINGS:
        from robot_rl.data.formats.robomimic import is_robomimic

        if is_robomimic(path):
            return "robomimic"
        raise DataError(f"{path} is HDF5, but not robomimic's: it has no data/demo_0; of Minari name the folder")
    if path.suffix in (".mcap", ".db3"):
        return "rosbag"
    raise DataError(f"{path} is of no known format; known: {_known()}")


def _folder_kind(path: Path) -> str:
    from robot_rl.data.formats.minari import minari_folder
    from robot_rl.data.formats.rosbag import bag_file

    if (path / "config.yaml").is_file() and journals(path):
        return "experience"
    if (path / "meta" / "info.json").is_file():
        return "lerobot"
    if minari_folder(path) is not None:
        return "minari"
    if journals(path) and not (path / "metadata.yaml").is_file() and _is_journal(path):
        return "experience"
    if bag_file(path) is not None:
        return "rosbag"
    raise DataError(f"{path} holds nothing of a known format; known: {_known()}")


def _known() -> str:
    return (
        "a run, a journal or demonstrations of robot_rl, a LeRobotDataset (meta/info.json), robomimic (.hdf5), "
        "Minari (data/metadata.json), a ROS 2 bag (metadata.yaml, .mcap, .db3)"
    )


def _is_journal(path: Path) -> bool:
    """A journal, damaged perhaps; a bag has no transitions under their name and type."""
    with next(iter(sorted(path.glob("*.mcap")))).open("rb") as stream:
        return b"robot_rl_msgs/msg/Transition" in stream.read(4096)


def open_source(path: Path, want: Want, kind: str | None = None) -> AbstractContextManager[Source]:
    """Foreign data, opened to be streamed. Raises `DataError`, also for what needs no import."""
    kind = kind or kind_of(path)
    if kind == "robomimic":
        from robot_rl.data.formats.robomimic import open_robomimic

        return open_robomimic(path, want)
    if kind == "minari":
        from robot_rl.data.formats.minari import open_minari

        return open_minari(path, want)
    if kind == "rosbag":
        from robot_rl.data.formats.rosbag import open_rosbag

        return open_rosbag(path, want)
    raise DataError(f"{path} is robot_rl's own and needs no import; `--demos {path}` takes it, `data merge` joins it")


def import_data(
    path: Path, into: Path, want: Want, kind: str | None = None, progress: Progress | None = None
) -> tuple[Written, Notices]:
    """Write foreign data as a new journal in `into`; as a whole or not at all. Raises `DataError`."""
    refuse_taken(into)
    with open_source(path, want, kind) as source:
        written = write_set(into, source.schema, source.transitions, progress)
        return written, source.notices
