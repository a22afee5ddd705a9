"""`robot-rl data ...`: the commands as typed. Heavy imports are inside, so that help is instant."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robot_rl.data.judging import add_judging
from robot_rl.exceptions import ConfigError, DataError
from robot_rl.options import Parser, add_commands

if TYPE_CHECKING:
    from robot_rl.data.edit import EpisodeSummary
    from robot_rl.data.formats.experience import Experience
    from robot_rl.data.formats.intake import Want
    from robot_rl.data.schema import Schema

FORMATS = ("lerobot", "mcap", "hdf5")
_TASK_HELP = "of which the data shall be demonstrations: its names, shapes and actions are asked for"


def add_data(data: Parser) -> None:
    """Give `robot-rl data` its commands."""
    command = add_commands(data, "data")

    part = command("info", "PATH", info, "say what a run, a set or a foreign data set holds")
    part.add_argument("path", type=Path, metavar="PATH", help="run, journal, demonstrations, or foreign data")
    part.add_argument("--episodes", action="store_true", help="a line for each episode too")
    _json(part)

    part = command("verify", "PATH", verify, "find what is wrong in data, and say where; exit status 1 if anything is")
    part.add_argument("path", type=Path, metavar="PATH", help="run, journal, demonstrations, or foreign data")
    part.add_argument("--strict", action="store_true", help="exit status 1 for warnings too")
    _json(part)

    add_judging(command)

    part = command("export", "PATH DIR", export, "write a run or a set in another format")
    part.add_argument("path", type=Path, metavar="PATH", help="run, journal or demonstrations")
    _target(part)
    part.add_argument("--format", required=True, choices=FORMATS, help="LeRobotDataset v3, a ROS 2 bag, or robomimic's")
    part.add_argument("--fps", type=_positive, metavar="HZ", help="rate that the format is told (that of the stamps)")
    part.add_argument("--lossless", action="store_true", help="lerobot: pictures as PNG in the rows, not as video")

    part = command("import", "PATH DIR", import_, "make foreign data a journal, which --demos takes")
    part.add_argument("path", type=Path, metavar="PATH", help="LeRobotDataset, robomimic .hdf5, Minari, or a ROS 2 bag")
    _target(part)
    part.add_argument("--map", type=Path, metavar="FILE", help="YAML: what becomes which observation, action, reward")
    part.add_argument("--task", metavar="TASK", help=_TASK_HELP)
    part.add_argument("--obs", choices=("state", "pixels"), default="state", help="how the task observes (state)")
    part.add_argument("--resize", type=_size, metavar="H,W", help="height and width of the pictures (as they are)")
    part.add_argument("--rate", type=_positive, metavar="HZ", help="rate of the steps, in place of the map's")

    part = command("merge", "PATH PATH [PATH ...] DIR", merge, "join runs and sets into a new set")
    part.add_argument("paths", type=Path, nargs="+", metavar="PATH", help="runs, journals, demonstrations; last: DIR")
    _dry_run(part)

    part = command("trim", "PATH DIR", trim, "copy part of a run or a set into a new set")
    part.add_argument("path", type=Path, metavar="PATH", help="run, journal or demonstrations")
    _target(part)
    part.add_argument("--episodes", metavar="LIST", help="keep these alone: 0-9,12 or names (`data info --episodes`)")
    part.add_argument("--drop-failures", action="store_true", help="leave episodes without success out")
    part.add_argument("--discarded", action="store_true", help="leave out what labels discard")


def _json(part: Parser) -> None:
    part.add_argument("--json", action="store_true", help="print one JSON object and nothing else")


def _target(part: Parser) -> None:
    part.add_argument("folder", type=Path, metavar="DIR", help="new folder; nothing is ever overwritten")
    _dry_run(part)


def _dry_run(part: Parser) -> None:
    part.add_argument("--dry-run", action="store_true", help="check everything, say what would be done, and stop")


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise ConfigError(f"{text!r} is no rate in Hz; it must be a number above 0.")
    return value


def _size(text: str) -> tuple[int, int]:
    parts = [part for part in text.split(",") if part.isdigit() and 0 < int(part) <= 4096]
    if len(parts) != 2 or text.count(",") != 1:
        raise ConfigError(f"--resize is {text!r}, but must be a height and a width, as in 128,128.")
    return int(parts[0]), int(parts[1])


def info(options: argparse.Namespace) -> int:
    """`robot-rl data info PATH`."""
    from robot_rl.data.formats.foreign import kind_of

    kind = kind_of(options.path)
    if kind == "experience":
        return _experience_info(options)
    if kind == "lerobot":
        from robot_rl.data.lerobot.dataset import Dataset

        dataset = Dataset(options.path)
        form = {name: f"{item.dtype} {tuple(item.shape)}" for name, item in dataset.info.features.items()}
        counts = {"frames": dataset.info.total_frames, "episodes": len(dataset.episodes)}
        return _show({"kind": kind, "features": form, **counts}, options.json)
    if kind == "rosbag":
        from robot_rl.data.formats.messages import open_bag
        from robot_rl.data.formats.rosbag import bag_file

        with open_bag(bag_file(options.path) or options.path) as bag:
            return _show({"kind": kind, "seconds": round(bag.seconds, 3), "topics": bag.topics}, options.json)
    return _foreign_info(options, kind)


def _foreign_info(options: argparse.Namespace, kind: str) -> int:
    from robot_rl.data.formats.foreign import open_source
    from robot_rl.data.formats.intake import Want

    with open_source(options.path, Want(), kind) as source:
        about = {"kind": kind, **_form(source.schema), "steps": source.steps, "notices": source.notices.lines()}
        return _show(about, options.json)


def _form(schema: Schema) -> dict[str, Any]:
    fields = {item.name: f"{item.dtype} {item.shape}" for item in schema.observation}
    return {"task": schema.task, "observation": fields, "actions": list(schema.actions)}


def _experience_info(options: argparse.Namespace) -> int:
    from robot_rl.data.edit import summarise
    from robot_rl.data.formats.experience import open_experience
    from robot_rl.data.progress import bar

    experience = open_experience(options.path)
    with bar("reading", experience.records) as tell:
        episodes = summarise(experience, tell)
    about = {"kind": "experience", **_form(experience.schema), **_totals(experience, episodes)}
    if options.episodes and options.json:
        about["list"] = [dataclasses.asdict(episode) for episode in episodes]
    _show(about, options.json)
    if options.episodes and not options.json:
        _list(episodes)
    return 0


def _totals(experience: Experience, episodes: Sequence[EpisodeSummary]) -> dict[str, Any]:
    steps, count = sum(episode.steps for episode in episodes), len(episodes)
    size = sum(file.stat().st_size for reader in experience.readers for file in reader.folder.glob("*.mcap"))
    return {
        "steps": steps,
        "episodes": count,
        "labels": len(experience.labels),
        "successes": sum(episode.success for episode in episodes),
        "discarded_steps": sum(episode.discarded for episode in episodes),
        "intervened_steps": sum(episode.interventions for episode in episodes),
        "mean_return": round(sum(episode.total for episode in episodes) / count, 6) if count else None,
        "seconds": round(sum(episode.seconds for episode in episodes), 3),
        "bytes": size,
        "journals": [str(reader.folder) for reader in experience.readers],
    }


def _show(about: dict[str, Any], as_json: bool) -> int:
    if as_json:
        print(json.dumps(about))
        return 0
    for name, value in about.items():
        if isinstance(value, dict):
            print(f"{name.replace('_', ' ')}")
            for key, part in value.items():
                print(f"  {key:<22} {part}")
        elif isinstance(value, list):
            print(f"{name.replace('_', ' '):<18} {', '.join(map(str, value)) or '-'}")
        else:
            print(f"{name.replace('_', ' '):<18} {f'{value:,}' if isinstance(value, int) else value}")
    return 0


def _list(episodes: Sequence[EpisodeSummary]) -> None:
    """A line for each episode, however wide the terminal is."""
    width = max((len(episode.name) for episode in episodes), default=0)
    print(f"{'#':>5} {'episode':<{width}} {'actor':<8} {'steps':>6} {'return':>9} {'success':<8}", end="")
    print(f"{'ended':<11}{'intervened':>10}{'discarded':>10}{'s':>8}")
    for index, item in enumerate(episodes):
        outcome = f"{'yes' if item.success else 'no':<8}{item.ended:<11}"
        numbers = f"{item.interventions:>10}{item.discarded:>10}{item.seconds:>8.1f}"
        print(f"{index:>5} {item.name:<{width}} {item.actor:<8} {item.steps:>6} {item.total:>9.4g} {outcome}{numbers}")


def verify(options: argparse.Namespace) -> int:
    """`robot-rl data verify PATH`: 0, or 1 where a fault was found."""
    from robot_rl.data.checkup import verify_path

    verdict = verify_path(options.path)
    if options.json:
        print(json.dumps(verdict.summary()))
    else:
        for finding in verdict.findings:
            place = f"episode {finding.episode}" if finding.episode else str(options.path)
            step = f", step {finding.step}" if finding.step >= 0 else ""
            more = f" ({finding.count:,} times)" if finding.count > 1 else ""
            print(f"{finding.level:<8} {place}{step}: {finding.text}{more}")
        print(
            f"{verdict.steps:,} steps in {verdict.episodes:,} episodes, {verdict.labels:,} labels: "
            f"{verdict.faults} faults, {verdict.warnings} warnings"
        )
    return int(bool(verdict.faults or (options.strict and verdict.warnings)))


def export(options: argparse.Namespace) -> int:
    """`robot-rl data export PATH DIR --format FORMAT`."""
    from robot_rl.data.formats.experience import open_experience
    from robot_rl.data.formats.foreign import export_data
    from robot_rl.data.formats.whole import refuse_taken
    from robot_rl.data.progress import bar

    experience = open_experience(options.path)
    refuse_taken(options.folder)
    if options.dry_run:
        return _would(f"{experience.records:,} records of {options.path} as {options.format} in {options.folder}")
    with bar("exporting", experience.records) as tell:
        steps = export_data(experience, options.folder, options.format, options.fps, options.lossless, tell)
    print(f"{steps:,} steps: {options.folder}")
    return 0


def _would(what: str) -> int:
    print(what)
    print("nothing was written: this is a dry run")
    return 0


def import_(options: argparse.Namespace) -> int:
    """`robot-rl data import PATH DIR`."""
    from robot_rl.data.formats.foreign import import_any, kind_of, open_source
    from robot_rl.data.formats.whole import refuse_taken
    from robot_rl.data.progress import bar

    want, kind = _want(options), kind_of(options.path)
    refuse_taken(options.folder)
    total = None
    if kind != "lerobot":
        with open_source(options.path, want, kind) as source:
            total = source.steps
            if options.dry_run:
                _show({"kind": kind, **_form(source.schema)}, False)
                _notices(source.notices.lines())
                return _would(f"about {total or 0:,} steps of {options.path} in {options.folder}")
    elif options.dry_run:
        return _would(f"{options.path}, a LeRobotDataset, in {options.folder}")
    with bar("importing", total) as tell:
        steps, notices = import_any(options.path, options.folder, want, kind, tell)
    _notices(notices)
    print(f"{steps:,} steps: {options.folder}")
    print(_use(options.folder))
    return 0


def _use(folder: Path) -> str:
    """What a new set is good for."""
    import tasks
    from robot_rl.data.journal import JournalReader
    from robot_rl.envs.observation import Observer

    schema = JournalReader(folder).schema
    for obs in ("state", "pixels") if schema.task in tasks.names() else ():
        if Observer(tasks.load(schema.task), obs).schema() == schema:
            return f"train with them: robot-rl train {schema.task} --obs {obs} --demos {folder}"
    if schema.task in tasks.names() and any(field.dtype == "float16" for field in schema.observation):
        return f"train with them, by the same backbone: robot-rl train {schema.task} --obs features --demos {folder}"
    return "to train with them, import with --task TASK: their names, shapes and actions must be the task's"


def _notices(lines: Sequence[str]) -> None:
    for line in lines:
        print(f"note: {line}")


def _want(options: argparse.Namespace) -> Want:
    """What the options ask of an import."""
    from robot_rl.data.formats.intake import Want
    from robot_rl.data.formats.mapping import ImportMap, read_map

    asked = read_map(options.map) if options.map is not None else ImportMap()
    if options.rate is not None:
        asked = dataclasses.replace(asked, rate=options.rate)
    schema = _task_schema(options.task, options.obs) if options.task else None
    return Want(asked, schema, options.resize)


def _task_schema(name: str, obs: str) -> Schema:
    import tasks
    from robot_rl.envs.observation import Observer

    try:
        return Observer(tasks.load(name), obs).schema()
    except tasks.UnknownTask as error:
        raise ConfigError(str(error)) from error


def merge(options: argparse.Namespace) -> int:
    """`robot-rl data merge PATH PATH ... DIR`."""
    from robot_rl.data.edit import check_same_form
    from robot_rl.data.edit import merge as join
    from robot_rl.data.formats.experience import open_experience
    from robot_rl.data.formats.whole import refuse_taken
    from robot_rl.data.progress import bar

    *paths, folder = options.paths
    if len(paths) < 2:
        raise ConfigError("`robot-rl data merge` needs two sets or more, and the new folder last; `--help` shows how.")
    refuse_taken(folder)
    sources = [open_experience(path) for path in paths]
    total = sum(source.records for source in sources)
    if options.dry_run:
        check_same_form(sources)
        return _would(f"{total:,} records of {len(sources)} sets in {folder}")
    with bar("merging", total) as tell:
        written = join(sources, folder, tell)
    print(f"{written.steps:,} steps, {written.episodes:,} episodes, {written.labels:,} labels: {folder}")
    return 0


def trim(options: argparse.Namespace) -> int:
    """`robot-rl data trim PATH DIR`."""
    from robot_rl.data.edit import Trim, chosen, summarise
    from robot_rl.data.edit import trim as cut
    from robot_rl.data.formats.experience import open_experience
    from robot_rl.data.formats.whole import refuse_taken
    from robot_rl.data.progress import bar

    if options.episodes is None and not (options.drop_failures or options.discarded):
        raise ConfigError("say what stays: --episodes LIST, --drop-failures or --discarded.")
    refuse_taken(options.folder)
    experience = open_experience(options.path)
    with bar("reading", experience.records) as tell:
        episodes = summarise(experience, tell)
    names = None if options.episodes is None else chosen(episodes, options.episodes)
    rule = Trim(names, options.drop_failures, options.discarded)
    left = [episode for episode in episodes if rule.keeps(episode)]
    if options.dry_run:
        if not left:
            raise DataError(f"nothing of {options.path} would be left")
        return _would(f"{len(left)} of {len(episodes)} episodes of {options.path} in {options.folder}")
    with bar("writing", sum(episode.steps for episode in left)) as tell:
        written = cut(experience, episodes, rule, options.folder, tell)
    print(f"{written.steps:,} steps, {written.episodes:,} episodes, {written.labels:,} labels: {options.folder}")
    return 0
