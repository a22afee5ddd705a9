"""What a path holds; what comes in becomes a journal, which `--demos` takes, and what goes out another format."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from robot_rl.data.formats.experience import Experience, journals
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


def import_any(
    path: Path, into: Path, want: Want, kind: str, progress: Progress | None = None
) -> tuple[int, list[str]]:
    """As `import_data`, LeRobotDatasets too: how many steps, and what a person should know."""
    if kind != "lerobot":
        written, notices = import_data(path, into, want, kind, progress)
        return written.steps, notices.lines()
    from robot_rl.data.lerobot.importing import import_lerobot

    if want.map.rate is not None or len(want.map.action) > 1:
        raise DataError(f"{path} is a LeRobotDataset: it has its own rate, and one feature is the action")
    refuse_taken(into)
    names = want.map.names
    signals = {name: getattr(want.map, name) for name in ("reward", "terminated", "truncated", "success", "intervened")}
    signals["action"] = next(iter(want.map.action), None)
    names |= {name: signal.topic for name, signal in signals.items() if signal is not None}
    scale, size = want.map.scale, want.size
    return import_lerobot(path, into, names, schema=want.schema, scale=scale, size=size, progress=progress), []


def export_data(
    experience: Experience,
    folder: Path,
    form: str,
    rate: float | None = None,
    lossless: bool = False,
    progress: Progress | None = None,
) -> int:
    """Write what the labels leave of it in another format (lerobot, mcap, hdf5); how many steps. Raises `DataError`.

    rate: Hz that the format is told, in place of the stamps'. lossless: LeRobot's pictures as PNG, not as video.
    """
    refuse_taken(folder)
    if form == "mcap":
        from robot_rl.data.formats.ros_export import export_bag

        return export_bag(experience.schema, experience.judged(), folder, progress).steps
    if form == "hdf5":
        from robot_rl.data.formats.robomimic_export import export_robomimic

        rate = rate or experience.rate()
        return export_robomimic(experience.schema, experience.judged(), folder, rate, progress).steps
    from robot_rl.data.lerobot.exporting import export_lerobot

    return export_lerobot(experience.readers, folder, fps=rate, lossless=lossless, progress=progress)
